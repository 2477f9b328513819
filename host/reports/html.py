"""A report as one self-contained page: charts one can zoom, links from figures to records, no request to anywhere.

The chart library is the one the stations' pages use. It is read as a resource of the package `web`, which holds its
files; none of that package's code is used.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape, unescape
from importlib import resources
from typing import Final
from urllib.parse import quote

from calibration.reports.document import (
    Cell,
    Chart,
    Column,
    RecordId,
    Report,
    Row,
    Section,
    Table,
    Verdict,
    record_name,
)
from calibration.reports.words import Words
from host.reports.font import subset
from host.reports.shown import NOTHING, facts, number, text
from host.reports.twin import canonical, digest64
from metrology.periods import iso
from protocols.tlog import NoteError

LONG_ROWS: Final = 24
_BEGIN: Final = "<!--note-->"
_END: Final = "<!--/note-->"
_SHADES: Final = {"suspect": "rgba(226,164,43,.5)", "out": "rgba(208,69,59,.5)", "run": "rgba(90,125,154,.4)",
                  "substituted": "rgba(150,87,196,.4)", "goal": "rgba(42,157,99,.4)"}  # fmt: skip
_LEVELS: Final = {"good": "#2a9d63", "warn": "#d9962b", "bad": "#d0453b", "none": "#8895a3"}
_CSP: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def _resource(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def page(report: Report, twin: bytes | None = None) -> str:
    """The page without a note. The same report gives the same page."""
    words = Words(report.lang)
    own = "".join(_body(report, words))
    # What could end the element early is written as JSON allows it too.
    data = (twin or canonical(report)).decode()
    signs = "" if report.lang == "en" else own + data + "".join(words.all("page"))
    style = _resource("web", "static/vendor/uplot/uPlot.min.css") + _resource("host.reports", "page.css") + _font(signs)
    data = data.replace("<", "\\u003c")
    script_words = json.dumps({"time": words("page.time")}, ensure_ascii=False).replace("<", "\\u003c")
    return "".join(
        (
            f'<!doctype html>\n<html lang="{"en" if report.lang == "en" else "zh-CN"}"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(report.title)} {escape(report.header.station)}</title><style>{style}</style></head><body>",
            own,
            _BEGIN,
            _END,
            f'<script type="application/json" id="report">{data}</script>',
            f'<script type="application/json" id="words">{script_words}</script>',
            f"<script>{_resource('web', 'static/vendor/uplot/uPlot.iife.min.js')}</script>",
            f"<script>{_resource('host.reports', 'page.js')}</script></body></html>\n",
        )
    )


def with_note(made: str, note: str | None, words: Words) -> str:
    """The page with its note, or with the plain words that it is unsigned."""
    return made.replace(_BEGIN + _END, _BEGIN + _note_block(note, words) + _END, 1)


def _note_block(note: str | None, words: Words) -> str:
    if note is None:
        return (
            f'<section id="signature"><h2>{escape(words("page.signature"))}</h2><p class="v bad">'
            + escape(words("page.unsigned"))
            + "</p></section>"
        )
    return (
        f'<section id="signature"><h2>{escape(words("page.signature"))}</h2>'
        f'<p class="note">{escape(words("page.signed"))}</p><pre id="note">{escape(note)}</pre></section>'
    )


@dataclass(frozen=True, slots=True)
class Parted:
    """A page taken apart: without its note, the note (None: unsigned), and the twin as it stands in it."""

    bare: str
    note: str | None
    twin: str


def parted(made: str, words: Iterable[Words]) -> Parted:
    """A page taken apart. Raises NoteError where it is no page of a report, or its note's place holds anything else."""
    before, begin, rest = made.partition(_BEGIN)
    block, end, after = rest.partition(_END)
    if not begin or not end or _BEGIN in rest or _END in after:
        raise NoteError("this is no page of a report")
    _, found, data = after.partition('<script type="application/json" id="report">')
    if not found:
        raise NoteError("the page has no twin")
    twin = data.partition("</script>")[0]
    opening, closing = '<pre id="note">', "</pre></section>"
    note = unescape(block.partition(opening)[2].removesuffix(closing)) if opening in block else None
    if all(block != _note_block(note, one) for one in words):
        raise NoteError("the page says more about its signature than a report does")
    return Parted(before + _BEGIN + _END + after, note, twin)


def _font(signs: str) -> str:
    """Signs of a Chinese page, for machines without a Chinese font; systems that have one use theirs."""
    data = subset(signs) if signs else None
    if data is None:
        return ""
    url = "data:font/ttf;base64," + base64.b64encode(data).decode()
    return f'@font-face{{font-family:"Report SC";src:url({url})}}'


def _body(report: Report, words: Words) -> Iterator[str]:
    yield f"<header><h1>{escape(report.title)}</h1>{_verdict(report.verdict, words)}<dl class=facts>"
    for name, value in facts(report.header, words):
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield "</dl></header><nav>"
    for at, section in enumerate(report.sections):
        yield f'<a href="#s{at}">{escape(section.title)}</a>'
    yield f'<a href="#records">{escape(words("page.records"))}</a></nav>'
    charts = 0
    for at, section in enumerate(report.sections):
        yield from _section(report, section, at, charts, words)
        charts += len(section.charts)
    signs = (words("page.sign-name"), words("page.sign-date"))
    yield f'<p class="sign">{"".join(f"<span>{escape(one)}</span>" for one in signs)}</p>'
    yield from _records(report, words)


