"""Logs of LI-COR's console programs for the LI-840A (and LI-820, LI-830, LI-850): a line of the day, a header, rows.

Header of the LI-840A program: `Date(Y-M-D) Time(H:M:S) CO2(ppm) H2O(ppt) H2O(C) Cell_Temperature(C)
Cell_Pressure(kPa) CO2_Absorption H2O_Absorption` (public descriptions of such files). The LI-850 program writes only a
time of day: its date is that of the line above. A log of the bare wire holds `<li840><data><co2>..</co2>..` with a
stamp before it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from drivers.recorded.columns import measured, species
from drivers.recorded.stamps import Reader, Stamp, sniffed
from drivers.recorded.table import Cell, Plan, Rows, separator
from drivers.recorded.text import Line
from metrology.recorded import DAY, Refused, Row

_ORDERS: Final = ("ymd", "yyyymmdd", "mdy")
_TAGS: Final = re.compile(r"<(\w+)>\s*([^<>\s]+)\s*</\1>")
_XML: Final = re.compile(r"<li8[2-5]\d", re.IGNORECASE)
_DATED: Final = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}")
# Names of the wire's tags as the program writes its columns.
_NAMES: Final = {
    "co2": "co2(ppm)", "h2o": "h2o(ppt)", "h2odewpoint": "h2o(c)", "celltemp": "cell_temperature(c)",
    "cellpres": "cell_pressure(kpa)",
}  # fmt: skip
Wanted = Callable[[str], bool]


def read(lines: Iterable[Line], wanted: Wanted = measured) -> Iterator[Row | Refused]:
    """Rows of a log; every value of a row is fresh."""
    header = _Header(wanted)
    return Rows(header.plan, header.beside).read(_as_table(lines))


class _Header:
    """Makes plans, and remembers the date written above the rows."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._day = ""

    def beside(self, text: str) -> bool:
        """The line of the day, repeated where files were joined."""
        found = _DATED.search(text)
        if found and text.lstrip()[:1] in "(\"'" and not any(map(str.isalpha, text)):
            self._day = found.group()
            return True
        return False

    def plan(self, text: str) -> Plan | None:
        """Plan of a header; None, with the date kept, for a line above it."""
        split = separator(text)
        names = [species(name) for name in split(text)]
        clock = _first(names, ("time", "timestamp", "datetime"))
        if clock < 0 or not any(name.startswith(("co2", "h2o")) for name in names):
            if found := _DATED.search(text):
                self._day = found.group()
            return None
        day = _first(names, ("date",), without="datetime")
        cells = [
            Cell(name, at) for at, name in enumerate(names) if at not in (clock, day) and self._wanted(name)
        ]  # fmt: skip
        return Plan(len(names), self._stamp(day, clock), cells, split, clock if day < 0 else -1)

    def _stamp(self, day: int, clock: int) -> Callable[[Sequence[str]], Stamp]:
        reader: Reader | None = None
        last = midnights = 0

        def stamp(cells: Sequence[str]) -> Stamp:
            nonlocal reader, last, midnights
            own = cells[clock]
            dated = f"{cells[day]} {own}" if day >= 0 else own if set(own) & set("-/") else f"{self._day} {own}"
            if reader is None:
                reader = sniffed(dated, _ORDERS)
            at, zone = reader(dated)
            if day < 0 and dated != own:
                # Only a time of day: half a day back is midnight.
                midnights += at + midnights * DAY < last - DAY // 2
                at += midnights * DAY
                last = at
            return at, zone

        return stamp


def _first(names: Sequence[str], starts: tuple[str, ...], without: str = "\0") -> int:
    """Place of the first column that begins so (`system_` before it is left out); -1 for none."""
    for at, name in enumerate(names):
        plain = name.removeprefix("system_")
        if plain.startswith(starts) and not plain.startswith(without):
            return at
    return -1


def _as_table(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines of the bare wire as rows of a table; all other lines as they are."""
    header: list[str] = []
    for line in lines:
        found = _XML.search(line.text) if line.text else None
        if line.text is None or found is None:
            yield line
            continue
        tags = [(tag.lower(), value) for tag, value in _TAGS.findall(line.text)]
        names = [_NAMES.get(tag, tag) for tag, _ in tags]
        if "co2(ppm)" not in names:
            continue
        if names != header:
            header = names
            yield Line(line.number, "\t".join(["datetime", *names]))
        stamp = line.text[: found.start()].strip(" \t,;")
        yield Line(line.number, "\t".join([stamp, *(value for _, value in tags)]), line.whole)
