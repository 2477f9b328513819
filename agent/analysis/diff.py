"""What differs between two revisions of a series' averages, and what stands behind the difference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any, Final

from agent.analysis.revision import asked_for
from agent.changes import difference
from host.history import History
from metrology.layers import base_of, is_layer
from metrology.periods import EPOCH, parse_iso

Fields = Mapping[str, Any]
COEFFICIENTS: Final = ("from", "zero", "slope", "beta", "density", "run", "chip", "who", "reason")


@dataclass(frozen=True, slots=True)
class Span:
    """Averages of one series with start <= period < end."""

    series: str
    start: datetime
    end: datetime
    period_s: int


def diff(history: History, span: Span, first: int | None, second: int | None) -> dict[str, Any]:
    """Periods whose two revisions differ, oldest first, and why.

    `first` None is what was reported (revision 0), `second` None the newest. Of an analysis layer the first is the
    series it stands beside. A period that lacks one of them is left out and counted.
    """
    rows: list[dict[str, Any]] = []
    times: list[str] = []
    compared = lacking = 0
    for start, revisions in _periods(history, span):
        one, other = _chosen(revisions, span.series, first or 0), _chosen(revisions, span.series, second)
        if one is None or other is None:
            lacking += 1
            continue
        compared += 1
        if changes := _changes(one["row"], other["row"]):
            rows.append({"start": start, **changes, "recompute": other["recompute"]})
            times += [one["t"], other["t"]]
    return {
        "series": span.series,
        "period_s": span.period_s,
        "compared": compared,
        "lacking": lacking,
        "rows": rows,
        "summary": _summary(rows),
        "why": _why(history, rows),
        "coefficients": _coefficients(history, rows),
        "configuration": _configuration(history, base_of(span.series), times),
    }


def _periods(history: History, span: Span) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """All revisions of each period, of the series and of that it stands beside."""
    names, at = (span.series, base_of(span.series)), None
    revisions: list[dict[str, Any]] = []
    for fields in history.averages(span.period_s, span.start, span.end):
        if at is not None and fields["start"] != at and revisions:
            yield at, revisions
            revisions = []
        at = fields["start"]
        for name in dict.fromkeys(names):
            if name in fields["rows"]:
                revisions.append(
                    {
                        "series": name,
                        "row": fields["rows"][name],
                        "recompute": fields.get("recompute"),
                        "t": fields["t"],
                    }
                )
    if at is not None and revisions:
        yield at, revisions


def _chosen(revisions: Iterable[dict[str, Any]], series: str, wanted: int | None) -> dict[str, Any] | None:
    """One revision, the newest where none is named; revision 0 of a layer is the reported series."""
    name = base_of(series) if is_layer(series) and wanted == 0 else series
    own = [one for one in revisions if one["series"] == name and wanted in (None, one["row"]["rev"])]
    return max(own, key=lambda one: int(one["row"]["rev"]), default=None)


def _changes(one: Fields, other: Fields) -> dict[str, Any]:
    """What differs; nothing where only the revision does."""
    names = sorted({*one, *other} - {"rev", "unc"})
    if all(one.get(name) == other.get(name) for name in names):
        return {}
    known = one["mean"] is not None and other["mean"] is not None
    causes = [{cause for cause, *_ in row.get("q", ())} for row in (one, other)]
    return {
        "rev": [one["rev"], other["rev"]],
        "mean": [one["mean"], other["mean"]],
        "change": other["mean"] - one["mean"] if known else None,
        "n": [one["n"], other["n"]],
        "cal": [one.get("cal", []), other.get("cal", [])],
        "marks": {"gone": sorted(causes[0] - causes[1]), "new": sorted(causes[1] - causes[0])},
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    known = [row["change"] for row in rows if row["change"] is not None]
    return {
        "changed": len(rows),
        "mean_change": fmean(known) if known else None,
        "largest": max(known, key=abs) if known else None,
    }


def _why(history: History, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who asked for the revisions, why, and which rules and cylinders."""
    found = []
    for name in dict.fromkeys(row["recompute"] for row in rows if row["recompute"]):
        asked = asked_for(history, name)
        if asked is not None:
            told = {key: asked.get(key) for key in ("id", "t", "who", "reason", "plan", "software", "layer")}
            count = sum(row["recompute"] == name for row in rows)
            found.append({**told, "record": [asked["epoch"], asked["seq"]], "periods": count})
    return found


def _coefficients(history: History, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The coefficients either side used, by id."""
    wanted = {name.rpartition("/")[2] for row in rows for side in row["cal"] for name in side}
    if not wanted:
        return {}
    until = parse_iso(rows[-1]["start"]).replace(year=9999)
    told = history.told("calibration", EPOCH, until, ("coefficients",))
    return {row["id"]: {key: row[key] for key in COEFFICIENTS if key in row} for row in told if row["id"] in wanted}


def _configuration(history: History, series: str, times: Sequence[str]) -> dict[str, list[Any]]:
    """Keys of what makes a series that changed between the first of its averages and the last of their revisions."""
    if not times:
        return {}
    told = [history.newest("config", parse_iso(at) + timedelta(milliseconds=1)) for at in (min(times), max(times))]
    documents = [fields["document"] for fields in told if fields and "document" in fields]
    if len(documents) < len(told):
        return {}
    blocks = _blocks(series, *documents)
    return {key: both for key, both in difference(*documents).items() if key.startswith(blocks)}


def _blocks(series: str, *documents: Fields) -> tuple[str, ...]:
    """Where a configuration says what makes a series: its instrument; a stack with those of its inputs."""
    name = series.partition(".")[0]
    found = {f"instruments.{name}."}
    for document in documents:
        if (stack := document.get("stacks", {}).get(name)) is not None:
            found.add(f"stacks.{name}.")
            sources = [*stack["inputs"].values(), *stack["gases"].values()]
            found |= {f"instruments.{one['series'].partition('.')[0]}." for one in sources if one.get("series")}
    return tuple(found)


def config_diff(history: History, one: tuple[int, int], other: tuple[int, int]) -> dict[str, list[Any]]:
    """`{dotted key: [before, after]}` between two config records. Raises LookupError where one is none."""
    documents = []
    for epoch, seq in (one, other):
        fields = history.record(epoch, seq, {"config"})
        if fields is None or "document" not in fields:
            raise LookupError(f"{epoch}/{seq}: no configuration with its document under this number")
        documents.append(fields["document"])
    return difference(*documents)
