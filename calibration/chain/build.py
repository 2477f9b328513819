"""Everything that must be known before the first value: visits, faults, reference, responses, checks, in this order.

A leak is looked for first, for it spoils the visits all else rests on; then the reference's outliers and steps; then
the calibrations, and the standard whose assigned value they contradict; then the target, judged as found.
"""

import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from calibration.chain import control, steadiness
from calibration.chain.calibrations import Found, groups, response_of, used
from calibration.chain.checks import checks, unexplained
from calibration.chain.control import Interval
from calibration.chain.data import Check, Finding, Flag, Minute, Reference, ResponseUsed, Standard, Tank, Target
from calibration.chain.disagreement import disagreement
from calibration.chain.flushing import flushed
from calibration.chain.leak import find_leaks
from calibration.chain.path import Curves, Path
from calibration.chain.periods import Budgeting
from calibration.chain.visits import Prepared, Shelf, Visit, prepare, segments
from calibration.models.bracket import Bracket
from calibration.models.reference import Point, Track, likeliest_walk, random_walk
from calibration.models.response import Response, Responses, coefficient_walk
from calibration.models.rules import Rules
from metrology.budget import Term

Blocks = dict[int, list[Visit[Tank]]]


@dataclass(frozen=True, slots=True)
class Built:
    """What the values are made with."""

    prepared: Prepared
    path: Path
    intervals: tuple[Interval, ...]
    budgeting: Budgeting
    checks: tuple[Check, ...]
    responses: tuple[ResponseUsed, ...]
    findings: tuple[Finding, ...]


