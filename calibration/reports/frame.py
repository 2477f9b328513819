"""What every report is made with: its words, its head, the span and the series it is about."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from calibration.qa.rules import Judgement
from calibration.reports.document import Column, Header, Kind, RecordId, Report, Row, Section, Table, Verdict
from calibration.reports.words import Words
from metrology.layers import is_layer

# Rows of a table that lists single happenings; what is left out is said below it.
ROWS_MAX = 1000
# Records one row names: the rest can be found from them.
NAMED_MAX = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """`series`: series or instruments the report is limited to; all where it is empty.

    `regulated`: instruments and stacks of which a report tells what was first reported.
    """

    words: Words
    header: Header
    series: tuple[str, ...] = ()
    regulated: frozenset[str] = frozenset()

    @property
    def since(self) -> datetime:
        """Start of the period."""
        return self.header.since

    @property
    def until(self) -> datetime:
        """End of the period, exclusive."""
        return self.header.until

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in the period."""
        return self.since <= at < self.until

    def wants(self, series: str) -> bool:
        """Whether the report is about a series: an analysis layer only where it is named."""
        if not self.series:
            return not is_layer(series)
        return any(series == one or series.startswith(f"{one}.") for one in self.series)

    def table(
        self, key: str, columns: Iterable[Column], rows: Iterable[Row], notes: Iterable[str] = (), title: str = ""
    ) -> Table:
        """A table titled by a word; the first rows where there are too many."""
        found = list(rows)
        said = list(notes)
        if len(found) > ROWS_MAX:
            said.append(self.words("table.cut", shown=ROWS_MAX, count=len(found)))
        return Table(title or self.words(key), tuple(columns), tuple(found[:ROWS_MAX]), tuple(said))

    def report(self, kind: Kind, verdict: Verdict, sections: Iterable[Section]) -> Report:
        """The whole, without sections that say nothing."""
        kept = tuple(one for one in sections if one.notes or one.tables or one.charts)
        return Report(kind, self.words.lang, self.words(f"{kind}.title"), self.header, verdict, kept)


def named(records: Iterable[RecordId]) -> tuple[RecordId, ...]:
    """The records a row names: each once, a few."""
    return tuple(dict.fromkeys(records))[:NAMED_MAX]


def worst(verdicts: Iterable[Verdict], words: Words) -> Verdict:
    """The worst of several; nothing to judge where there is none."""
    order = ("none", "good", "warn", "bad")
    return max(verdicts, key=lambda one: (order.index(one.level), not one.verified), default=words.verdict("unjudged"))


def limits_table(frame: Frame, used: Iterable[Judgement | None]) -> Table:
    """Every limit the report judged by, with its source and whether that was seen."""
    words = frame.words
    seen = dict.fromkeys((one.rule_set, one.source, one.verified) for one in used if one is not None)
    columns = (Column(words("head.rules")), Column(words("head.source")), Column(words("head.verified")))
    rows = [
        Row((rule_set, words.source(source), words("word.verified" if verified else "word.unverified")))
        for rule_set, source, verified in seen
    ]
    notes = [words("note.unverified")] if any(not verified for _, _, verified in seen) else []
    return frame.table("table.limits", columns, rows, notes)
