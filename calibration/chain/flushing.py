"""Visits with a flush that is long enough: where the declared one is not, it is lengthened, and said so.

A flush that is too short leaves gas of before in the minutes that count. Averaged away it would pull every tank towards
the gas before it, so leading minutes are left out, one by one, of all tanks and of the air after them, until the rest
of the gas before is no longer seen or a visit would keep too few minutes. What is then still seen gets a term.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calibration.chain import steadiness
from calibration.chain.data import Finding, Tank
from calibration.chain.visits import Prepared, Segment, Shelf, Visit, judged, mark_segments, minute_noise, visits
from calibration.models.rules import Rules
from metrology.budget import Term

# Fewest minutes that a lengthened flush leaves of the usual visit.
_KEEP: Final = 3
# The seen share is that of the first minute against the others, which hold some of it too; the mean holds about this
# many first minutes' worth, over its number of minutes, where the gas before fades by half each minute.
_FADING: Final = 2.5


@dataclass(frozen=True, slots=True)
class Flushed:
    """Visits, noise of one minute, share of the gas before that is left, and what to say about it."""

    visits: list[Visit[Tank]]
    noise: float
    rest: float
    findings: tuple[Finding, ...]
    terms: tuple[Term, ...]


def flushed(prepared: Prepared, parts: Sequence[Segment], shelf: Shelf, rules: Rules, step_s: float) -> Flushed:
    """Cut the visits, with more flush than declared where it is needed; puts the flags of flush on the minutes."""
    first: Finding | None = None
    extra = 0.0
    while True:
        raw = visits(prepared, parts, shelf, rules, extra)
        noise = minute_noise(raw)
        found = judged(raw, noise, rules)
        short = steadiness.short_flush(found, noise) if found else None
        first = first or short
        usual = sorted(one.n for one in raw)[len(raw) // 2] if raw else 0
        if short is None or usual <= _KEEP:
            break
        extra += step_s
    mark_segments(prepared, parts, rules, extra)
    if first is None:
        return Flushed(found, noise, 0.0, (), ())
    text = f"{first.text}; {extra:g} s more are left out" + ("" if short is None else ", which is not enough")
    finding = Finding(first.what, first.about, first.from_s, first.to_s, first.size, first.half_width, first.unit, text)
    if short is None or short.size is None:
        return Flushed(found, noise, 0.0, (finding,), ())
    rest = short.size / 100.0
    return Flushed(found, noise, rest, (finding,), (_term(found, rest),))


def _term(found: Sequence[Visit[Tank]], rest: float) -> Term:
    apart = [((one.before - one.mean) / one.n) ** 2 for one in found if one.before is not None]
    u = _FADING * rest * math.sqrt(math.fsum(apart) / len(apart))
    return Term("gas left from before", u, "slow", "first minutes of the visits")
