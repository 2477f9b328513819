"""Frames of boards that were not heard, to be asked again from the boards' own memory."""

from dataclasses import dataclass, field
from typing import Final

from firmware_bridge.manage import KEPT_COUNT_MAX

TRIES_MAX: Final = 3
_SEQUENCES: Final = 1 << 32


@dataclass(slots=True)
class _Board:
    boot: int
    tries: dict[int, int] = field(default_factory=dict)


class Missing:
    """Per board at most `most` sequence numbers, the newest; each is asked for TRIES_MAX times."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._boards: dict[int, _Board] = {}

    def lost(self, board: int, boot: int, before: int, count: int) -> None:
        """Note that the `count` frames before a sequence number were not heard."""
        known = self._boards.get(board)
        if known is None or known.boot != boot:
            known = self._boards[board] = _Board(boot)
        for back in range(min(count, self._most), 0, -1):
            known.tries[(before - back) % _SEQUENCES] = 0
        while len(known.tries) > self._most:
            del known.tries[next(iter(known.tries))]

    def came(self, board: int, boot: int, sequence: int) -> bool:
        """Whether a frame was missing; it no longer is."""
        known = self._boards.get(board)
        return known is not None and known.boot == boot and known.tries.pop(sequence, None) is not None

    def next(self, board: int, boot: int) -> tuple[int, int] | None:
        """First number and count to ask for now, None for nothing. What was asked often enough is given up."""
        known = self._boards.get(board)
        if known is None:
            return None
        if known.boot != boot:
            del self._boards[board]  # its memory ended with that run
            return None
        known.tries = {sequence: tries for sequence, tries in known.tries.items() if tries < TRIES_MAX}
        if not known.tries:
            return None
        # The newest first: what a board kept for longest it is the first to forget.
        last = next(reversed(known.tries))
        count = 1
        while count < KEPT_COUNT_MAX and (last - count) % _SEQUENCES in known.tries:
            count += 1
        for back in range(count):
            known.tries[(last - back) % _SEQUENCES] += 1
        return (last - count + 1) % _SEQUENCES, count
