"""Charts of a PDF: lines, points, steps and bars in vectors, limits, spans, axes."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from calibration.reports.document import Chart, Header, Line, Span
from calibration.reports.thin import thinned
from calibration.reports.words import Words
from host.reports.shown import number, zone

POINTS_MAX: Final = 700
LINES: Final = (
    (47, 126, 216), (217, 130, 43), (42, 157, 99), (150, 87, 196), (201, 64, 138), (90, 125, 154), (138, 109, 59),
    (15, 163, 163), (176, 65, 62), (122, 154, 1), (108, 108, 216), (68, 79, 90),
)  # fmt: skip
LEVELS: Final = {"good": (42, 157, 99), "warn": (217, 150, 43), "bad": (208, 69, 59), "none": (136, 149, 163)}
SHADES: Final = {"suspect": (250, 236, 208), "out": (248, 216, 213), "run": (226, 233, 239),
                 "substituted": (236, 224, 246), "goal": (222, 242, 231)}  # fmt: skip
_INK: Final = (22, 32, 43)
_SOFT: Final = (91, 104, 119)
_GRID: Final = (225, 230, 235)
_PAPER: Final = (255, 255, 255)


class _Place:
    """From values to millimetres."""

    def __init__(self, chart: Chart, left: float, top: float, width: float, height: float) -> None:
        xs = [one for line in chart.lines for one in (*line.x[:1], *line.x[-1:])]
        ys = [one for line in chart.lines for one in line.y if one is not None]
        ys += [one.value for one in chart.limits]
        bars = any(line.shape == "bars" for line in chart.lines)
        self.x0, self.x1 = min(xs), max(xs)
        if bars and len(chart.lines[0].x) > 1:
            half = (chart.lines[0].x[1] - chart.lines[0].x[0]) / 2
            self.x0, self.x1 = self.x0 - half, self.x1 + half
        if self.x1 == self.x0:
            self.x0, self.x1 = self.x0 - 1.0, self.x1 + 1.0
        low, high = min(ys, default=0.0), max(ys, default=1.0)
        low = min(low, 0.0) if bars else low
        pad = (high - low or abs(high) or 1.0) * 0.07
        self.y0, self.y1 = (low if bars else low - pad), high + pad
        self.left, self.top, self.width, self.height = left, top, width, height

    def x(self, value: float) -> float:
        """Across."""
        return self.left + (min(max(value, self.x0), self.x1) - self.x0) / (self.x1 - self.x0) * self.width

    def y(self, value: float) -> float:
        """Down."""
        return self.top + self.height - (value - self.y0) / (self.y1 - self.y0) * self.height


def draw(
    pdf: Any, chart: Chart, left: float, top: float, width: float, height: float, header: Header, words: Words
) -> None:
    """One chart in a box of that size, mm."""
    pdf.set_text_color(*_INK)
    pdf.set_font("report", size=8.5)
    pdf.text(left, top + 3.4, _cut(pdf, chart.title, width))
    if not any(line.x for line in chart.lines):
        return
    below = _key(pdf, chart, left, top + height, width, words)
    place = _Place(chart, left + 13, top + 8, width - 14, height - 8 - 6 - below)
    for span in chart.spans:
        _span(pdf, place, span)
    _grid(pdf, chart, place, header)
    for limit in chart.limits:
        pdf.set_draw_color(*LEVELS[limit.level])
        pdf.set_line_width(0.3)
        pdf.set_dash_pattern(dash=1.6, gap=1.1)
        pdf.line(place.left, place.y(limit.value), place.left + place.width, place.y(limit.value))
    pdf.set_dash_pattern()
    for at, line in enumerate(chart.lines):
        _line(pdf, place, thinned(line, POINTS_MAX), LINES[at % len(LINES)])
    pdf.set_draw_color(*_SOFT)
    pdf.set_line_width(0.2)
    pdf.rect(place.left, place.top, place.width, place.height)


def _cut(pdf: Any, said: str, width: float) -> str:
    while said and pdf.get_string_width(said) > width:
        said = f"{said[:-2]}…"
    return said


def _span(pdf: Any, place: _Place, span: Span) -> None:
    start, end = place.x(span.start.timestamp()), place.x(span.end.timestamp())
    pdf.set_fill_color(*SHADES[span.shade])
    pdf.rect(start, place.top, max(end - start, 0.3), place.height, style="F")


def ticks(low: float, high: float, count: int = 5) -> Iterator[float]:
    """Round values between two: steps of 1, 2 or 5."""
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    step *= next(one for one in (1, 2, 5, 10) if (high - low) / (step * one) <= count)
    at = math.ceil(low / step)
    while at * step <= high:
        yield at * step
        at += 1


def _times(low: float, high: float, header: Header) -> Iterator[tuple[float, str]]:
    """Midnights of the station, or hours of a short span, at most some ten."""
    span = high - low
    steps = (3600.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0, *(86400.0 * one for one in (1, 2, 5, 10, 15, 30, 60)))
    step = next((one for one in steps if span / one <= 9), steps[-1])
    offset = header.offset_h * 3600.0
    at = math.ceil((low + offset) / step) * step - offset
    while at <= high:
        local = datetime.fromtimestamp(at, UTC).astimezone(zone(header))
        yield at, local.strftime("%m-%d %H:%M" if step < 86400 else "%Y-%m-%d" if span > 300 * 86400 else "%m-%d")
        at += step


def _grid(pdf: Any, chart: Chart, place: _Place, header: Header) -> None:
    pdf.set_font("report", size=6.5)
    pdf.set_text_color(*_SOFT)
    pdf.set_draw_color(*_GRID)
    pdf.set_line_width(0.15)
    for value in ticks(place.y0, place.y1):
        y = place.y(value)
        pdf.line(place.left, y, place.left + place.width, y)
        said = number(value)
        pdf.text(place.left - 1 - pdf.get_string_width(said), y + 0.9, said)
    if chart.x == "time":
        marks = list(_times(place.x0, place.x1, header))
    else:
        marks = [(one, number(one)) for one in ticks(place.x0, place.x1, 7)]
    for value, said in marks:
        x = place.x(value)
        pdf.line(x, place.top, x, place.top + place.height)
        pdf.text(x - pdf.get_string_width(said) / 2, place.top + place.height + 3.2, said)
    pdf.text(place.left, place.top - 0.8, chart.unit)
    if chart.x_title:
        said = chart.x_title
        pdf.text(place.left + place.width - pdf.get_string_width(said), place.top + place.height + 5.6, said)


def _line(pdf: Any, place: _Place, line: Line, colour: tuple[int, int, int]) -> None:
    pdf.set_draw_color(*colour)
    pdf.set_fill_color(*colour)
    pdf.set_line_width(0.28)
    if line.shape == "bars":
        half = (line.x[1] - line.x[0]) / 2 * 0.92 if len(line.x) > 1 else 0.5
        for x, y in zip(line.x, line.y, strict=True):
            if y:
                a, b = place.x(x - half), place.x(x + half)
                pdf.rect(a, place.y(y), b - a, place.y(0.0) - place.y(y), style="F")
    elif line.shape == "points":
        for x, y in zip(line.x, line.y, strict=True):
            if y is not None:
                pdf.ellipse(place.x(x) - 0.5, place.y(y) - 0.5, 1.0, 1.0, style="F")
    else:
        for part in _parts(line):
            path = [(place.x(x), place.y(y)) for x, y in part]
            if line.shape == "steps":
                path = [
                    path[0],
                    *(corner for a, b in pairwise(path) for corner in ((b[0], a[1]), b)),
                ]
            pdf.polyline(path)


def _parts(line: Line) -> Iterator[list[tuple[float, float]]]:
    """Runs of known values."""
    part: list[tuple[float, float]] = []
    for x, y in zip(line.x, line.y, strict=True):
        if y is not None:
            part.append((x, y))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _key(pdf: Any, chart: Chart, left: float, bottom: float, width: float, words: Words) -> float:
    """What the colours mean, in lines at the foot of the box; how high that is."""
    found = [(line.name, LINES[at % len(LINES)]) for at, line in enumerate(chart.lines)]
    for limit in chart.limits:
        seen = "" if limit.verified else f" ({words('page.unverified')})"
        found.append((f"{limit.name}{seen} ±{number(abs(limit.value))}" if _both(chart, limit.value) else
                      f"{limit.name}{seen} {number(limit.value)}", LEVELS[limit.level]))  # fmt: skip
    found += [(span.name, SHADES[span.shade]) for span in chart.spans]
    pdf.set_font("report", size=6.3)
    found += [(_cut(pdf, one, width - 20), _PAPER) for one in chart.notes]
    rows: list[list[tuple[str, tuple[int, int, int]]]] = [[]]
    x = 0.0
    for said, colour in dict.fromkeys(found):
        need = pdf.get_string_width(said) + 7
        if rows[-1] and x + need > width - 13:
            rows.append([])
            x = 0.0
        rows[-1].append((said, colour))
        x += need
    for at, row in enumerate(rows):
        x, y = left + 13, bottom - 3.1 * (len(rows) - at) + 1.2
        for said, colour in row:
            pdf.set_fill_color(*colour)
            pdf.rect(x, y - 1.5, 3, 1.4, style="F")
            pdf.set_text_color(*_SOFT)
            pdf.text(x + 4, y, said)
            x += pdf.get_string_width(said) + 7
    return 3.1 * len(rows)


def _both(chart: Chart, value: float) -> bool:
    return value != 0.0 and any(one.value == -value for one in chart.limits)
