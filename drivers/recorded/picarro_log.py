"""Picarro user logs (`...-DataLog_User.dat`): columns padded with spaces under one header.

Source: G2401 user's guide rev. C (log files) and a recorded G2301 log. Units are the analyzer's own: CO2, CH4 and CO in
umol/mol, water in percent.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from drivers.picarro_marks import MEASURING, READY, WARMING_UP
from drivers.recorded.columns import measured, species
from drivers.recorded.fresh import fresh
from drivers.recorded.stamps import Reader, Stamp, StampError, running, sniffed
from drivers.recorded.table import Cell, Plan, Rows, separator, spaces
from drivers.recorded.text import Line
from metrology.quality import Cause
from metrology.recorded import Refused, Row

_EPOCHS: Final = ("epoch_time", "timestamp", "date_time")
_NO_NOTES: Final[frozenset[Cause]] = frozenset()
Wanted = Callable[[str], bool]


def read(lines: Iterable[Line], wanted: Wanted = measured) -> Iterator[Row | Refused]:
    """Rows with their fresh values. Rows of a valve between two ports (re-sampled log) are refused as such."""
    yield from fresh(_settled(Rows(lambda text: _plan(text, wanted)).read(lines)))


def _settled(rows: Iterable[Row | Refused]) -> Iterator[Row | Refused]:
    for row in rows:
        if isinstance(row, Row) and row.port is not None:
            try:
                port = float(row.port)
            except ValueError:
                yield Refused(row.line, "value", f"mpvposition: {row.port[:20]}")
                continue
            if port != port or not port.is_integer():
                yield Refused(row.line, "between-ports", row.port[:20])
                continue
            row.port = f"{port:.0f}"
        yield row


def _plan(text: str, wanted: Wanted) -> Plan | None:
    split = separator(text)
    names = [species(name) for name in split(text)]
    if not ({"date", "time"} <= set(names) or set(_EPOCHS) & set(names)) or not any(map(wanted, names)):
        return None
    place = {name: at for at, name in enumerate(names)}
    skipped = {"date", "time", "species", "mpvposition", *_EPOCHS}
    cells = [Cell(name, at) for at, name in enumerate(names) if name not in skipped and wanted(name)]
    return Plan(
        width=len(names),
        stamp=_stamp(place),
        cells=cells,
        split=split,
        port=place.get("mpvposition", -1),
        code=place.get("species", -1),
        notes=_notes(place.get("alarm_status", -1), place.get("inst_status", -1)),
        fixed=split is spaces,
    )


def _stamp(place: dict[str, int]) -> Callable[[Sequence[str]], Stamp]:
    """Date and time columns; the analyzer's Unix time where it has none."""
    if not {"date", "time"} <= place.keys():
        count = place[next(name for name in _EPOCHS if name in place)]
        of_number = running("epoch_s")
        return lambda cells: (of_number(cells[count])[0], None)
    return _Clock(place["date"], place["time"], place.get("epoch_time", -1))


class _Clock:
    """Stamps by date and time; by the analyzer's Unix time where a time of day is malformed (`22:30`, `48:49.7`).

    A Unix time is shown in the clock of the rows before it, or of itself where there are none.
    """

    def __init__(self, day: int, clock: int, unix: int) -> None:
        self._day, self._clock, self._unix = day, clock, unix
        self._reader: Reader | None = None
        self._zone = 0

    def __call__(self, cells: Sequence[str]) -> Stamp:
        """Microseconds of the analyzer's clock, and what that is ahead of UTC. Raises StampError."""
        whole = cells[self._clock].count(":") == 2 or self._unix < 0
        try:
            at = self._read(f"{cells[self._day]} {cells[self._clock]}")
        except StampError:
            if self._unix < 0:
                raise
            whole = False
        if whole:
            zone = _zone(at, cells[self._unix]) if self._unix >= 0 else None
            self._zone = self._zone if zone is None else zone
            return at, zone
        return running("epoch_s")(cells[self._unix])[0] + self._zone, self._zone

    def _read(self, text: str) -> int:
        if self._reader is None:
            self._reader = sniffed(text, ("ymd", "yyyymmdd", "mdy"))
        return self._reader(text)[0]


def _zone(at: int, unix: str) -> int | None:
    """What the analyzer's clock is ahead of its Unix time, to a quarter of an hour."""
    try:
        return round((at / 1e6 - float(unix)) / 900) * 900_000_000
    except (ValueError, OverflowError):
        return None


def _notes(alarm: int, status: int) -> Callable[[Sequence[str]], frozenset[Cause]]:
    """An alarm, and a status register that says warm-up or fault, are shown beside values, which still count."""

    def notes(cells: Sequence[str]) -> frozenset[Cause]:
        found = set()
        if alarm >= 0 and _register(cells[alarm]):
            found.add(Cause.FAULT)
        if status >= 0:
            register = _register(cells[status])
            if register and register & WARMING_UP:
                found.add(Cause.WARM_UP)
            elif register and not (register & READY and register & MEASURING):
                found.add(Cause.FAULT)
        return frozenset(found) if found else _NO_NOTES

    return notes


def _register(text: str) -> int:
    """A register as the log writes it; 0, which says nothing, for what is no number."""
    try:
        return int(text) if text.isdecimal() else int(float(text))
    except (ValueError, OverflowError):
        return 0
