"""Plateaus of tank gas, found in a series without being told when they are.

A plateau is a stretch in which every gas stays within the instrument's own noise of one level, that begins and ends
with a step, or with a change of port. The tail of the flush before it is left out. Evidence a file has of its own
counts first: where a column says which gas flows, plateaus are in the stretches that are not air, and nowhere else; a
port's stretch is a plateau only where most of it is steady; gas with more than 0.5 % of water comes from no cylinder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from calibration.recorded.bins import Bin, Binner
from calibration.recorded.flush import tank_noise
from calibration.recorded.limits import Limits, limits_of, stretches
from calibration.recorded.settled import is_dry, settled, settled_tank, varies
from calibration.recorded.total import Total
from metrology.recorded import Row

# Bins looked at together, and those kept when older ones are given out: what bounds the memory.
BINS_MAX: Final = 20000
BINS_KEPT: Final = 8000
# Bins before an unfinished plateau that are kept with it: the step that began it.
_BEFORE: Final = 200
# Visits of a port that tell whether it has one gas on it.
_VISITS_MIN: Final = 3


class Plateau(NamedTuple):
    """One species during one plateau; times in microseconds, `sd` with ddof 1."""

    start: int
    end: int
    species: str
    mean: float
    sd: float | None
    n: int


class Plateaus:
    """Finds plateaus in rows; `typed` where the file itself says which rows are air."""

    def __init__(self, *, typed: bool = False) -> None:
        self._typed = typed
        self._binner = Binner()
        self._bins: list[Bin] = []
        self._given = -(1 << 62)
        self.count = 0

    def add(self, row: Row) -> Iterator[Plateau]:
        """Plateaus that are surely over."""
        for one in self._binner.add(row):
            self._bins.append(one)
            self._typed = self._typed or one.gas is not None
            if len(self._bins) >= BINS_MAX:
                yield from self._found(len(self._bins) - BINS_KEPT)

    def end(self) -> Iterator[Plateau]:
        """All others."""
        self._bins.extend(self._binner.end())
        yield from self._found(len(self._bins))

    def _found(self, until: int) -> Iterator[Plateau]:
        """Plateaus that end by bin `until`; the others are looked at again with what follows."""
        bins = sorted(self._bins, key=lambda one: one.start)
        cut = until
        for first, last in plateaus(bins, self._binner.width, typed=self._typed):
            if bins[first].start <= self._given:
                continue
            if last <= until:
                self.count += 1
                self._given = bins[last - 1].end
                yield from _totals(bins[first:last])
            else:
                cut = min(cut, max(first - _BEFORE, 0))
        # A plateau longer than all that is held is given out in parts.
        self._bins = bins[cut or until :]


def plateaus(bins: Sequence[Bin], width: int, *, typed: bool) -> Iterator[tuple[int, int]]:
    """First bin of each plateau and the bin after its last, in order; `width` of a bin in microseconds."""
    limits = limits_of(bins, width)
    if not limits.levels:
        return
    found = list(_searched(bins, limits, typed=typed))
    # What plateaus show of slow noise was not in the differences of neighbours: with it they are looked for again.
    wider = limits.widened(found)
    yield from found if wider is None else _searched(bins, wider, typed=typed)


def _searched(bins: Sequence[Bin], limits: Limits, *, typed: bool) -> Iterator[tuple[int, int]]:
    pieces = list(stretches(bins, limits.gap))
    if typed:
        tanks = [one for one in pieces if bins[one[0]].gas]
        limits = replace(limits, noise=tank_noise(limits.levels, limits.noise, tanks))
        for first, last in tanks:
            yield from settled_tank(bins, first, last, limits)
        return
    found = [one for place in range(len(pieces)) for one in settled(bins, pieces, place, limits)]
    inlets = _inlets(bins, found, limits)
    yield from (one for one in found if one not in inlets)


def _inlets(bins: Sequence[Bin], found: Sequence[tuple[int, int]], limits: Limits) -> set[tuple[int, int]]:
    """Visits of ports that have air on them, however steady: what is seen there differs from visit to visit.

    A valve that never turns tells nothing, and dry gas in a wet series is of a tank on whatever port.
    """
    visits: dict[str, list[tuple[int, int]]] = {}
    if len({one.port for one in bins}) > 1:
        for first, last in found:
            if (port := bins[first].port) is not None and not is_dry(bins[first:last], limits):
                visits.setdefault(port, []).append((first, last))
    return {visit for own in visits.values() if len(own) >= _VISITS_MIN and varies(own, limits) for visit in own}


def _totals(bins: Sequence[Bin]) -> Iterator[Plateau]:
    names = dict.fromkeys(name for one in bins for name in one.totals)
    start, end = min(one.start for one in bins), max(one.end for one in bins)
    for name in names:
        total = Total()
        for one in bins:
            if (part := one.totals.get(name)) is not None:
                total.merge(part)
        yield Plateau(start, end, name, total.mean, total.sd, total.n)
