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
# In place of a path: standard output.
STDOUT: Final = "-"
Value = str | float | int | None
Put = Callable[[Sequence[Value]], None]


def number(value: float | None) -> str:
    """A number with twelve digits; empty for no value."""
    return "" if value is None else format(value, ".12g")


def average(one: Average, *, utc: bool) -> tuple[Value, ...]:
    """Cells of an average."""
    return (iso(one.start, utc=utc), one.species, one.mean, one.sd, one.n, one.quality)


def plateau(one: Plateau, *, utc: bool) -> tuple[Value, ...]:
    """Cells of a plateau."""
    return (iso(one.start, utc=utc), iso(one.end, utc=utc), one.species, one.mean, one.sd, one.n)


def clash(read: Sequence[str], written: Sequence[str | None]) -> str | None:
    """A path that would be written twice, or over a file that is read; None for none."""
    taken = {os.path.realpath(path) for path in read}
    for path in written:
        if path is None or path == STDOUT or not _replaceable(path):
            continue
        if (real := os.path.realpath(path)) in taken:
            return path
        taken.add(real)
    return None


def _replaceable(path: str) -> bool:
    """False for what is there and is no regular file: a device or a pipe is written to, never replaced."""
    return not os.path.exists(path) or os.path.isfile(path)


@contextlib.contextmanager
def table(path: str | None, head: Sequence[str], *, as_json: bool = False) -> Iterator[Put]:
    """Where the rows of a table go: a CSV file that appears when it is complete, or standard output. Raises OSError."""
    if path is None or path == STDOUT:
        yield _lines(head) if as_json else _csv(sys.stdout, head)
        return
    if not _replaceable(path):
        with open(path, "w", encoding="utf-8", newline="") as file:
            yield _csv(file, head)
        return
    path = os.path.realpath(path)
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

    def put(cells: Sequence[Value]) -> None:
        writer.writerow([number(one) if one is None or isinstance(one, float) else one for one in cells])

    return put


def _lines(head: Sequence[str]) -> Put:
    def put(cells: Sequence[Value]) -> None:
        print(json.dumps(dict(zip(head, cells, strict=True)), ensure_ascii=False))

    return put
