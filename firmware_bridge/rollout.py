"""A batch of updates: canaries first, then the rest, none after the first failures. Pure: it says what is next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

GOOD: Final = frozenset({"updated", "already"})


@dataclass(slots=True)
class Rollout:
    """State of a batch. `lines` maps each board to what it shares with others: one at a time on each line.

    The first `canary` boards must all end well before any other begins; after `failures_max` bad ends none begins, nor
    once a person `halted` it.
    """

    lines: Mapping[str, str]
    canary: int = 1
    failures_max: int = 1
    parallel: int = 8
    halted: bool = False
    results: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)

    @property
    def boards(self) -> Sequence[str]:
        """All boards, in the order they are taken."""
        return list(self.lines)

    @property
    def failures(self) -> int:
        """Boards that ended badly."""
        return sum(result not in GOOD for result in self.results.values())

    @property
    def stopped(self) -> bool:
        """True when no further board begins: a person said so, a canary failed, or enough others."""
        canaries = self.boards[: self.canary]
        bad_canary = any(self.results.get(board, "updated") not in GOOD for board in canaries)
        return self.halted or bad_canary or self.failures >= self.failures_max

    @property
    def ended(self) -> bool:
        """True when nothing runs and nothing will."""
        return not self.running and (self.stopped or len(self.results) == len(self.lines))

    @property
    def left(self) -> list[str]:
        """Boards that neither ended nor run."""
        return [board for board in self.lines if board not in self.results and board not in self.running]

    def begin(self) -> list[str]:
        """Boards to begin now; they count as running from here on."""
        canaries = self.boards[: self.canary]
        proven = all(board in self.results for board in canaries)
        chosen: list[str] = []
        for board in self.left if not self.stopped else []:
            busy = {self.lines[one] for one in self.running}
            if (proven or board in canaries) and len(self.running) < self.parallel and self.lines[board] not in busy:
                self.running.add(board)
                chosen.append(board)
        return chosen

    def end(self, board: str, result: str) -> None:
        """Take how a board ended."""
        self.running.discard(board)
        self.results[board] = result
