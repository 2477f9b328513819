"""Tables of a PDF: columns as wide as they need to be, texts broken into lines, the head again on every page."""

from typing import Any, Final

from calibration.reports.document import Column, Header, Row, Table, Verdict, record_name
from calibration.reports.words import Words
from host.reports.shown import number, text, title

# Rows of one table; the page and the workbook have them all.
ROWS_MAX: Final = 150
SIZE: Final = 7.3
LINE_MM: Final = 3.5
PAD: Final = 1.1
_COLOURS: Final = {"good": (26, 127, 75), "warn": (154, 98, 0), "bad": (192, 39, 29), "none": (91, 104, 119)}
_INK: Final = (22, 32, 43)
_RULE: Final = (213, 220, 228)
_BREAKS: Final = " /,;_-.，、；。"


class Writer:
    """Writes one table at the current place of a document, `width` mm wide."""

    def __init__(self, pdf: Any, table: Table, header: Header, words: Words, width: float) -> None:
        self._pdf, self._table, self._header, self._words = pdf, table, header, words
        self._signs: dict[str, float] = {}
        pdf.set_font("report", size=SIZE)
        self._left = pdf.l_margin
        self._heads = [title(column) for column in table.columns]
        self._linked = any(row.records for row in table.rows)
        self._heads += [words("page.record")] if self._linked else []
        self._shown = [self._texts(row) for row in table.rows[:ROWS_MAX]]
        self._widths = self._fitted(width)

    def _texts(self, row: Row) -> list[str]:
        found = [
            text(cell, column, self._header, self._words)
            for cell, column in zip(row.cells, self._table.columns, strict=True)
        ]
        return [*found, " ".join(map(record_name, row.records))] if self._linked else found

    def _length(self, said: str) -> float:
        """Width of a text in mm: the sum of its signs, each asked for once."""
        total = 0.0
        for sign in said:
            if sign not in self._signs:
                self._signs[sign] = self._pdf.get_string_width(sign)
            total += self._signs[sign]
        return total

    def _fitted(self, width: float) -> list[float]:
        """Widths by what stands in the columns; where that is too much, those of long texts give way."""
        wanted, least = [], []
        for at, head in enumerate(self._heads):
            lengths = [self._length(row[at]) for row in self._shown]
            longest = max(lengths, default=0.0)
            word = max((self._length(one) for one in head.split(" ")), default=0.0)
            kind = self._table.columns[at].kind if at < len(self._table.columns) else "text"
            kept = {"text": 16.0, "verdict": 34.0}.get(kind, longest)
            least.append(max(min(longest, kept), min(word, 18.0)) + 2 * PAD)
            wanted.append(max(longest, word, min(self._length(head), 26.0)) + 2 * PAD)
        if sum(wanted) <= width:
            spare = (width - sum(wanted)) / len(wanted)
            return [one + min(spare, 6.0) for one in wanted]
        if sum(least) >= width:
            return [one * width / sum(least) for one in least]
        give = (width - sum(least)) / (sum(wanted) - sum(least))
        return [low + (high - low) * give for low, high in zip(least, wanted, strict=True)]

    def write(self) -> None:
        """The whole table."""
        self._head()
        for row, shown in zip(self._table.rows, self._shown, strict=False):
            colours = [_COLOURS[cell.level] if isinstance(cell, Verdict) else _INK for cell in row.cells]
            self._line(shown, colours)
        if sums := self._table.sums():
            cells = [
                number(sums[at], column.decimals) if at in sums else "" for at, column in enumerate(self._table.columns)
            ]
            cells[0] = cells[0] or self._words("page.sum")
            self._line([*cells, ""] if self._linked else cells, None, fill=True)
        if (left := len(self._table.rows) - len(self._shown)) > 0:
            self._pdf.set_text_color(91, 104, 119)
            self._pdf.multi_cell(0, 4, self._words("page.rows-left", count=left), new_x="LMARGIN", new_y="NEXT")
        self._pdf.ln(1.5)

    def _head(self) -> None:
        self._pdf.set_font("report", size=SIZE)
        self._line(self._heads, None, fill=True, again=False)

    def _line(
        self, cells: list[str], colours: list[tuple[int, int, int]] | None, *, fill: bool = False, again: bool = True
    ) -> None:
        pdf = self._pdf
        broken = [self._broken(cell, width - 2 * PAD) for cell, width in zip(cells, self._widths, strict=True)]
        height = max(map(len, broken)) * LINE_MM + 1.4
        if again and pdf.get_y() + height > pdf.page_break_trigger:
            pdf.add_page()
            self._head()
        pdf.set_font("report", size=SIZE)
        x, y = self._left, pdf.get_y()
        if fill:
            pdf.set_fill_color(238, 242, 246)
            pdf.rect(x, y, sum(self._widths), height, style="F")
        for at, (lines, width) in enumerate(zip(broken, self._widths, strict=True)):
            column = self._table.columns[at] if at < len(self._table.columns) else Column("")
            colour = colours[at] if colours and at < len(colours) else _INK
            pdf.set_text_color(*colour)
            for number_of, line in enumerate(lines):
                place = x + width - PAD - self._length(line) if column.kind == "number" else x + PAD
                pdf.text(place, y + 0.7 + LINE_MM * (number_of + 0.78), line)
            x += width
        pdf.set_draw_color(*_RULE)
        pdf.set_line_width(0.15)
        pdf.line(self._left, y + height, x, y + height)
        pdf.set_xy(self._left, y + height)

    def _broken(self, said: str, width: float) -> list[str]:
        """Lines no wider than a column: broken after a blank or a sign, in Chinese and in long words anywhere."""
        if self._length(said) <= width:
            return [said]
        lines: list[str] = []
        while said:
            end, length, after = 0, 0.0, 0
            while end < len(said) and length + self._length(said[end]) <= width:
                length += self._length(said[end])
                end += 1
                if end < len(said) and (said[end - 1] in _BREAKS or said[end - 1] > "\u2e80" or said[end] == " "):
                    after = end
            cut = len(said) if end == len(said) else after or max(1, end)
            lines.append(said[:cut].strip())
            said = said[cut:].lstrip()
        return lines or [""]
