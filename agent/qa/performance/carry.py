"""From the declaration and the readings to outcomes: every test that the declaration allows, of every series."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agent.qa.performance.rows import Track
from agent.qa.performance.shape import Declaration, Reference, SeriesRules, seconds
from agent.qa.performance.windows import Window, close_together, windows
from calibration.qa.performance import gases, reference
from calibration.qa.performance.limits import Basis, Outcome, Test
from metrology.measurand import catalogue

DAY_S: Final = 86400.0
REPEATS_MIN: Final = 3
AUDITS_MIN: Final = 3
# A step in percent of full scale, or of the larger reading where no full scale is declared, that is worth timing.
STEP_MIN: Final = 0.05
# The steady reading before a step is the mean of so many seconds before it; after it, of the last part of the gas.
BEFORE_S: Final = 60.0


class _Series:
    """The tests of one series."""

    def __init__(self, name: str, block: SeriesRules, track: Track, rules: Declaration) -> None:
        self.name, self.block, self.track = name, block, track
        last = name.rpartition(".")[2]
        self.measurand = block.measurand or (last if last in catalogue() else name)
        self.windows = windows(name, track, rules)

    def outcome(
        self, test: Test, about: str, n: int, figures: Mapping[Basis, float | None], mean: float | None = None,
        **detail: float | None,
    ) -> Outcome:  # fmt: skip
        known = {basis: value for basis, value in figures.items() if value is not None}
        return Outcome(
            test, self.name, self.measurand, about, self.block.unit, n, known, detail, mean, self.block.full_scale
        )

    def untested(self, test: Test, about: str, why: str) -> Outcome:
        return Outcome(test, self.name, self.measurand, about, self.block.unit, 0, why=why)

    def percent_of_scale(self, value: float) -> float | None:
        return value / self.block.full_scale * 100.0 if self.block.full_scale else None

    def by_gas(self) -> dict[tuple[str, float], list[Window]]:
        """Windows of one gas and amount together."""
        found: dict[tuple[str, float], list[Window]] = {}
        for one in self.windows:
            found.setdefault((one.gas, one.assigned), []).append(one)
        return found

    def gas_tests(self) -> Iterator[Outcome]:
        levels = []
        for (gas, assigned), turns in self.by_gas().items():
            about = f"{gas} ({assigned:g} {self.block.unit})"
            level = gases.Level(len(turns), assigned, gases.mean_of([one.mean for one in turns]))
            levels.append(level)
            yield from self._repeatability(about, turns, zero=assigned == 0)
            yield self._error(about, level)
            if assigned and len(turns) >= AUDITS_MIN:
                yield self.outcome("audit", about, len(turns), {"percent_gas": level.percent_of_gas}, level.mean)
            yield from self._drifts(about, turns)
        if levels:
            yield self._linearity(levels)
            yield from self._responses()

    def _repeatability(self, about: str, turns: Sequence[Window], *, zero: bool) -> Iterator[Outcome]:
        """Of injections repeated within hours; of the steady readings where there are too few of them."""
        repeated = close_together(turns)
        if len(repeated) >= REPEATS_MIN:
            found: gases.Repeatability | None = gases.repeatability([one.mean for one in repeated])
        else:
            found = gases.pooled([one.track.values for one in turns])
        if found is None or found.n < REPEATS_MIN:
            yield self.untested("repeatability", about, "few")
            return
        size = gases.detection_limit(found.sd) if zero else found.sd
        figures: dict[Basis, float | None] = {
            "percent_mean": None if zero else found.percent, "absolute": size,
            "percent_scale": self.percent_of_scale(size),
        }  # fmt: skip
        test: Test = "detection-limit" if zero else "repeatability"
        injections = float(len(repeated)) if len(repeated) >= REPEATS_MIN else None
        yield self.outcome(test, about, found.n, figures, found.mean, sd=found.sd, injections=injections)

    def _error(self, about: str, level: gases.Level) -> Outcome:
        test: Test = "indication-error" if level.assigned else "zero-error"
        figures: dict[Basis, float | None] = {
            "absolute": level.error, "percent_gas": level.percent_of_gas,
            "percent_scale": self.percent_of_scale(level.error),
        }  # fmt: skip
        return self.outcome(test, about, level.n, figures, level.mean, reading=level.mean)

    def _drifts(self, about: str, turns: Sequence[Window]) -> Iterator[Outcome]:
        readings = [(one.counts, one.mean) for one in turns]
        for test, span in (("drift-24h", DAY_S), ("drift-7d", 7 * DAY_S)):
            found = gases.drift(readings, span)
            name: Test = "drift-24h" if test == "drift-24h" else "drift-7d"
            if found is None:
                if len(turns) > 1:
                    yield self.untested(name, about, "span")
                continue
            figures: dict[Basis, float | None] = {
                "absolute": found.change, "percent_scale": self.percent_of_scale(found.change),
            }  # fmt: skip
            yield self.outcome(name, about, found.pairs, figures, first_s=found.first_s, second_s=found.second_s)

    def _linearity(self, levels: Sequence[gases.Level]) -> Outcome:
        found = gases.linearity(levels)
        about = ", ".join(f"{one.assigned:g}" for one in sorted(levels, key=lambda one: one.assigned))
        if found is None:
            return self.untested("linearity", about, "levels")
        figures: dict[Basis, float | None] = {
            "r2": found.r2, "absolute": found.worst, "percent_scale": self.percent_of_scale(found.worst),
        }  # fmt: skip
        return self.outcome(
            "linearity", about, len(levels), figures, slope=found.slope, intercept=found.intercept, r2=found.r2
        )

    def _responses(self) -> Iterator[Outcome]:
        """Every change from a steady reading to a gas; the slowest rise and the slowest fall are told."""
        slowest: dict[bool, tuple[gases.Response, str, int]] = {}
        for one in self.windows:
            found = self._response(one)
            if found is not None:
                known = slowest.get(found.rising)
                count = 1 if known is None else known[2] + 1
                slower = known is None or found.t90_s > known[0].t90_s
                slowest[found.rising] = (found, one.gas, count) if slower or known is None else (*known[:2], count)
        for rising, (found, gas, count) in sorted(slowest.items(), reverse=True):
            about = f"{'rise' if rising else 'fall'}, {gas}"
            detail = {"lag_s": found.lag_s, "transit_s": found.transit_s, "before": found.before, "after": found.after}
            yield self.outcome("response", about, count, {"seconds": found.t90_s}, **detail)

    def _response(self, window: Window) -> gases.Response | None:
        before = self.track.within(window.start - BEFORE_S, window.start)
        if not before.times:
            return None
        steady, after = gases.mean_of(before.values, before.counts), window.mean
        scale = self.block.full_scale or max(abs(steady), abs(after))
        if abs(after - steady) < STEP_MIN * scale:
            return None
        seen = self.track.within(window.start - BEFORE_S, window.end)
        return gases.response(seen.times, seen.values, window.start, steady, after)


def _average(track: Track, period_s: float) -> Track:
    """Means of whole periods, stamped with their middle."""
    found: dict[int, list[float]] = {}
    for at, value in zip(track.times, track.values, strict=True):
        found.setdefault(int(at // period_s), []).append(value)
    made = Track()
    for number, values in sorted(found.items()):
        made.add((number + 0.5) * period_s, gases.mean_of(values), len(values))
    return made


def _beside(one: Reference, ours: _Series, theirs: Track, rules: Declaration) -> Iterator[Outcome]:
    """The tests against one reference."""
    if one.runs:
        yield from _rata(one, ours, theirs, rules)
        return
    ends = [seconds(text, rules.utc_offset_h) if text else None for text in (one.from_, one.to)]
    start, end = (float("-inf") if ends[0] is None else ends[0]), (float("inf") if ends[1] is None else ends[1])
    track, beside = ours.track.within(start, end), theirs.within(start, end)
    if one.average_s is not None:
        track, beside = _average(track, one.average_s), _average(beside, one.average_s)
    x, y = array("d"), array("d")
    for theirs_then, ours_then in reference.paired(
        track.times, track.values, beside.times, beside.values, one.tolerance_s
    ):
        x.append(theirs_then)
        y.append(ours_then)
    found = reference.comparison(x, y, one.u_reference, one.u)
    if found is None:
        yield ours.untested("comparison", one.reference, "pairs")
        return
    figures: dict[Basis, float | None] = {
        "absolute": found.bias, "percent_error": found.percent, "r2": found.r2,
        "percent_scale": ours.percent_of_scale(found.bias),
    }  # fmt: skip
    u_slope, u_intercept = found.errors or (None, None)
    yield ours.outcome(
        "comparison", one.reference, found.n, figures, found.reference, bias=found.bias, rmse=found.rmse, sd=found.sd,
        r2=found.r2, slope=found.slope, intercept=found.intercept, u_slope=u_slope, u_intercept=u_intercept,
    )  # fmt: skip


def _rata(one: Reference, ours: _Series, theirs: Track, rules: Declaration) -> Iterator[Outcome]:
    pairs = []
    for run in one.runs:
        ends = [seconds(text, rules.utc_offset_h) for text in (run.from_, run.to)]
        track, beside = ours.track.within(*ends), theirs.within(*ends)
        if track.times and beside.times:
            pairs.append((gases.mean_of(beside.values, beside.counts), gases.mean_of(track.values, track.counts)))
    found = reference.rata(pairs)
    if found is None:
        yield ours.untested("accuracy", one.reference, "runs")
        return
    figures: dict[Basis, float | None] = {
        "percent_rata": found.percent, "absolute": found.difference, "percent_error": found.relative_error,
    }  # fmt: skip
    detail = {"difference": found.difference, "sd": found.sd, "confidence": found.confidence}
    yield ours.outcome("accuracy", one.reference, found.n, figures, found.reference, **detail)
    excess = found.difference - abs(found.confidence)
    bias: dict[Basis, float | None] = {"absolute": max(0.0, excess)}
    yield ours.outcome("bias", one.reference, found.n, bias, found.reference, factor=found.adjustment_factor)


def outcomes(tracks: Mapping[str, Track], rules: Declaration) -> Iterator[Outcome]:
    """All outcomes, series by series in the order of the declaration."""
    wanted = set(rules.tests)
    for name, block in rules.series.items():
        ours = _Series(name, block, tracks[name], rules)
        found = [*ours.gas_tests()]
        for one in rules.references:
            if one.series == name:
                found += _beside(one, ours, tracks[one.reference], rules)
        yield from (one for one in found if not wanted or one.test in wanted)
