"""`plumeline play`: a recorded transcript through the line and the driver, at home."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.cli.words import say
from agent.config import Bus, Config, Instrument
from agent.wires.play import Heard, NotRecordedError, listened, polled
from agent.wires.transcript import Transcript, TranscriptError, read
from drivers.register_table import RegisterMap
from drivers.tables import is_own
from host.hjson import load
from host.problems import ConfigErrors, Lang
from metrology.declaration import DriverError
from metrology.reading import Scan


@dataclass(frozen=True, slots=True)
class _Played:
    """What is to be played: a bus, its instruments, and the one asked for."""

    transcript: Transcript
    bus: Bus
    instruments: Mapping[str, Instrument]
    name: str | None


class _UsageError(ValueError):
    """The line does not say what to play; holds what to write."""


def play(line: argparse.Namespace) -> int:
    """Print what the driver makes of a transcript; 1 where it makes nothing of it, or asks what was not recorded."""
    try:
        played = _chosen(line)
        heard, missing = asyncio.run(_heard(played))
    except (ConfigErrors, TranscriptError, ValidationError, DriverError, OSError, _UsageError) as error:
        print(error, file=sys.stderr)
        return 1
    if line.json:
        print(json.dumps([one.fields() for one in heard], indent=1, ensure_ascii=False))
    else:
        for one in heard:
            print(_told(one, line.lang))
    if missing is not None:
        print(say("not-recorded", line.lang, question=missing), file=sys.stderr)
    return int(missing is not None or not heard)


def _chosen(line: argparse.Namespace) -> _Played:
    """The recorded blocks, or those of a configuration; the bus the instrument is on, else the recorded one."""
    transcript = read(Path(one) for one in line.transcript)
    if line.config:
        config = load(line.config, Config, line.lang)
        buses, blocks = config.buses, config.instruments
    else:
        buses = {transcript.bus: Bus.model_validate(transcript.config)}
        blocks = {name: Instrument.model_validate(one) for name, one in transcript.instruments.items()}
    bus = blocks[line.instrument].bus if line.instrument in blocks else transcript.bus
    if bus not in buses:
        raise _UsageError(say("no-bus", line.lang, bus=bus, names=", ".join(buses)))
    own = {name: one for name, one in blocks.items() if one.bus == bus}
    for one in own.values():
        if is_own(one.driver):
            load(one.driver, RegisterMap, line.lang)  # for the places of what is wrong in it
    name = line.instrument or (next(iter(own)) if len(own) == 1 else None)
    if not own or (name not in own and (name is not None or buses[bus].protocol != "stream")):
        raise _UsageError(say("which-instrument", line.lang, bus=bus, names=", ".join(own) or "-"))
    return _Played(transcript, buses[bus], own, name)


async def _heard(played: _Played) -> tuple[list[Heard], str | None]:
    """What came of it, and the question that was not recorded."""
    if played.bus.protocol == "stream":
        found = listened(played.transcript, dict(played.instruments))
        return [one for one in found if _concerns(one, played.name)], None
    heard: list[Heard] = []
    name = played.name
    assert name is not None, "a bus that is asked is played for one instrument"
    try:
        async for one in polled(played.transcript, name, played.bus, played.instruments[name]):
            heard.append(one)
    except NotRecordedError as error:
        return heard, str(error)
    return heard, None


def _concerns(heard: Heard, name: str | None) -> bool:
    return name is None or heard.scan is None or heard.scan.instrument == name


def _told(heard: Heard, lang: Lang) -> str:
    fields = heard.fields()
    if heard.scan is not None:
        return f"{fields['at']} {heard.scan.instrument} {_values(heard.scan)}"
    kind = next(kind for kind in ("fault", "silent", "bad") if kind in fields)
    return f"{fields['at']} {say(f'played-{kind}', lang)}: {fields[kind]}"


def _values(scan: Scan) -> str:
    values = [
        " ".join([f"{one.measurand} {'-' if one.value is None else f'{one.value:g}'} {one.unit}",
                  *sorted(one.quality.causes)])
        for one in scan.readings
    ]  # fmt: skip
    return "; ".join([*values, *(f"{name}={value}" for name, value in scan.status.items())])
