"""A closer look at one instrument: how fast and how surely it answers, and its registers under each order."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from agent.doctor.asker import Asker, Tally
from agent.doctor.orders import Row, Single, Words, rows, score, singles, wanted
from agent.doctor.places import Plan, bus
from agent.doctor.scan import PRESENCE, Found, Progress, opened
from agent.wires.line import GarbledError, NoAnswerError
from drivers.base import BadAnswer, ReadRegisters, Step

# Upper ends of the classes of response times, in ms; the last class is open.
CLASSES_ms: Final = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
BLOCK: Final = tuple(ReadRegisters(table, 0, 16) for table in ("holding", "input"))


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of it."""

    found: Found
    tally: Tally
    rows: list[Row]
    singles: list[Single]

    def histogram(self) -> dict[str, int]:
        """Answers by response time: `"<5 ms"`."""
        times = [time * 1000 for time in self.tally.times]
        classes = {f"<{high} ms": sum(low <= t < high for t in times) for low, high in pairwise((0, *CLASSES_ms))}
        return {**classes, f">={CLASSES_ms[-1]} ms": sum(t >= CLASSES_ms[-1] for t in times)}

    def errors(self) -> dict[str, float]:
        """Shares of the questions, in percent."""
        asked = max(self.tally.asked, 1)
        counts = {"no_answer": self.tally.no_answer, "garbled": self.tally.garbled, "refused": self.tally.refused}
        return {name: round(100 * count / asked, 1) for name, count in counts.items()}

    def fields(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self.found.fields(), "asked": self.tally.asked, "errors_percent": self.errors(),
            "response_times": self.histogram(), "registers": [row.fields() for row in self.rows],
            "plausible": score(self.rows) if self.rows else {}, "singles": [one.fields() for one in self.singles],
        }  # fmt: skip


async def probe(
    found: Found, plan: Plan, questions: int, block: ReadRegisters | None, progress: Progress
) -> Probed | None:
    """Ask an instrument that was found so many times more; None for one that speaks by itself.

    `block` is what is read under each order, instead of what its map has. Raises WireError and OtherMasterError.
    """
    if found.protocol == "stream":
        return None
    async with opened(found.wire) as line:
        asker = Asker(line, bus(found.wire, found.protocol), plan.timeout_s, ours=plan.ours)
        words = {} if found.protocol == "text" else await _words(asker, found, block)
        step = _step(found, block)
        asker.tally = Tally()
        for number in range(questions):
            progress(f"unit {found.unit}", number, questions, 1)
            await asker.answers(found.unit, step)
    known = None if block else found.known.driver
    table = next(iter(words), ("holding", 0))[0]
    shown = rows(known, block or next(one for one in BLOCK if one.table == table), words) if words else []
    return Probed(found, asker.tally, shown, [] if known else singles(words))


def _step(found: Found, block: ReadRegisters | None) -> Step:
    """The question that is asked again and again: one that was answered before."""
    if found.row is not None:
        return found.row.ask(found.unit)
    known = None if block else found.known.driver
    return next(iter(wanted(known, block or PRESENCE)), PRESENCE)


async def _words(asker: Asker, found: Found, block: ReadRegisters | None) -> Words:
    """The registers of the first table that answers; none of a unit that refuses them all."""
    known = None if block else found.known.driver
    words: Words = {}
    for one in (block,) if block else BLOCK:
        for step in wanted(known, one):
            try:
                answer = await asker.ask(found.unit, step)
            except (BadAnswer, NoAnswerError, GarbledError):
                continue
            words |= {(step.table, step.address + at): int(word) for at, word in enumerate(answer)}
        if words:
            break
    return words
