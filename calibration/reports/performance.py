"""The performance report: every test of an instrument on recorded data, its figure beside the limit it is judged by."""

from collections.abc import Sequence
from datetime import UTC, datetime

from calibration.qa.performance.limits import Basis, Judged
from calibration.reports.document import Cell, Column, Report, Row, Section, Table
from calibration.reports.frame import Frame, worst
from calibration.reports.performance_charts import Recorded, charts

_INSTANTS = ("first_s", "second_s")
# The order in which a figure stands for an outcome that no limit chose.
_SHOWN: Sequence[Basis] = (
    "seconds", "percent_rata", "percent_mean", "percent_gas", "percent_scale", "percent_error", "absolute", "r2",
)  # fmt: skip


def performance(
    frame: Frame, judged: Sequence[Judged], files: Sequence[tuple[str, str]] = (), recorded: Sequence[Recorded] = ()
) -> Report:
    """From outcomes as `plumeline performance` judges them; `files` are the recorded ones with their SHA-256."""
    words = frame.words
    found = [one for one in judged if frame.wants(one.outcome.series)]
    verdicts = [
        words.verdict(one.verdict, one.limit is None or one.limit.verified)
        for one in found
        if one.verdict != "no-limit"
    ]
    sections = [
        Section(words("section.tests"), (), (_summary(frame, found),)),
        *(_series(frame, series, found, recorded) for series in dict.fromkeys(one.outcome.series for one in found)),
        Section(words("section.limits"), (), (_limits(frame, found),)),
        Section(words("section.files"), (), (_files(frame, files),) if files else ()),
    ]
    return frame.report("performance", worst(verdicts, words), sections)


def _files(frame: Frame, files: Sequence[tuple[str, str]]) -> Table:
    columns = (Column(frame.words("head.file")), Column("SHA-256"))
    return frame.table("table.files", columns, (Row(one) for one in files))


def _basis(one: Judged) -> Basis | None:
    if one.limit is not None:
        return one.limit.basis
    return next((basis for basis in _SHOWN if basis in one.outcome.figures), None)


def _unit(frame: Frame, one: Judged, basis: Basis | None) -> str:
    if basis is None:
        return ""
    return frame.words.unit(one.outcome.unit) if basis == "absolute" else frame.words(f"basis.{basis}")


def _summary(frame: Frame, found: list[Judged]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.series")), Column(words("head.test")), Column(words("head.about")),
        Column(words("head.n"), "number", decimals=0), Column(words("head.result"), "number"),
        Column(words("head.limit-of"), "number"), Column(words("head.unit")), Column(words("head.verdict"), "verdict"),
        Column(words("head.reason")),
    )  # fmt: skip
    rows = []
    for one in found:
        basis = _basis(one)
        verified = one.limit is None or one.limit.verified
        why = words.or_itself("untested", one.outcome.why) if one.outcome.why else ""
        cells: tuple[Cell, ...] = (
            words.series(one.outcome.series), words(f"test.{one.outcome.test}"), one.outcome.about, one.outcome.n,
            one.outcome.figures[basis] if basis else None, one.bound, _unit(frame, one, basis),
            words.verdict(one.verdict, verified), why,
        )  # fmt: skip
        rows.append(Row(cells))
    return frame.table("table.tests", columns, rows)


def _series(frame: Frame, series: str, found: list[Judged], recorded: Sequence[Recorded]) -> Section:
    """Every figure and detail of one series, and its charts."""
    words = frame.words
    columns = (
        Column(words("head.test")), Column(words("head.about")), Column(words("head.figure")),
        Column(words("head.result"), "number"), Column(words("head.unit")),
    )  # fmt: skip
    rows = []
    for one in found:
        if one.outcome.series != series:
            continue
        head = (words(f"test.{one.outcome.test}"), one.outcome.about)
        for basis, value in one.outcome.figures.items():
            rows.append(Row((*head, words("word.figure"), value, _unit(frame, one, basis))))
        for name, detail in one.outcome.detail.items():
            # Instants of the readings that a drift lies between.
            shown = datetime.fromtimestamp(detail, UTC) if name in _INSTANTS and detail is not None else detail
            rows.append(Row((*head, words.or_itself("detail", name), shown, "")))
    ours = [one for one in found if one.outcome.series == series]
    drawn = tuple(chart for one in recorded if one.series == series for chart in charts(frame, one, ours))
    return Section(words.series(series), (), (frame.table("table.figures", columns, rows),) if rows else (), drawn)


def _limits(frame: Frame, found: list[Judged]) -> Table:
    words = frame.words
    columns = (
        Column(words("head.rules")), Column(words("head.test")), Column(words("head.limit-of"), "number"),
        Column(words("head.unit")), Column(words("head.source")), Column(words("head.verified")),
    )  # fmt: skip
    used = {
        (
            one.limit.standard,
            one.limit.test,
            one.limit.limit,
            one.limit.basis,
            one.limit.source,
            one.limit.verified,
        ): one
        for one in found
        if one.limit is not None
    }
    rows = [
        Row((standard, words(f"test.{test}"), limit, _unit(frame, one, basis), words.source(source),
             words("word.verified" if verified else "word.unverified")))
        for (standard, test, limit, basis, source, verified), one in used.items()
    ]  # fmt: skip
    notes = [words("note.unverified")] if any(not key[-1] for key in used) else []
    return frame.table("table.limits", columns, rows, notes)
