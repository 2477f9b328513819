"""A recorded Picarro log, served through the analyzer's command interface as its rows come due in world time."""

import asyncio
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from host.clock import AcceleratedClock
from metrology.clock import Clock
from simulation.field import write_json
from simulation.journal import Journal
from simulation.picarro import Interface, Picarro, Row
from simulation.serve import TcpPort

LEAD_S: Final = 2.0
_STATS_EVERY_S: Final = 1.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LogError(ValueError):
    """A file that is no Picarro log; the message says the line and what to look for."""


class Recording:
    """All rows of a `DataLog_User` file, in its order; names come from the header line of the file."""

    def __init__(self, path: Path) -> None:
        with path.open(encoding="ascii", errors="replace") as file:
            names = file.readline().split()
            if "EPOCH_TIME" not in names:
                raise LogError(f"{path}:1: no column EPOCH_TIME: not a DataLog_User file of a Picarro")
            self.rows = [_row(path, number, names, line) for number, line in enumerate(file, 2)]
        if not self.rows:
            raise LogError(f"{path}:2: no rows")
        self.columns = tuple(names)
        self._next = 0

    @property
    def start(self) -> datetime:
        """Time of the first row."""
        return self.rows[0].at

    def until(self, now: datetime) -> Iterable[Row]:
        """Rows whose time has come since the last call."""
        while self._next < len(self.rows) and self.rows[self._next].at <= now:
            self._next += 1
            yield self.rows[self._next - 1]


def _row(path: Path, number: int, names: list[str], line: str) -> Row:
    fields = line.split()
    if len(fields) != len(names):
        raise LogError(f"{path}:{number}: {len(fields)} fields under {len(names)} names: a cut line, remove it")
    told = dict(zip(names, fields, strict=True))
    try:
        at = _EPOCH + timedelta(milliseconds=round(float(told["EPOCH_TIME"]) * 1000))
        values = {name: float(text) for name, text in told.items() if name not in ("DATE", "TIME")}
    except (ValueError, OverflowError) as error:
        raise LogError(f"{path}:{number}: {error}") from error
    if not all(math.isfinite(value) for value in values.values()):
        raise LogError(f"{path}:{number}: a value is not finite")
    return Row(at, values)


async def play(
    recording: Recording, out: Path, clock: Clock, interface: Interface, name: str,
    port: int, stop: asyncio.Event,
) -> None:  # fmt: skip
    """Serve until `stop`; `name` is STATION.INSTRUMENT in the journal and in `wires/ports.json`."""
    journal = Journal(out / "journal", clock)
    picarro = Picarro(recording, clock, journal.pen(*name.split(".", 1)), interface)
    served = TcpPort(picarro)
    ports = {name: await served.start(port)}
    write_json(out / "wires" / "ports.json", ports)
    try:
        while not stop.is_set():
            picarro.take()  # rows appear whether or not somebody asks
            write_json(out / "stats.json", _stats(recording, picarro))
            await clock.sleep_wall(_STATS_EVERY_S)
    finally:
        await served.close()
        journal.close()
        write_json(out / "stats.json", _stats(recording, picarro))


def _stats(recording: Recording, picarro: Picarro) -> dict[str, int]:
    return {"rows": len(recording.rows), "read_out": picarro.read_out, "overflowed": picarro.overflowed}


def clock_at(start: datetime, wall: float, rate: float = 1.0) -> AcceleratedClock:
    """A clock that stands `LEAD_S` before the first row now."""
    return AcceleratedClock(wall, (start - timedelta(seconds=LEAD_S)).timestamp(), rate)


def unknown_columns(recording: Recording, columns: Iterable[str]) -> list[str]:
    """Columns asked for that the file does not have."""
    return [name for name in columns if name not in recording.columns]
