"""Any table of text by a declared map of its columns; without one, by the names in its header."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from drivers.recorded.columns import measured, species
from drivers.recorded.gcwerks import kept
from drivers.recorded.numbers import SENTINELS, WORDS, number
from drivers.recorded.stamps import Reader, Stamp, StampError, layout, pattern, running, sniffed
from drivers.recorded.table import Cell, Plan, Rows, Split, separated, separator, spaces
from drivers.recorded.text import Line
from metrology.recorded import Refused, Row

# Lines of units or kinds that loggers write under the names (Campbell TOA5 has two).
_UNDER_MAX: Final = 5
_DAY_PARTS: Final = 3
_DATES: Final = (
    "datetime", "date_time", "date time", "timestamp", "date/time", "time_stamp",
    "数据时间", "监测时间", "采样时间", "日期时间", "时间", "time", "date",
)  # fmt: skip
# Columns of a stamp in parts: the first three must be there, the others follow in this order.
_PARTS: Final = (
    ("year", "yyyy", "yr"), ("month", "mon", "mo"), ("day", "dd"), ("hour", "hr"), ("minute", "min"), ("second", "sec"),
)  # fmt: skip
_UNIX: Final = ("epoch_time", "epoch", "unixtime", "unix_time", "unix")


@dataclass(frozen=True, slots=True)
class Column:
    """A declared measurement: its columns of count, spread and flag, and the flags that keep the value."""

    n: str = ""
    sd: str = ""
    flag: str = ""
    good: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """How a table is read. Column names are compared in lower case; empty means: found by the names in the header.

    `time` are the columns of the stamp, joined by a space; `form` is a strftime format, `counts` a kind of running
    number, `order` the order of a date. `names` stand for the header of a file that has none, `skip` lines above it.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    time: Sequence[str] = ()
    form: str = ""
    counts: str = ""
    order: str = ""
    delimiter: str = ""
    decimal: str = "."
    names: Sequence[str] = ()
    skip: int = 0
    gas: str = ""
    air: frozenset[str] = frozenset()
    port: str = ""
    code: str = ""
    missing: frozenset[float] = SENTINELS


def read(lines: Iterable[Line], declared: Map, wanted: Callable[[str], bool] | None = None) -> Iterator[Row | Refused]:
    """Rows of a table; every value of a row is fresh."""
    header = _Header(declared, wanted or (measured if not declared.columns else lambda name: name in declared.columns))
    return Rows(header.plan, header.beside).read(_below(lines, declared))


def _below(lines: Iterable[Line], declared: Map) -> Iterator[Line]:
    """Lines after those to skip; the names of a file without a header come first."""
    if declared.names:
        yield Line(0, (declared.delimiter or ",").join(declared.names))
    for line in lines:
        if line.number > declared.skip:
            yield line


class _Header:
    def __init__(self, declared: Map, wanted: Callable[[str], bool]) -> None:
        self._declared = declared
        self._wanted = wanted
        self._under = _UNDER_MAX
        self._split: Split = spaces

    def beside(self, text: str) -> bool:
        """Lines of units under the header: no cell of them is a number, and few of them come."""
        if self._under <= 0 or any(map(_numeric, self._split(text))):
            self._under = 0
            return False
        self._under -= 1
        return True

    def plan(self, text: str) -> Plan | None:
        """Plan of a header: a line that has every declared column, or else a stamp and a measurement by their names."""
        declared = self._declared
        split = _split(declared.delimiter, text)
        names = [species(name) for name in split(text)]
        place = {name: at for at, name in enumerate(names)}
        clock = [species(name) for name in declared.time] or _clock(names)
        cells = [self._cell(name, place) for name in names if name not in clock and self._wanted(name)]
        if not cells or not clock or not place.keys() >= {*clock, *declared.columns}:
            return None
        self._split, self._under = split, _UNDER_MAX
        kind = place.get(declared.gas, -1) if declared.gas else -1
        return Plan(
            width=len(names),
            stamp=_stamp(declared, [place[name] for name in clock], clock),
            cells=cells,
            split=split,
            clock=place[clock[0]] if len(clock) == 1 else -1,
            gas=(lambda row: _gas(row[kind], declared.air)) if kind >= 0 else lambda row: None,
            port=place.get(declared.port, -1) if declared.port else -1,
            code=place.get(declared.code, -1) if declared.code else -1,
            missing=declared.missing,
            number=number if declared.decimal == "." else _with_comma,
        )

    def _cell(self, name: str, place: Mapping[str, int]) -> Cell:
        beside = self._declared.columns.get(name, Column())
        return Cell(
            name, place[name],
            n=place.get(beside.n, -1), sd=place.get(beside.sd, -1), flag=place.get(beside.flag, -1),
            good=kept if beside.good is None else beside.good.__contains__,
        )  # fmt: skip


