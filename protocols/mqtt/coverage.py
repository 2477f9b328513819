"""Which sequence numbers of one epoch are accounted for. Both ends keep it: the centre to find holes, the station to
know what is acknowledged.

A message says `prev` and its bodies: between them nothing was meant for this peer, so it accounts for (prev, last].
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

SPANS_MAX: Final = 4096

Span = tuple[int, int]


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for first, last in sorted(spans):
        if current is None:
            current = first, last
        elif first <= current[1] + 1:
            current = current[0], max(current[1], last)
        else:
            yield current
            current = first, last
    if current is not None:
        yield current


@dataclass(frozen=True, slots=True)
class Coverage:
    """Ascending, disjoint, inclusive spans with a hole between neighbours; at most SPANS_MAX of them."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> "Coverage":
        """Coverage of spans in any order, overlapping or not. Spans that are empty are left out."""
        return cls(tuple(_merged((first, last) for first, last in spans if 0 <= first <= last)))

    @property
    def through(self) -> int:
        """Highest number up to which there is no hole; -1 where 0 itself is missing."""
        return self.spans[0][1] if self.spans and self.spans[0][0] == 0 else -1

    @property
    def highest(self) -> int:
        """Highest number accounted for, -1 for none."""
        return self.spans[-1][1] if self.spans else -1

    def covers(self, prev: int, last: int) -> bool:
        """Whether all of (prev, last] is accounted for."""
        at = bisect_right(self.spans, (prev + 1, 2**63)) - 1
        return prev >= last or (at >= 0 and self.spans[at][1] >= last)

    def add(self, prev: int, last: int) -> "Coverage":
        """The coverage with (prev, last]; unchanged where that would make more than SPANS_MAX islands.

        What is left out is asked for again, so a peer that scatters its numbers harms only itself.
        """
        first = max(prev + 1, 0)
        if last < first:
            return self
        low = bisect_left(self.spans, first - 1, key=lambda span: span[1])
        high = bisect_right(self.spans, last + 1, key=lambda span: span[0])
        touched = self.spans[low:high]
        if touched:
            first, last = min(first, touched[0][0]), max(last, touched[-1][1])
        elif len(self.spans) >= SPANS_MAX:
            return self
        return Coverage((*self.spans[:low], (first, last), *self.spans[high:]))

    def common(self, other: "Coverage") -> "Coverage":
        """What both account for."""
        found: list[Span] = []
        for first, last in self.spans:
            at = bisect_left(other.spans, first, key=lambda span: span[1])
            for start, end in other.spans[at:]:
                if start > last:
                    break
                found.append((max(first, start), min(last, end)))
        return Coverage(tuple(found))

    def holes(self, end: int) -> Iterator[Span]:
        """Inclusive spans up to `end` that are not accounted for, ascending."""
        first = 0
        for start, last in self.spans:
            if start > end:
                break
            if start > first:
                yield first, start - 1
            first = last + 1
        if first <= end:
            yield first, end