class _Builder:
    """The steps of `build`, and what each leaves for the next."""

    def __init__(
        self, minutes: Sequence[Minute], tanks: Sequence[Tank], rules: Rules, unit: str, step_s: float
    ) -> None:
        self.rules, self.unit, self.shelf = rules, unit, Shelf(tanks)
        self.prepared = prepare(minutes, rules)
        parts = segments(self.prepared)
        cut = flushed(self.prepared, parts, self.shelf, rules, step_s)
        self.visits, self.noise, self.rest = cut.visits, cut.noise, cut.rest
        self.edges = sorted({*self.shelf.edges(), *rules.breaks})
        self.begin = minutes[0].at_s if minutes else 0.0
        self.end = minutes[-1].at_s + 1.0 if minutes else 0.0
        self.findings: list[Finding] = list(cut.findings)
        self.intervals: list[Interval] = []
        self.terms: list[Term] = list(cut.terms)

    def blocks(self, of: type[Tank]) -> Blocks:
        """Usable visits of a kind of tank by block."""
        found: Blocks = {}
        for one in self.visits:
            if isinstance(one.tank, of) and not one.trouble:
                found.setdefault(bisect_right(self.edges, one.at_s), []).append(one)
        return found

    def walk(self, estimate: Callable[[Sequence[Sequence[Point]]], float] = random_walk) -> float:
        """The analyzer's random walk, from the tank kind that says most about it."""
        kind = next(
            (k for k in (Reference, Target, Standard) if any(len(v) > 1 for v in self.blocks(k).values())), Tank
        )
        return estimate([[v.point for v in track] for track in self._tracks_of(kind)])

    def _tracks_of(self, kind: type[Tank]) -> Iterator[list[Visit[Tank]]]:
        for block in self.blocks(kind).values():
            labels = dict.fromkeys(one.tank.label for one in block)
            for label in labels:
                yield [one for one in block if one.tank.label == label]

    def leaks(self) -> None:
        """Take visits that hold air out, and the time between the good ones around them.

        Where air is close to the tank a leak cannot be seen, so the visits next to it are not trusted either.
        """
        usable = [one for one in self.visits if not one.trouble]
        for leak in find_leaks(usable, self.walk(), max(0.002, 2.0 * self.rest)):
            margin = self._pause()
            low, high = leak.from_s - margin, leak.to_s + margin
            bad = {one.at_s for one in self.visits if low <= one.at_s <= high}
            self.visits = steadiness.troubled(self.visits, bad, "holds air")
            kind = Reference if self.blocks(Reference) else Tank
            good = [one.at_s for one in self.visits if isinstance(one.tank, kind) and not one.trouble]
            from_s = max((t for t in good if t < low), default=self.begin)
            to_s = min((t for t in good if t > high), default=self.end)
            self.intervals.append(Interval(from_s, to_s, Flag.LEAK))
            text = f"tank readings follow the air: {', '.join(leak.tanks)}"
            self.findings.append(
                Finding("leak", "valve", leak.from_s, leak.to_s, 100.0 * leak.share, 196.0 * leak.u, "%", text)
            )

    def _pause(self) -> float:
        """The usual time between two visits of the kind of tank that is read most, and a little more."""
        tracks = [track for kind in (Reference, Tank) for track in self._tracks_of(kind) if len(track) > 1]
        gaps = [b.at_s - a.at_s for a, b in pairwise(tracks[0])] if tracks else []
        return 1.1 * statistics.median(gaps) if gaps else 0.0

    def references(self) -> dict[int, Track]:
        """Tracks of the reference without outliers; steps and drift named."""
        walk = self.walk(likeliest_walk)
        pieces: list[list[Visit[Tank]]] = []
        for block in self.blocks(Reference).values():
            limit = self.rules.at(block[0].at_s).step_limit
            outliers, steps = steadiness.without_outliers(block, walk, limit)
            self.visits = steadiness.troubled(self.visits, set(outliers), "unlike the readings around it")
            for one in steps:
                self.intervals.append(Interval(one.from_s, one.to_s, Flag.STEP))
                text = "the reference moved more than its drift allows"
                about = block[0].tank.label
                self.findings.append(Finding("step", about, one.from_s, one.to_s, one.size, unit=self.unit, text=text))
            pieces += steadiness.pieces([one for one in block if one.at_s not in outliers], [one.to_s for one in steps])
        walk = self.walk(likeliest_walk)
        self.findings += steadiness.drift([[v.point for v in piece] for piece in pieces], walk, self.unit)
        # A tower's reference is one of its standards.
        named = {i: [v for v in block if v.tank.name == self.rules.at(v.start_s).reference]
                 for i, block in self.blocks(Standard).items()}  # fmt: skip
        found = {i: block for i, block in named.items() if block} | self.blocks(Reference)
        return {i: Track([v.point for v in block], walk) for i, block in found.items()}

    def responses(self, tracks: Mapping[int, Track]) -> list[Found]:
        """All calibrations, with the contradicted standards left out where the rules say so."""
        cut = groups(self.visits, self.rules, self.edges)
        found = self._fitted(cut, tracks, frozenset())
        wrong: set[str] = set()
        for block in self._by_block(found).values():
            settings = self.rules.at(block[0].at_s)
            findings, labels = disagreement(block, settings.degree, self.unit)
            self.findings += findings
            wrong |= labels if settings.wrong_standard == "leave-out" and not self.rest else set()
        found = self._fitted(cut, tracks, frozenset(wrong)) if wrong else found
        self.findings += [
            Finding("rejected-calibration", "calibration", one.at_s, one.at_s, text=one.rejected)
            for one in found if one.rejected
        ]  # fmt: skip
        return found

    def _fitted(self, cut: Sequence[Sequence[Visit[Tank]]], tracks: Mapping[int, Track], without: frozenset[str]
                ) -> list[Found]:  # fmt: skip
        def track_at(at_s: float) -> Track | None:
            return tracks.get(bisect_right(self.edges, at_s))

        return [response_of(group, self.rules.at(group[0].start_s), track_at, without) for group in cut]

    def _by_block(self, found: Sequence[Found], edges: Sequence[float] | None = None) -> dict[int, list[Response]]:
        blocks: dict[int, list[Response]] = {}
        for one in found:
            if one.response is not None:
                blocks.setdefault(bisect_right(edges or self.edges, one.at_s), []).append(one.response)
        return blocks

    def curves(self, found: Sequence[Found], cuts: Sequence[float]) -> tuple[list[float], dict[int, Curves]]:
        """Responses by block, cut also where the analyzer changed its state; a piece without any takes those before."""
        edges = sorted({*self.edges, *cuts})
        walk = coefficient_walk(list(self._by_block(found, edges).values()))
        whole, pieces = self._by_block(found), self._by_block(found, edges)
        curves: dict[int, Curves] = {}
        for place in range(len(edges) + 1):
            settings = self.rules.at(edges[place - 1] if place else self.begin)
            fallback = whole.get(bisect_right(self.edges, edges[place - 1]) if place else 0, [])
            own, how = pieces.get(place), settings.response_from
            if own or fallback:
                curves[place] = Responses(own or fallback, how if own else "previous", settings.cal_time_diff_s, walk)
        return edges, curves

    def brackets(self, tracks: Mapping[int, Track]) -> dict[int, Curves]:
        """Every standard as a track of its own, without those the others contradict where the rules say so."""
        walk = self.walk(likeliest_walk)
        curves: dict[int, Curves] = {}
        for place, block in self.blocks(Standard).items():
            settings = self.rules.at(block[0].at_s)
            own: dict[Standard, list[Point]] = {}
            for one in block:
                if isinstance(one.tank, Standard):
                    own.setdefault(one.tank, []).append(one.point)
            standards = {tank: Track(points, walk) for tank, points in own.items()}
            reference = tracks.get(place) if settings.reference else None
            found = Bracket(standards, reference, settings.operation, settings.degree, settings.max_ref_gap_s)
            rarest = min(own.values(), key=len)
            fits = [fit for point in rarest if (fit := found.response(point.at_s)) and len(fit.points) == len(own)]
            findings, labels = disagreement(fits, settings.degree, self.unit)
            self.findings += findings
            if labels and settings.wrong_standard == "leave-out":
                standards = {tank: track for tank, track in standards.items() if tank.label not in labels}
                found = Bracket(standards, reference, settings.operation, settings.degree, settings.max_ref_gap_s)
            curves[place] = found
        return curves

    def expired(self) -> None:
        """Name the reference and standards used after their expiry; the values stay, with the flag."""
        for tank in self.shelf.tanks:
            used = [one.at_s for one in self.visits if one.tank is tank and one.at_s >= tank.expires_s]
            if not used:
                continue
            self.findings.append(Finding("expired", tank.label, max(self.begin, tank.expires_s), used[-1],
                                         text="used after its expiry"))  # fmt: skip
            if not isinstance(tank, Target):
                self.intervals.append(Interval(tank.expires_s, min(self.end, tank.to_s), Flag.EXPIRED))

    def controlled(self, tracks: Mapping[int, Track], found: Sequence[Found]) -> tuple[Path, list[Check]]:
        """Path by all calibrations, after the target was judged as found; out-of-control intervals on the way."""
        whole = self._by_block(found)
        before = {i: Responses(block, "previous", self.rules.at(block[0].at_s).cal_time_diff_s)
                  for i, block in whole.items()}  # fmt: skip
        as_found = self.checked(Path(self.rules, self.edges, tracks, self.edges, before))
        edges, curves = self.curves(found, control.breaks(as_found))
        path = Path(self.rules, self.edges, tracks, edges, curves)
        final = self.checked(path)
        for each in (as_found, final):
            self.intervals += control.out_of_control(each, self.begin, self.end)
        self.findings += control.found_out(as_found, control.out_of_control(as_found, self.begin, self.end), self.unit)
        self.terms += unexplained(control.trusted(final, self.intervals))
        return path, final

    def checked(self, path: Path) -> list[Check]:
        """The target's visits by a path."""
        return checks(self.visits, path, Budgeting(path, self.rules, self.noise, tuple(self.terms)), self.rules)


