"""What a report is made of: sections of notes, tables and charts, each figure with the records it was made of.

A report is in one language and holds no page, no sheet, no ink: `host.reports` turns it into files. Instants are aware
UTC; numbers are in the unit of their column or chart.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from metrology.periods import iso

Lang = Literal["en", "zh"]
Kind = Literal["drift", "calibration", "performance", "emission", "account", "capture"]
KINDS: Final[tuple[Kind, ...]] = ("drift", "calibration", "performance", "emission", "account", "capture")
# Epoch and sequence number of a record.
RecordId = tuple[int, int]
Level = Literal["good", "warn", "bad", "none"]
Shape = Literal["line", "points", "steps", "bars"]
# What a coloured span of a chart says of its time.
Shade = Literal["suspect", "out", "run", "substituted", "goal"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement: its word as records have it, its text, how bad it is; whether its limit was seen in the source."""

    word: str
    text: str
    level: Level
    verified: bool = True


Cell = str | float | int | datetime | Verdict | None


@dataclass(frozen=True, slots=True)
class Column:
    """`decimals` None: as many as five significant digits need. `total`: the column is summed below its last row."""

    title: str
    kind: Literal["text", "number", "time", "verdict"] = "text"
    unit: str = ""
    decimals: int | None = None
    total: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns; the records they rest on; series and time to trace them by."""

    cells: tuple[Cell, ...]
    records: tuple[RecordId, ...] = ()
    trace: tuple[str, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table; without rows its title is followed by the words that there is nothing."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def linked(self) -> bool:
        """Whether any row names a record or a time."""
        return any(row.records or row.trace for row in self.rows)

    def sums(self) -> dict[int, float]:
        """Sums of the columns that have one, by their place; of the cells that are numbers."""
        return {
            at: math.fsum(one for row in self.rows if isinstance(one := row.cells[at], int | float))
            for at, column in enumerate(self.columns)
            if column.total
        }


@dataclass(frozen=True, slots=True)
class Line:
    """Values over x: unix seconds, or numbers. None breaks a line. `records` is empty, or one for each x.

    `bars` are drawn from 0, each as wide as the distance of two x.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    shape: Shape = "line"
    records: tuple[RecordId | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """A horizontal line of a chart."""

    name: str
    value: float
    level: Level
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """A time [start, end) of a chart that stands apart."""

    name: str
    start: datetime
    end: datetime
    shade: Shade


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time, or over a number (a histogram)."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()
    spans: tuple[Span, ...] = ()
    x: Literal["time", "number"] = "time"
    x_title: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part."""

    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What stands above every report. `configuration` is the SHA-256 in force at the end, None where none is on record.

    `instruments` are (name, what it is, serial number); `offset_h` is how far the station's day is ahead of UTC; `page`
    is the address of the page that traces numbers, empty where there is none.
    """

    station: str
    name: str
    since: datetime
    until: datetime
    made: datetime
    made_by: str
    software: str
    configuration: str | None
    offset_h: float = 8.0
    simulated: bool = False
    page: str = ""
    instruments: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report. `verdict` is the worst of all it holds; `bodies` are the records it rests on, as in the log.

    `ledger` proves that these lie in a signed tree (`host.reports.proofs`); None where there is none.
    """

    kind: Kind
    lang: Lang
    title: str
    header: Header
    verdict: Verdict
    sections: tuple[Section, ...]
    bodies: Mapping[RecordId, str] = field(default_factory=dict)
    ledger: Mapping[str, Any] | None = None

    def tables(self) -> Iterator[Table]:
        """All tables, in order."""
        for section in self.sections:
            yield from section.tables

    def records(self) -> list[RecordId]:
        """Every record a table or a chart rests on, each once: those of tables first."""
        named = [one for table in self.tables() for row in table.rows for one in row.records]
        named += [
            one for section in self.sections for chart in section.charts for line in chart.lines
            for one in line.records if one is not None
        ]  # fmt: skip
        return list(dict.fromkeys(named))

    def fields(self) -> dict[str, Any]:
        """The report as JSON members, without the bodies: the twin a machine reads. Instants are ISO, UTC."""
        found: dict[str, Any] = _plain(self)
        return found


def record_name(record: RecordId) -> str:
    """A record by its number, as people and anchors have it: `epoch-seq`."""
    return f"{record[0]}-{record[1]}"


def _plain(value: Any) -> Any:
    """Members of dataclasses by name, instants as text; what is empty is left out."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        members = ((name, getattr(value, name)) for name in value.__dataclass_fields__ if name != "bodies")
        return {name: _plain(one) for name, one in members if one not in ((), "", None)}
    return value
