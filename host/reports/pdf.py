"""A report as a PDF to print and sign: A4 landscape, tables over pages, charts in vectors, Chinese and English."""

from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import TTFFont

from calibration.reports.document import Column, Report, Section, Verdict
from calibration.reports.words import Words
from host.reports import font
from host.reports.pdf_chart import draw
from host.reports.pdf_table import Writer
from host.reports.shown import facts, text, zone_name
from host.reports.shown import instant as shown_instant

ATTACHED: Final = "report.json"
MARGIN: Final = 12.0
FONT: Final = "report"
INK: Final = (22, 32, 43)
SOFT: Final = (91, 104, 119)
COLOURS: Final = {"good": (26, 127, 75), "warn": (154, 98, 0), "bad": (192, 39, 29), "none": (91, 104, 119)}
CHART_H: Final = 66.0
GAP: Final = 6.0


def document(report: Report, attached: bytes, signed_of: str | None) -> bytes:
    """The PDF's bytes without a note, `attached` in it as report.json; the same report gives the same bytes.

    `signed_of` is what the last page says is signed, None where nothing is.
    """
    pdf = _Pages(report)
    pdf.embed_file(bytes=attached, basename=ATTACHED, mime_type="application/json", compress=True)
    pdf.add_page()
    _head(pdf, report)
    for section in report.sections:
        _section(pdf, report, section)
    _sign_off(pdf, signed_of)
    data = bytes(pdf.output())
    for one in pdf.fonts.values():
        if isinstance(one, TTFFont):
            one.ttfont.close()
    return data


class _Pages(FPDF):
    """Pages with a line below that says what they belong to."""

    def __init__(self, report: Report) -> None:
        super().__init__(orientation="landscape", unit="mm", format="A4")
        self.report, self.words = report, Words(report.lang)
        self.add_font(FONT, fname=str(font.path()))
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.c_margin = 0.0
        self.set_auto_page_break(True, margin=MARGIN + 6)
        self.set_title(report.title)
        self.set_author(report.header.made_by)
        self.set_creator(report.header.software)
        self.set_creation_date(report.header.made)
        self.set_lang("en" if report.lang == "en" else "zh-CN")

    def footer(self) -> None:
        """Station, kind, when it was made; page of pages."""
        head = self.report.header
        self.set_y(-MARGIN - 2)
        self.set_font(FONT, size=7.5)
        self.set_text_color(*SOFT)
        left = f"{self.report.title} · {head.station} · {shown_instant(head.made, head)} {zone_name(head)}"
        self.cell(0, 4, left)
        self.set_x(MARGIN)
        self.cell(0, 4, self.words("page.page", page=self.page_no(), pages="{nb}"), align="R")


def _line(pdf: FPDF, said: str, size: float, colour: tuple[int, int, int] = INK, height: float | None = None) -> None:
    pdf.set_font(FONT, size=size)
    pdf.set_text_color(*colour)
    pdf.multi_cell(0, height or size * 0.5, said, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")


def _head(pdf: _Pages, report: Report) -> None:
    words = pdf.words
    _line(pdf, report.title, 22, height=11)
    _chip(pdf, report.verdict, words)
    pdf.ln(3)
    for name, value in facts(report.header, words):
        pdf.set_font(FONT, size=9)
        pdf.set_text_color(*SOFT)
        pdf.cell(48, 5, name)
        pdf.set_text_color(*INK)
        pdf.multi_cell(0, 5, value, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")
    pdf.ln(2)


def _chip(pdf: _Pages, verdict: Verdict, words: Words) -> None:
    said = text(verdict, Column(""), pdf.report.header, words)
    pdf.set_font(FONT, size=11)
    width = pdf.get_string_width(said) + 8
    pdf.set_fill_color(*COLOURS[verdict.level])
    pdf.set_text_color(255, 255, 255)
    pdf.cell(width, 7, said, fill=True, align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _room(pdf: FPDF, height: float) -> None:
    """A new page where so much does not fit."""
    if pdf.get_y() + height > pdf.h - MARGIN - 6:
        pdf.add_page()


def _section(pdf: _Pages, report: Report, section: Section) -> None:
    _room(pdf, CHART_H + 24 if section.charts else 40)
    pdf.ln(3)
    pdf.set_draw_color(213, 220, 228)
    pdf.line(MARGIN, pdf.get_y(), pdf.w - MARGIN, pdf.get_y())
    pdf.ln(2)
    _line(pdf, section.title, 14, height=7)
    for one in section.notes:
        _line(pdf, one, 8, SOFT, 4)
    width = (pdf.w - 2 * MARGIN - GAP) / 2
    for at in range(0, len(section.charts), 2):
        pair = section.charts[at : at + 2]
        _room(pdf, CHART_H + 2)
        top = pdf.get_y() + 1
        for place, chart in enumerate(pair):
            draw(pdf, chart, MARGIN + place * (width + GAP), top, width, CHART_H, report.header, pdf.words)
        pdf.set_xy(MARGIN, top + CHART_H + 2)
    for table in section.tables:
        _room(pdf, 22)
        pdf.ln(1.5)
        _line(pdf, table.title, 10.5, height=5.5)
        for one in table.notes:
            _line(pdf, one, 7.5, SOFT, 3.8)
        if table.rows:
            Writer(pdf, table, report.header, pdf.words, pdf.w - 2 * MARGIN).write()
        else:
            _line(pdf, pdf.words("page.nothing"), 8, SOFT, 4)


def _sign_off(pdf: _Pages, signed_of: str | None) -> None:
    words = pdf.words
    _room(pdf, 62)
    pdf.ln(14)
    pdf.set_draw_color(*INK)
    pdf.set_font(FONT, size=9)
    pdf.set_text_color(*INK)
    y = pdf.get_y()
    for place, word in enumerate(("page.sign-name", "page.sign-date")):
        x = MARGIN + place * 110
        pdf.line(x, y, x + 95, y)
        pdf.set_xy(x, y + 1)
        pdf.cell(95, 5, words(word))
    pdf.set_xy(MARGIN, y + 10)
    _line(pdf, words("page.signature"), 10.5, height=5.5)
    if signed_of is None:
        _line(pdf, words("page.unsigned"), 9, COLOURS["bad"], 5)
        return
    _line(pdf, words("page.signed-file"), 8, SOFT, 4)
    pdf.set_fill_color(246, 248, 250)
    pdf.set_font(FONT, size=7.5)
    pdf.set_text_color(*INK)
    pdf.multi_cell(0, 4, signed_of.strip("\n"), fill=True, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