def build(minutes: Sequence[Minute], tanks: Sequence[Tank], rules: Rules, unit: str, step_s: float) -> Built:
    """All steps in order. Raises ValueError as `calibrate` does."""
    rules = _with_reference(rules, tanks)
    one = _Builder(minutes, tanks, rules, unit, step_s)
    one.leaks()
    tracks = one.references()
    found: list[Found] = []
    if rules.at(one.begin).method == "bracket":
        path = Path(rules, one.edges, tracks, one.edges, one.brackets(tracks))
        final = one.checked(path)
        one.intervals += control.out_of_control(final, one.begin, one.end)
        one.findings += control.found_out(final, one.intervals, unit)
        one.terms += unexplained(control.trusted(final, one.intervals))
    else:
        found = one.responses(tracks)
        path, final = one.controlled(tracks, found)
    one.expired()
    budgeting = Budgeting(path, rules, one.noise, tuple(one.terms))
    return Built(one.prepared, path, tuple(one.intervals), budgeting, tuple(final), tuple(used(found)),
                 tuple(sorted(one.findings, key=lambda f: (f.from_s, f.what, f.about))))  # fmt: skip


def _with_reference(rules: Rules, tanks: Sequence[Tank]) -> Rules:
    """The rules with the declared reference as default."""
    name = next((one.name for one in tanks if isinstance(one, Reference)), None)
    if rules.base.reference is not None or name is None:
        return rules
    return rules.with_base(replace(rules.base, reference=name))
