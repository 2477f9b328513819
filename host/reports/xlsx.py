"""A report as a workbook: a sheet for each section, numbers as numbers with units in their heads, sums as formulas.

Charts are drawn from a sheet of their points, so that they stay charts of a spreadsheet. Instants are in the station's
own time, as the first sheet says.
"""

import base64
import io
import re
import zlib
from datetime import datetime
from typing import Any, Final

import xlsxwriter

from calibration.reports.document import Cell, Chart, Column, Report, Section, Table, Verdict, record_name
from calibration.reports.words import Words
from host.reports.shown import facts, text, title, zone

_FORBIDDEN: Final = re.compile(r"[\[\]:*?/\\']")
_NAME_MAX: Final = 31
PROOF_SHEET: Final = "plumeline-proof"
_CELL_MAX: Final = 30_000
_COLOURS: Final = {"good": "#1A7F4B", "warn": "#9A6200", "bad": "#C0271D", "none": "#5B6877"}
_LINES: Final = ("#2F7ED8", "#D9822B", "#2A9D63", "#9657C4", "#C9408A", "#5A7D9A")
_CHART_ROWS: Final = 16
_WIDTH_MAX: Final = 46


def workbook(report: Report, signed_of: str | None, proof: bytes = b"") -> bytes:
    """The workbook's bytes. `signed_of` is what the first sheet says is signed, None where nothing is.

    `proof` stands in a sheet that programs alone see, in pieces of a cell's length.
    """
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    book = xlsxwriter.Workbook(out, options)
    book.set_properties({"title": report.title, "author": report.header.made_by, "created": report.header.made})
    _Book(book, report, signed_of).write()
    if proof:
        _hide(book, proof)
    book.close()
    return out.getvalue()


def _hide(book: Any, proof: bytes) -> None:
    sheet = book.add_worksheet(PROOF_SHEET)
    text = base64.b64encode(zlib.compress(proof)).decode()
    for row, at in enumerate(range(0, len(text), _CELL_MAX)):
        sheet.write_string(row, 0, text[at : at + _CELL_MAX])
    sheet.very_hidden()


