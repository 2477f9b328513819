"""What an instrument is declared as, and what it says of itself: items `serial`, `approval`, `range.so2` and so on.

An instrument tells an item by a member of its status, or it does not; what it does not tell is not compared.
"""

import math
from collections.abc import Mapping
from typing import Final

from agent.config import Instrument
from metrology.reading import Status

Item = str | float
Items = Mapping[str, Item]
SERIAL: Final = "serial"
# How the status calls an item of a measurand where the configuration does not say; full scale as register maps do.
_SUFFIXES: Final = {"range": "_full_scale", "slope": "_slope", "offset": "_offset"}
PARTS_IN_A_MILLION: Final = 1e-6


def declared_items(instrument: Instrument) -> dict[str, Item]:
    """What the configuration declares; the upper end of a series' own range where no `range` is given."""
    found: dict[str, Item] = {}
    declared = instrument.declared
    serial = declared.serial if declared and declared.serial is not None else instrument.serial_number
    if serial is not None:
        found[SERIAL] = serial
    if declared and declared.approval is not None:
        found["approval"] = declared.approval
    for measurand, options in instrument.series.items():
        if options.maximum is not None:
            found[f"range.{measurand}"] = options.maximum
    if declared:
        for kind in _SUFFIXES:
            found |= {f"{kind}.{measurand}": value for measurand, value in getattr(declared, kind).items()}
    return found


def status_names(instrument: Instrument, items: Items) -> dict[str, str]:
    """The member of the status that tells each item."""
    own = instrument.declared.fields if instrument.declared else {}
    return {item: own.get(item, _default_name(item)) for item in items}


def _default_name(item: str) -> str:
    kind, _, measurand = item.partition(".")
    return f"{measurand}{_SUFFIXES[kind]}" if measurand else kind


def told_items(status: Status, names: Mapping[str, str]) -> dict[str, Item]:
    """What a status says of the items, as far as it does."""
    found: dict[str, Item] = {}
    for item, name in names.items():
        value = status.get(name)
        if value is None or isinstance(value, bool):
            continue
        found[item] = value if "." in item else str(value)
    return found


def same(one: Item | None, other: Item | None) -> bool:
    """Numbers within a part in a million, texts without blanks at their ends."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=PARTS_IN_A_MILLION, abs_tol=1e-12)
    return one == other if one is None or other is None else str(one).strip() == str(other).strip()


def differing(before: Items, after: Items) -> dict[str, list[Item]]:
    """`{item: [before, after]}` of the items both know and tell differently."""
    return {
        item: [before[item], value] for item, value in after.items() if item in before and not same(before[item], value)
    }
