"""From an average back to everything it was made of, and the average made once more of it.

The result is plain data (JSON): `agent.analysis.tree` puts it into words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent.analysis.again import KINDS, Again, closes_minute
from agent.analysis.corrections import TOLD, AsMeasured
from agent.analysis.ledger import Kept, Seals, position
from agent.analysis.lineage import Lineage
from agent.analysis.marks import behind
from agent.analysis.members import Members, differences
from agent.analysis.prepared import begin_of
from agent.analysis.revision import Revision, asked_for
from agent.analysis.station import day_offset_s, is_regulated, spec_in
from agent.values.averaging import LOWER
from host.history import PAGE_ROWS, History
from metrology.layers import base_of
from metrology.periods import EPOCH, iso, parse_iso, period_start
from protocols.record import average_row

Fields = dict[str, Any]


class NoAverageError(LookupError):
    """There is no such average: the text says what there is."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which average: `at` lies in its period. `revision` None is the newest."""

    series: str
    at: datetime
    period_s: int
    revision: int | None = None


class Tracer:
    """Answers about one station."""

    def __init__(self, source: Kept) -> None:
        self.source = source
        self.history = History(source)
        self.seals = Seals(self.history)
        self.lineage = Lineage(self.history, self.seals)

    def found(self, question: Question) -> Fields:
        """The average record, as the log has it. Raises NoAverageError."""
        rows = self.revisions(question)
        wanted = [row for row in rows if question.revision in (None, row["rows"][question.series]["rev"])]
        if not wanted:
            there = ", ".join(str(row["rows"][question.series]["rev"]) for row in rows) or "none"
            raise NoAverageError(
                f"{question.series} at {iso(question.at)}, {question.period_s} s: revisions kept: {there}"
            )
        return wanted[-1]

    def revisions(self, question: Question) -> list[Fields]:
        """Records of the period that hold the series, by revision."""
        config = self.history.newest("config", question.at + timedelta(days=1))
        start = period_start(question.at, question.period_s, day_offset_s(config))
        rows = self.history.averages(question.period_s, start, start + timedelta(milliseconds=1))
        held = [dict(self.lineage.truly(row)) for row in rows if question.series in row["rows"]]
        return sorted(held, key=lambda row: (row["rows"][question.series]["rev"], row["epoch"], row["seq"]))

    def config_before(self, fields: Fields) -> Fields | None:
        """The configuration in force when a record was written."""
        return self.history.newest("config", parse_iso(fields["t"]) + timedelta(milliseconds=1))

    def trace(self, question: Question) -> Fields:
        """Everything behind an average. Raises NoAverageError."""
        average = self.found(question)
        config = self.config_before(average)
        row = average["rows"][question.series]
        made = Remake(self, question, average, config)
        told = made.run()
        marks = [(cause, origin) for cause, origin, _ in row.get("q", ())]
        marks += [(one["cause"], one["origin"]) for one in told["scans"]["excluded"]]
        end = parse_iso(average["end"])
        return {
            "series": question.series,
            "period_s": question.period_s,
            "start": average["start"],
            "end": average["end"],
            "row": row,
            **({"sim": True} if average.get("sim") else {}),
            **told,
            "corrections": self.lineage.of(row.get("cal", ()), made.known),
            "recompute": _asked(made.asked, self.lineage),
            "regulated": is_regulated(config, base_of(question.series)),
            "marks": behind(marks, question.series, end, self.history, self.lineage),
            "configuration": _configuration(config, question.series, self.lineage),
            "ledger": position(self.source, self.history, average),
            "seal": self.seals.of(average),
            "delivered": _delivered(self.source, average),
        }


