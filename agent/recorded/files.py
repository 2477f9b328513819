"""Recorded files opened, whole or packed by gzip, and read together in the order of their clocks."""

import gzip
import heapq
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from drivers.recorded.text import Line, lines
from metrology.recorded import Refused, Row

PIECE: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
Found = tuple[str, Row | Refused]


def pieces(path: str) -> Iterator[bytes]:
    """Bytes of a file; a packed file that was cut gives what it has. Raises OSError."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if packed else raw
        while True:
            try:
                piece = file.read1(PIECE) if packed else file.read(PIECE)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                return
            if not piece:
                return
            yield piece


def together(paths: Sequence[str], read: Callable[[Iterator[Line]], Iterator[Row | Refused]]) -> Iterator[Found]:
    """Rows of all files by time. Files wait closed until their first row is due, so that few are open at once.

    Within a file the order is that of its lines, also where its clock was set back. Raises OSError.
    """
    waiting = sorted((_first(read(lines(pieces(path)))), place) for place, path in enumerate(paths))
    heap: list[tuple[int, int, Row | Refused, Iterator[Row | Refused]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[0][0] <= heap[0][0]):
            at, place = waiting.pop(0)
            rows = read(lines(pieces(paths[place])))
            if (row := next(rows, None)) is not None:
                heapq.heappush(heap, (at, place, row, rows))
        if heap:
            at, place, row, rows = heap[0]
            yield paths[place], row
            following = next(rows, None)
            if following is None:
                heapq.heappop(heap)
            else:
                due = max(at, following.at) if isinstance(following, Row) else at
                heapq.heapreplace(heap, (due, place, following, rows))


def _first(rows: Iterator[Row | Refused]) -> int:
    """Time of the first row; before all others for a file without one."""
    return next((row.at for row in rows if isinstance(row, Row)), -(1 << 62))
