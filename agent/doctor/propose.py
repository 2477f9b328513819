"""Blocks of a configuration for what was found: pasted into a station's file they load as they are."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from agent.doctor.places import Place
from agent.doctor.scan import Found

POLL_S: Final = 5
EXPECTED_PER_MINUTE: Final = 60
_KEY: Final = re.compile(r'^(\s*)"([a-z_][a-z0-9_]*)":', re.MULTILINE)


def proposed(found: Iterable[tuple[Place, list[Found]]]) -> dict[str, Any]:
    """Buses and instruments for everything that is known and needs nothing that only the site can say."""
    buses: dict[str, Any] = {}
    instruments: dict[str, Any] = {}
    for place, here in found:
        fit = [one for one in here if one.known.driver is not None and not one.known.needs and not one.configured]
        if not fit:
            continue
        bus = place.bus
        if bus is None:
            bus = _free(_word(Path(place.name).name if place.port is None else str(place)), buses)
            buses[bus] = {"wire": fit[0].wire, "protocol": fit[0].protocol}
        for one in fit:
            name = "-".join(filter(None, [_word(str(one.known.driver)), "" if one.unit is None else str(one.unit)]))
            instruments[_free(name, instruments)] = _instrument(one, bus)
    return ({"buses": buses} if buses or not instruments else {}) | {"instruments": instruments}


def _instrument(found: Found, bus: str) -> dict[str, Any]:
    block: dict[str, Any] = {"driver": found.known.driver, "bus": bus}
    if found.unit is not None:
        block["unit"] = found.unit
    pace = {"expected_per_minute": EXPECTED_PER_MINUTE} if found.protocol == "stream" else {"poll_s": POLL_S}
    block |= pace | {"kind": "research", "rule": "ghg"}
    return block | ({"options": found.known.options} if found.known.options else {})


def text(blocks: dict[str, Any]) -> str:
    """The blocks as they stand in a file, without its outer braces."""
    lines = json.dumps(blocks, indent=2, ensure_ascii=False).splitlines()[1:-1]
    return _KEY.sub(r"\1\2:", "\n".join(line.removeprefix("  ") for line in lines)) + "\n"


def _word(name: str) -> str:
    """A name as the configuration takes it."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:30] or "line"


def _free(name: str, taken: dict[str, Any]) -> str:
    return next(one for one in (name, *(f"{name}-{i}" for i in range(2, 100))) if one not in taken)