class Remake:
    """The average made again of the scans."""

    def __init__(self, tracer: Tracer, question: Question, average: Fields, config: Fields | None) -> None:
        self._tracer, self._question, self._average = tracer, question, average
        self._start = parse_iso(average["start"])
        self._config = config
        self._begin = begin_of((base_of(question.series),), self._start, config)
        self.corrections = self._as_measured()
        self.known: Mapping[str, Mapping[str, Any]] = {}
        self.asked: Mapping[str, Any] | None = None

    def _as_measured(self) -> AsMeasured:
        history = self._tracer.history
        return AsMeasured(row for kind, what in TOLD for row in history.told(kind, EPOCH, self._begin, what))

    def _revision(self) -> Revision | None:
        """What makes a later revision, None of the first."""
        name = self._average.get("recompute")
        self.asked = asked_for(self._tracer.history, name) if name else None
        if self.asked is None:
            return None
        return Revision(self._tracer.history, self.asked, self._average, self._question.series, self._config)

    def run(self) -> Fields:
        """Members, the lower periods, and what the average comes to."""
        question, average = self._question, self._average
        base = base_of(question.series)
        spec = spec_in(self._config or {}, base)
        members = Members(base, average["start"], average["end"])
        revision = self._revision()
        if spec is None:
            return {"scans": members.fields(), "parts": [], "again": None, "differences": [], "agrees": None}
        again = Again([spec], self._start, day_offset_s(self._config), self.corrections)
        lower = LOWER[question.period_s][0] if question.period_s in LOWER else 0
        parts: list[Fields] = []
        made: dict[tuple[int, str], Fields] = {}
        result: Mapping[str, Any] | None
        for fields in self._log():
            if fields["kind"] == "scan":
                members.take(fields, seal=self._seal(fields))
            elif fields["kind"] == "average" and closes_minute(fields):
                members.close(fields["end"])
            if revision is not None:
                revision.take(fields)
                continue
            for one in again.take(fields):
                made[one.period_s, iso(one.start)] = average_row(one)
            if fields["kind"] == "average" and fields["period_s"] == lower and question.series in fields["rows"]:
                row = made.pop((lower, fields["start"]), None)
                parts += [_part(fields, question.series, row)] if row is not None else []
        result = made.get((question.period_s, average["start"]))
        if revision is not None:
            result, self.known = revision.row(), revision.known
        else:
            self.known = self.corrections.records
        told = [] if result is None else differences(average["rows"][question.series], result)
        agrees = None if result is None else not told
        return {
            "scans": members.fields(),
            "parts": parts,
            "again": result,
            "differences": told,
            "agrees": agrees and not members.altered and all(one["agrees"] for one in parts),
            "kv": sorted(members.kv) if revision is None else revision.kv,
        }

    def _seal(self, fields: Fields) -> str:
        own = (
            fields["instrument"] == base_of(self._question.series).partition(".")[0]
            and fields["at"] >= self._average["start"]
        )
        return self._tracer.seals.of(fields) if own and fields["at"] < self._average["end"] else "open"

    def _log(self) -> Iterator[Fields]:
        """Records from a little before the period to the first value of it."""
        source, (epoch, seq) = self._tracer.source, self._until()
        for one in source.epochs():
            if one > epoch:
                return
            after = source.seq_at(one, iso(self._begin)) - 1
            while page := source.numbered(one, after, KINDS, PAGE_ROWS):
                for fields in page:
                    if one == epoch and fields["seq"] > seq:
                        return
                    yield fields
                after = page[-1]["seq"]

    def _until(self) -> tuple[int, int]:
        first = self._tracer.revisions(replace(self._question, series=base_of(self._question.series)))[0]
        return first["epoch"], first["seq"]


def _part(fields: Fields, series: str, again: Fields) -> Fields:
    """A minute of an hour, an hour of a day: its record, and whether it comes out the same."""
    row = fields["rows"][series]
    told = differences(row, again)
    place = {"start": fields["start"], "record": [fields["epoch"], fields["seq"]]}
    head = {name: row.get(name) for name in ("n", "valid", "mean", "rev")}
    return {**place, **head, "agrees": not told, **({"differences": told} if told else {})}


def _asked(asked: Mapping[str, Any] | None, lineage: Lineage) -> Fields | None:
    """Who made a later revision, why and by which rules."""
    if asked is None:
        return None
    names = ("id", "who", "reason", "from", "to", "plan", "software", "layer")
    return {**lineage.place(asked), **{name: asked[name] for name in names if name in asked}}


def _configuration(config: Fields | None, series: str, lineage: Lineage) -> Fields | None:
    """The record in force, its keys for the series, and which version of the program wrote it."""
    if config is None:
        return None
    instrument, _, measurand = base_of(series).partition(".")
    document = config.get("document", {})
    blocks = {
        f"{section}.{instrument}": document[section][instrument]
        for section in ("instruments", "stacks")
        if instrument in document.get(section, {})
    }
    declared = document.get("instruments", {}).get(instrument, {}).get("series", {}).get(measurand)
    return {
        **lineage.place(lineage.truly(config)),
        "sha256": config["sha256"],
        "origin": config.get("origin"),
        "by": config.get("by"),
        "software": config.get("software"),
        "keys": blocks,
        "range": declared,
    }


def _delivered(source: Kept, average: Fields) -> dict[str, Any]:
    """By uplink, how far it is, and whether that is beyond the record."""
    epoch, seq = average["epoch"], average["seq"]
    found = {}
    for name, place in source.delivered().items():
        above = any(first <= seq <= last for first, last in place["above"])
        passed = (place["epoch"], place["through"]) >= (epoch, seq) or (place["epoch"] == epoch and above)
        found[name] = {"epoch": place["epoch"], "through": place["through"], "passed": passed}
    return found
