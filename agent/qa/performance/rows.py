"""Readings from CSV files: one value a line (time, series, value; also what `plumeline process` writes), or a column
for each series."""

import csv
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from agent.qa.performance.shape import Declaration, seconds
from drivers.recorded.numbers import number

TIMES: Final = ("time", "timestamp", "datetime", "date_time", "date time", "start", "时间")
SERIES: Final = ("series", "species", "measurand", "序列")
VALUES: Final = ("value", "mean", "数值")
END: Final = "end"
COUNT: Final = "n"
SHOWN_CHARACTERS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line that was left out, and why: a code of the sentences `performance.*`."""

    file: str
    line: int
    code: str
    found: str


@dataclass(slots=True)
class Track:
    """Readings of one series in the order of time, seconds since 1970 UTC."""

    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    counts: "array[int]" = field(default_factory=lambda: array("q"))

    def within(self, start_s: float, end_s: float) -> "Track":
        """Those in [start, end): a reading at the moment of a switch is of the gas that follows."""
        a, b = bisect_left(self.times, start_s), bisect_left(self.times, end_s)
        return Track(self.times[a:b], self.values[a:b], self.counts[a:b])

    def add(self, at: float, value: float, count: int) -> None:
        """Add one, in any order until `sort`."""
        self.times.append(at)
        self.values.append(value)
        self.counts.append(count)

    def sort(self) -> None:
        """Bring them in order; one that is there twice counts once."""
        if all(before < after for before, after in pairwise(self.times)):
            return
        order = sorted(range(len(self.times)), key=lambda place: (self.times[place], self.values[place]))
        found, last = Track(), None
        for place in order:
            this = self.times[place], self.values[place]
            if this != last:
                found.add(*this, self.counts[place])
            last = this
        self.times, self.values, self.counts = found.times, found.values, found.counts


@dataclass(frozen=True, slots=True)
class _Head:
    """Places of the columns; `wide` maps places to series where each has a column of its own."""

    time: int
    end: int | None
    series: int | None
    value: int | None
    count: int | None
    wide: Mapping[int, str]


class HeadError(ValueError):
    """A first line in which a column is missing; the text is the code of a sentence."""


def read(paths: Sequence[str], rules: Declaration) -> tuple[dict[str, Track], list[Wrong]]:
    """All series of all files, and the lines that were left out. Raises OSError."""
    tracks = {name: Track() for name in rules.series}
    wrong: list[Wrong] = []
    for path in paths:
        with Path(path).open(encoding="utf-8-sig", newline="", errors="replace") as file:
            wrong += _file(path, csv.reader(file), rules, tracks)
    for track in tracks.values():
        track.sort()
    return tracks, wrong


def _file(path: str, lines: Iterator[list[str]], rules: Declaration, tracks: dict[str, Track]) -> Iterator[Wrong]:
    names = rules.names()
    try:
        head = _head([cell.strip().lower() for cell in next(lines, [])], rules, names)
    except HeadError as error:
        yield Wrong(path, 1, str(error), "")
        return
    for place, cells in enumerate(lines, 2):
        if not any(cells):
            continue
        try:
            _line(cells, head, rules, names, tracks)
        except (ValueError, IndexError) as error:
            yield Wrong(path, place, _why(error), ",".join(cells)[:SHOWN_CHARACTERS_MAX])


def _why(error: Exception) -> str:
    return "short" if isinstance(error, IndexError) else "cell"


def _head(cells: list[str], rules: Declaration, names: Mapping[str, str]) -> _Head:
    def place(wanted: str | None, known: Sequence[str]) -> int | None:
        among = [wanted.strip().lower()] if wanted else known
        return next((cells.index(one) for one in among if one in cells), None)

    time = place(rules.columns.time, TIMES)
    if time is None:
        raise HeadError("no-time")
    series, value = place(rules.columns.series, SERIES), place(rules.columns.value, VALUES)
    wide = {at: names[cell] for at, cell in enumerate(cells) if cell in names}
    if series is not None and value is not None:
        return _Head(time, place(None, (END,)), series, value, place(None, (COUNT,)), {})
    if not wide:
        raise HeadError("no-value")
    return _Head(time, place(None, (END,)), None, None, None, wide)


def _line(
    cells: Sequence[str], head: _Head, rules: Declaration, names: Mapping[str, str], tracks: dict[str, Track]
) -> None:
    at = seconds(cells[head.time], rules.utc_offset_h)
    if head.end is not None:
        at = (at + seconds(cells[head.end], rules.utc_offset_h)) / 2.0
    count = 1
    if head.count is not None and cells[head.count]:
        count = max(1, int(cells[head.count]))
    found = head.wide.items()
    if head.series is not None and head.value is not None:
        name = names.get(cells[head.series].strip().lower())
        found = {head.value: name}.items() if name else {}.items()
    for place, series in found:
        value = number(cells[place])
        if value is not None:
            tracks[series].add(at, value, count)
