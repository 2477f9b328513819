"""The two tables of `plumeline process`, written whole or not at all."""

import contextlib
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from calibration.recorded.averaging import Average
from calibration.recorded.plateaus import Plateau
from metrology.recorded import iso

AVERAGES: Final = ("time", "species", "mean", "sd", "n", "quality")
PLATEAUS: Final = ("start", "end", "species", "mean", "sd", "n")
Put = Callable[[Sequence[Any]], None]


def number(value: float | None) -> str:
    """A number with twelve digits; empty for no value."""
    return "" if value is None else format(value, ".12g")


def average(one: Average, *, utc: bool) -> tuple[str, ...]:
    """Cells of an average."""
    return (iso(one.start, utc=utc), one.species, number(one.mean), number(one.sd), str(one.n), one.quality)


def plateau(one: Plateau, *, utc: bool) -> tuple[str, ...]:
    """Cells of a plateau."""
    ends = (iso(one.start, utc=utc), iso(one.end, utc=utc))
    return (*ends, one.species, number(one.mean), number(one.sd), str(one.n))


@contextlib.contextmanager
def table(path: str | None, head: Sequence[str], *, as_json: bool = False) -> Iterator[Put]:
    """Where the rows of a table go: a CSV file that appears when it is complete, or standard output. Raises OSError."""
    if path is None:
        yield _lines(head) if as_json else _csv(sys.stdout, head)
        return
    partial = f"{path}.partial"
    try:
        with open(partial, "w", encoding="utf-8", newline="") as file:
            yield _csv(file, head)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)


def _csv(file: io.TextIOBase | Any, head: Sequence[str]) -> Put:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    return writer.writerow


def _lines(head: Sequence[str]) -> Put:
    def put(cells: Sequence[Any]) -> None:
        print(json.dumps(dict(zip(head, cells, strict=True)), ensure_ascii=False))

    return put