def _split(delimiter: str, header: str) -> Split:
    if delimiter:
        return spaces if delimiter.isspace() and delimiter != "\t" else separated(delimiter)
    return separator(header)


def _numeric(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return cell.strip().lower() not in WORDS


def _with_comma(text: str, missing: frozenset[float]) -> float | None:
    return number(text.replace(",", "."), missing)


def _gas(word: str, air: frozenset[str]) -> str:
    low = word.strip().lower()
    return "" if low in air else low or "-"


def _plain(name: str) -> str:
    return name.split("(")[0].strip().lstrip("#").strip()


def _clock(names: Sequence[str]) -> list[str]:
    """Columns of the stamp by their names: date and time, one of both, or a Unix time."""
    plain = {_plain(name): name for name in names}
    for day, clock in (("date", "time"), ("日期", "时间")):
        if day in plain and clock in plain:
            return [plain[day], plain[clock]]
    return _in_parts(plain) or [plain[name] for name in (*_DATES, *_UNIX) if name in plain][:1]


def _in_parts(plain: Mapping[str, str]) -> list[str]:
    """Columns of year, month, day, hour, minute and second, as many as there are; none without a day."""
    found = [next((plain[name] for name in names if name in plain), None) for names in _PARTS]
    known = [name for name in itertools.takewhile(lambda one: one is not None, found) if name is not None]
    return known if len(known) >= _DAY_PARTS else []


def _joined(cells: Sequence[str], places: Sequence[int]) -> str:
    """A stamp in parts as one text."""
    parts = [cells[at].split(".")[0].zfill(2) for at in places]
    return "-".join(parts[:_DAY_PARTS]) + (
        " " + ":".join([*parts[_DAY_PARTS:], "00"][:3]) if parts[_DAY_PARTS:] else ""
    )


def _stamp(declared: Map, places: Sequence[int], names: Sequence[str]) -> Callable[[Sequence[str]], Stamp]:
    one = places[0] if len(places) == 1 else -1
    counts = declared.counts or ("epoch_s" if one >= 0 and names[0] in _UNIX and not declared.form else "")
    if counts:
        of_number = running(counts)
        return lambda cells: of_number(cells[places[0]])
    if not declared.form and _in_parts({_plain(name): name for name in names}) == list(names):
        of_parts = Reader(layout("ymd"))
        return lambda cells: of_parts(_joined(cells, places))
    reader: Reader | None = Reader(pattern(declared.form)) if declared.form else None
    if reader is None and declared.order:
        reader = Reader(layout(declared.order))

    def stamp(cells: Sequence[str]) -> Stamp:
        nonlocal reader
        text = cells[one] if one >= 0 else " ".join(cells[at] for at in places)
        if reader is None:
            reader = _told(text)
        return reader(text)

    return stamp


def _told(text: str) -> Reader:
    """Reader of a stamp whose order the file shows. Raises StampError where day and month may be either."""
    try:
        return sniffed(text)
    except StampError:
        found = []
        for order in ("mdy", "dmy"):
            try:
                found.append(sniffed(text, (order,)))
            except StampError:
                continue
        if len(found) != 1:
            raise StampError(text) from None
        return found[0]