def _section(report: Report, section: Section, at: int, charts: int, words: Words) -> Iterator[str]:
    yield f'<section><h2 id="s{at}">{escape(section.title)}</h2>'
    yield from _notes(section.notes)
    if section.charts:
        yield '<div class="charts">'
        for number_of, chart in enumerate(section.charts, charts):
            yield from _chart(chart, number_of, words)
        yield "</div>"
    for table in section.tables:
        yield from _table(report, table, words)
    yield "</section>"


def _notes(notes: Iterable[str]) -> Iterator[str]:
    yield from (f'<p class="note">{escape(one)}</p>' for one in notes)


def _chart(chart: Chart, at: int, words: Words) -> Iterator[str]:
    yield f"<figure><figcaption>{escape(chart.title)}</figcaption>"
    yield f'<div class="plot" data-chart="{at}"></div><div class="key">'
    limits: dict[str, list[float]] = {}
    for limit in chart.limits:
        unverified = "" if limit.verified else f" ({words('page.unverified')})"
        limits.setdefault(f'{limit.level}"{limit.name}{unverified}', []).append(limit.value)
    for name, values in limits.items():
        level, _, said = name.partition('"')
        style = f"background:{_LEVELS[level]};height:2px;vertical-align:middle"
        yield f'<span><b style="{style}"></b>{escape(said)} {escape(_heights(values))}</span>'
    for name, shade in dict.fromkeys((span.name, span.shade) for span in chart.spans):
        yield f'<span><b style="background:{_SHADES[shade]}"></b>{escape(name)}</span>'
    yield "</div>"
    yield from _notes(chart.notes)
    yield "</figure>"


def _heights(values: list[float]) -> str:
    """Values of one limit: two that mirror each other as one."""
    if len(values) == 2 and values[0] == -values[1]:
        return f"±{number(abs(values[0]))}"
    return " / ".join(map(number, values))


def _table(report: Report, table: Table, words: Words) -> Iterator[str]:
    yield f"<h3>{escape(table.title)}</h3>"
    yield from _notes(table.notes)
    if not table.rows:
        yield f'<p class="note">{escape(words("page.nothing"))}</p>'
        return
    yield f'<div class="table{" long" if len(table.rows) > LONG_ROWS else ""}"><table><thead><tr>'
    for column in table.columns:
        unit = f" <i>{escape(column.unit)}</i>" if column.unit else ""
        yield f'<th class="{_class(column)}">{escape(column.title)}{unit}</th>'
    yield f"<th>{escape(words('page.record'))}</th>" if table.linked else ""
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>" + "".join(_cells(report, table, row, words)) + "</tr>"
    if sums := table.sums():
        yield '<tr class="sum">'
        for at, column in enumerate(table.columns):
            said = number(sums[at], column.decimals) if at in sums else words("page.sum") if at == 0 else ""
            yield f'<td class="{_class(column)}">{escape(said)}</td>'
        yield f"{'<td></td>' if table.linked else ''}</tr>"
    yield "</tbody></table></div>"


def _class(column: Column) -> str:
    return {"number": "n", "time": "t"}.get(column.kind, "")


def _cells(report: Report, table: Table, row: Row, words: Words) -> Iterator[str]:
    for cell, column in zip(row.cells, table.columns, strict=True):
        yield f'<td class="{_class(column)}">{_cell(report, cell, column, words)}</td>'
    if table.linked:
        yield f'<td class="ref">{"".join(_links(report, row, words))}</td>'


def _cell(report: Report, cell: Cell, column: Column, words: Words) -> str:
    if isinstance(cell, Verdict):
        return _verdict(cell, words)
    return escape(text(cell, column, report.header, words))


def _verdict(verdict: Verdict, words: Words) -> str:
    mark = "" if verdict.verified else f' <span class="u">{escape(words("page.unverified"))}</span>'
    return f'<span class="v {verdict.level}">{escape(verdict.text)}</span>{mark}'


def _links(report: Report, row: Row, words: Words) -> Iterator[str]:
    """Records of a row, linked where their bodies are here; and where a number can be traced."""
    for one in row.records:
        name = record_name(one)
        yield f'<a href="#r-{name}">{name}</a>' if one in report.bodies else f"<span>{name} </span>"
    if row.trace is not None:
        series, at = row.trace
        if report.header.page:
            url = f"{report.header.page}trace?series={quote(series)}&at={quote(iso(at))}"
            yield f'<a href="{escape(url)}" rel="noreferrer">{escape(words("page.trace"))}</a>'
        else:
            yield f'<span title="plumeline trace {escape(series)} {iso(at)}">{escape(words("page.trace"))}</span>'
    if not row.records and row.trace is None:
        yield NOTHING


def _records(report: Report, words: Words) -> Iterator[str]:
    yield f'<section id="records"><h2>{escape(words("page.records"))}</h2>'
    left = len(report.records()) - len(report.bodies)
    yield from _notes([words("page.records-note")])
    if left > 0:
        yield from _notes([words("page.records-left", count=left)])
    for one, body in sorted(report.bodies.items()):
        yield _record(one, body)
    yield "</section>"


def _record(one: RecordId, body: str) -> str:
    members = json.loads(body)
    what = members.get("what") or members.get("start") or ""
    head = f"{record_name(one)} · {members['kind']} {what} · {members['t']}"
    return (
        f'<details id="r-{record_name(one)}"><summary>{escape(head)}</summary><pre>{escape(body)}</pre>'
        f'<p class="note">leaf {digest64(body)}</p></details>'
    )