class _Book:
    """Formats and names of one workbook."""

    def __init__(self, book: Any, report: Report, signed_of: str | None) -> None:
        self.book, self.report, self.signed_of = book, report, signed_of
        self.words = Words(report.lang)
        self._names = {PROOF_SHEET}
        self._formats: dict[tuple[Any, ...], Any] = {}
        self._points = 0
        self._points_sheet: Any = None

    def format(self, **how: Any) -> Any:
        """A format by its properties, made once."""
        key = tuple(sorted(how.items()))
        if key not in self._formats:
            self._formats[key] = self.book.add_format({"font_name": "Noto Sans SC", "font_size": 10, **how})
        return self._formats[key]

    def sheet(self, name: str) -> Any:
        """A sheet whose name the file format allows and nobody has yet."""
        plain = _FORBIDDEN.sub(" ", name).strip() or "-"
        for count in range(1, 1000):
            tail = "" if count == 1 else f" ({count})"
            found = plain[: _NAME_MAX - len(tail)] + tail
            if found.lower() not in self._names:
                self._names.add(found.lower())
                return self.book.add_worksheet(found)
        raise AssertionError("no report has a thousand sections of one name")

    def write(self) -> None:
        """All sheets: the head, the sections, the records, the points of charts."""
        self._head()
        sheets = [(section, self.sheet(section.title)) for section in self.report.sections]
        records = self.sheet(self.words("page.records"))
        if any(section.charts for section in self.report.sections):
            self._points_sheet = self.sheet(self.words("page.points"))
        for section, sheet in sheets:
            self._section(sheet, section)
        self._records(records)

    def _head(self) -> None:
        sheet = self.sheet(self.report.title)
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 26)
        sheet.set_column(1, 1, 92)
        sheet.write(0, 0, self.report.title, self.format(bold=True, font_size=18))
        verdict = self.report.verdict
        sheet.write(1, 0, self.words("head.verdict"), self.format(font_color="#5B6877"))
        sheet.write(1, 1, self._text(verdict), self.format(bold=True, font_color=_COLOURS[verdict.level]))
        row = 2
        for name, value in facts(self.report.header, self.words):
            sheet.write(row, 0, name, self.format(font_color="#5B6877"))
            sheet.write(row, 1, value, self.format(text_wrap=True))
            row += 1
        row += 1
        for section in self.report.sections:
            sheet.write(row, 1, section.title)
            row += 1
        row += 1
        sheet.write(row, 0, self.words("page.signature"), self.format(bold=True))
        said = self.words("page.signed-cells" if self.signed_of else "page.unsigned")
        sheet.write(row, 1, said, self.format(text_wrap=True, font_color=_COLOURS["none" if self.signed_of else "bad"]))
        if self.signed_of:
            sheet.write(row + 1, 1, self.signed_of, self.format(text_wrap=True, font_name="Consolas", valign="top"))
            sheet.set_row(row + 1, 60)

    def _text(self, verdict: Verdict) -> str:
        return text(verdict, Column(""), self.report.header, self.words)

    def _section(self, sheet: Any, section: Section) -> None:
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        widths: dict[int, int] = {}
        sheet.write(0, 0, section.title, self.format(bold=True, font_size=14))
        row = self._notes(sheet, 1, section.notes) + 1
        for table in section.tables:
            row = self._table(sheet, row, table, widths) + 2
        for place, chart in enumerate(section.charts):
            self._chart(sheet, row + place // 2 * _CHART_ROWS, place % 2, chart)
        for at, width in widths.items():
            sheet.set_column(at, at, min(_WIDTH_MAX, max(9, width + 2)))

    def _notes(self, sheet: Any, row: int, notes: tuple[str, ...]) -> int:
        for one in notes:
            sheet.write(row, 0, one, self.format(italic=True, font_color="#5B6877"))
            row += 1
        return row

    def _table(self, sheet: Any, row: int, table: Table, widths: dict[int, int]) -> int:
        sheet.write(row, 0, table.title, self.format(bold=True))
        row = self._notes(sheet, row + 1, table.notes)
        head = self.format(bold=True, text_wrap=True, valign="bottom", bg_color="#EEF2F6", bottom=1)
        names = [title(column) for column in table.columns]
        names += [self.words("page.record")] if table.linked else []
        for at, name in enumerate(names):
            sheet.write(row, at, name, head)
            widths[at] = max(widths.get(at, 0), max(map(_width, name.split(" "))))
        first = row + 1
        for row, one in enumerate(table.rows, first):
            for at, (cell, column) in enumerate(zip(one.cells, table.columns, strict=True)):
                widths[at] = max(widths.get(at, 0), self._cell(sheet, row, at, cell, column))
            if table.linked:
                sheet.write(row, len(table.columns), " ".join(map(record_name, one.records)))
        if table.rows and any(column.total for column in table.columns):
            row += 1
            self._sums(sheet, row, first, table)
        return row + 1

    def _cell(self, sheet: Any, row: int, at: int, cell: Cell, column: Column) -> int:
        """Write one cell; how wide it is."""
        if cell is None or cell == "":
            return 0
        if isinstance(cell, Verdict):
            sheet.write(row, at, self._text(cell), self.format(font_color=_COLOURS[cell.level], bold=True))
        elif isinstance(cell, datetime):
            local = cell.astimezone(zone(self.report.header)).replace(tzinfo=None)
            sheet.write_datetime(row, at, local, self.format(num_format="yyyy-mm-dd hh:mm"))
            return 16
        elif isinstance(cell, int | float):
            sheet.write_number(row, at, cell, self.format(num_format=_number_format(column)))
        else:
            sheet.write_string(row, at, cell)
        return min(_WIDTH_MAX, _width(text(cell, column, self.report.header, self.words)))

    def _sums(self, sheet: Any, row: int, first: int, table: Table) -> None:
        sheet.write(row, 0, self.words("page.sum"), self.format(bold=True, top=1))
        for at, value in table.sums().items():
            letter = _letter(at)
            how = self.format(bold=True, top=1, num_format=_number_format(table.columns[at]))
            sheet.write_formula(row, at, f"=SUM({letter}{first + 1}:{letter}{row})", how, value)

    def _chart(self, sheet: Any, row: int, place: int, chart: Chart) -> None:
        """A scatter chart, or columns of a histogram, over points kept on a sheet of their own."""
        bars = any(line.shape == "bars" for line in chart.lines)
        drawn = self.book.add_chart({"type": "column"} if bars else {"type": "scatter", "subtype": "straight"})
        bounds: list[float] = []
        for at, line in enumerate(chart.lines):
            x, y = self._points_of(chart, line.name, line.x, line.y)
            bounds += [*line.x[:1], *line.x[-1:]]
            colour = _LINES[at % len(_LINES)]
            dots = line.shape == "points"
            how: dict[str, Any] = {"name": line.name, "categories": x, "values": y}
            how["line"] = {"none": True} if dots else {"color": colour, "width": 1.25}
            how["marker"] = (
                {"type": "circle", "size": 4, "fill": {"color": colour}, "border": {"none": True}}
                if dots
                else {"type": "none"}
            )
            drawn.add_series(
                {"name": line.name, "categories": x, "values": y, "fill": {"color": colour}, "gap": 10} if bars else how
            )
        for limit in chart.limits if bounds and not bars else ():
            x, y = self._points_of(chart, limit.name, (min(bounds), max(bounds)), (limit.value, limit.value))
            dash = {"color": _COLOURS[limit.level], "width": 1, "dash_type": "dash"}
            drawn.add_series(
                {"name": limit.name, "categories": x, "values": y, "line": dash, "marker": {"type": "none"}}
            )
        drawn.set_title({"name": chart.title, "name_font": {"size": 11, "bold": True}, "overlay": False})
        axis = {
            "num_format": "mm-dd" if chart.x == "time" else "0.0000",
            "name": chart.x_title,
            "label_position": "low",
        }
        if bounds and not bars and max(bounds) > min(bounds):
            low, high = (self._x(chart, one) for one in (min(bounds), max(bounds)))
            axis |= {"min": low, "max": high}  # type: ignore[dict-item]
        drawn.set_x_axis({**axis, "major_gridlines": {"visible": False}})
        drawn.set_y_axis({"name": chart.unit, "major_gridlines": {"visible": True, "line": {"color": "#E1E6EB"}}})
        drawn.set_legend({"position": "bottom"})
        drawn.set_size({"width": 620, "height": 300})
        sheet.insert_chart(row, place * 6, drawn)

    def _x(self, chart: Chart, value: float) -> float:
        """A spreadsheet counts days since 1899-12-30, in local time."""
        return value if chart.x != "time" else (value + self.report.header.offset_h * 3600.0) / 86400.0 + 25569.0

    def _points_of(self, chart: Chart, name: str, xs: Any, ys: Any) -> tuple[list[Any], list[Any]]:
        sheet, at = self._points_sheet, self._points
        self._points += 2
        when = self.format(num_format="yyyy-mm-dd hh:mm")
        sheet.write(0, at, chart.title)
        sheet.write(1, at, chart.x_title or self.words("page.time"))
        sheet.write(1, at + 1, f"{name} [{chart.unit}]" if chart.unit else name)
        sheet.write_column(2, at, [self._x(chart, one) for one in xs], when if chart.x == "time" else None)
        for row, one in enumerate(ys, 2):
            if one is not None:
                sheet.write_number(row, at + 1, one)
        last = len(xs) + 1
        return [sheet.name, 2, at, last, at], [sheet.name, 2, at + 1, last, at + 1]

    def _records(self, sheet: Any) -> None:
        sheet.set_column(0, 0, 12)
        sheet.set_column(1, 1, 120)
        sheet.write(0, 0, self.words("page.record"), self.format(bold=True))
        sheet.write(0, 1, self.words("page.records-note"), self.format(italic=True, font_color="#5B6877"))
        for row, (one, body) in enumerate(sorted(self.report.bodies.items()), 1):
            sheet.write_string(row, 0, record_name(one))
            sheet.write_string(row, 1, body[:32000])


def _width(text: str) -> int:
    return sum(2 if sign > "\u2e80" else 1 for sign in text)


def _number_format(column: Column) -> str:
    if column.decimals is None:
        return "General"
    return "0" if column.decimals == 0 else "0." + "0" * column.decimals


def _letter(at: int) -> str:
    """Letters of a column from 0."""
    found = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        found = chr(65 + rest) + found
    return found
