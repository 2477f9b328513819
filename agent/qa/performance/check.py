"""What must agree between the parts of RULES, each problem at its line."""

from functools import cache
from itertools import pairwise
from typing import Any

from agent.qa.performance.shape import Declaration, Gas, seconds
from host.document import Document, KeyPath
from host.hjson import read, validate
from host.problems import ConfigErrors, Lang, Problem, Sentences


@cache
def sentences() -> Sentences:
    """What is wrong, in two languages."""
    return Sentences("agent.qa.performance", "sentences.toml")


class _Findings:
    def __init__(self, document: Document, rules: Declaration) -> None:
        self.document, self.rules = document, rules
        self.problems: list[Problem] = []

    def note(self, code: str, *path: str | int, at_key: bool = False, **values: Any) -> None:
        said = sentences().say(code, self.document.lang, **values)
        places: KeyPath = path
        self.problems.append(self.document.placed(code, places, said, at_key=at_key))

    def series(self, name: str, *path: str | int, at_key: bool = False) -> None:
        if name not in self.rules.series:
            self.note("unknown-series", *path, at_key=at_key, name=name, known=", ".join(self.rules.series))

    def span(self, start: str | None, end: str | None, *path: str | int) -> float | None:
        """Seconds from start to end, None where either is open."""
        if start is None or end is None:
            return None
        found = seconds(end, self.rules.utc_offset_h) - seconds(start, self.rules.utc_offset_h)
        if found <= 0:
            self.note("end-before-start", *path, "to")
        return found

    def gas(self, index: int, one: Gas) -> None:
        path = ("gases", index)
        for name in one.assigned:
            self.series(name, *path, "assigned", name, at_key=True)
        span = self.span(one.from_, one.to, *path)
        if span is not None and 0 < span <= one.flush_s:
            self.note("flush-whole", *path, "flush_s", flush=one.flush_s, seconds=span)
        if one.times > 1 and one.every_h is None:
            self.note("repeat-without-period", *path, "times", times=one.times)

    def overlaps(self, name: str) -> None:
        """Two gases at one time; said once for each pair of declarations."""
        spans = []
        for index, one in enumerate(self.rules.gases):
            if name in one.assigned:
                start, end = (seconds(text, self.rules.utc_offset_h) for text in (one.from_, one.to))
                shifts = [turn * (one.every_h or 0.0) * 3600.0 for turn in range(one.times)]
                spans += [(start + shift, end + shift, index) for shift in shifts]
        said = set()
        for before, after in pairwise(sorted(spans)):
            pair = before[2], after[2]
            if after[0] < before[1] and pair not in said:
                said.add(pair)
                gas, other = self.rules.gases[after[2]].gas, self.rules.gases[before[2]].gas
                self.note("overlap", "gases", after[2], "from", gas=gas, other=other, series=name)


def declaration(path: str, lang: Lang) -> Declaration:
    """RULES read and checked. Raises ConfigErrors with every problem found."""
    document, problems = read(path, lang)
    try:
        rules = validate(document, Declaration)
    except ConfigErrors as errors:
        raise ConfigErrors(sorted(problems + errors.problems)) from None
    find = _Findings(document, rules)
    for index, one in enumerate(rules.gases):
        find.gas(index, one)
    for index, beside in enumerate(rules.references):
        at = ("references", index)
        find.series(beside.series, *at, "series")
        find.series(beside.reference, *at, "reference")
        if beside.series == beside.reference:
            find.note("reference-itself", *at, "reference")
        find.span(beside.from_, beside.to, *at)
        for number, run in enumerate(beside.runs):
            find.span(run.from_, run.to, *at, "runs", number)
    if not rules.gases and not rules.references:
        find.note("nothing-declared")
    if not find.problems:
        for name in rules.series:
            find.overlaps(name)
    if found := sorted(problems + find.problems):
        raise ConfigErrors(found)
    return rules
