"""The newest records of a log in memory: uplinks are mostly at its end, and need no disk there."""

import itertools
from collections import deque
from collections.abc import Iterable
from typing import Final

from agent.store.segment import Record

TAIL_BYTES: Final = 256 * 1024


class Tail:
    """Records without a hole between them, at most TAIL_BYTES of bodies."""

    def __init__(self) -> None:
        self._rows: deque[Record] = deque()
        self._bytes = 0

    def keep(self, rows: Iterable[Record]) -> None:
        """Hold what was committed just now; the oldest go."""
        for row in rows:
            self._rows.append(row)
            self._bytes += len(row.body)
        while self._bytes > TAIL_BYTES:
            self._bytes -= len(self._rows.popleft().body)

    def read(self, after: int, kinds: frozenset[str], limit: int, end: int) -> list[Record] | None:
        """Records with after < seq < end, at most `limit`; None where the tail does not reach back so far."""
        if not self._rows or self._rows[0].seq > after + 1:
            return None
        found: list[Record] = []
        for row in itertools.islice(self._rows, max(0, after + 1 - self._rows[0].seq), None):
            if row.seq >= end or len(found) >= limit:
                break
            if row.kind in kinds:
                found.append(row)
        return found
