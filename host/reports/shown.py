"""Cells as people read them: numbers with their decimals, instants in the station's own day."""

import math
from datetime import datetime, timedelta, timezone

from calibration.reports.document import Cell, Column, Header, Verdict
from calibration.reports.words import Words

NOTHING = "–"
_DIGITS = 5


def zone(header: Header) -> timezone:
    """The station's own time, all year."""
    return timezone(timedelta(hours=header.offset_h))


def zone_name(header: Header) -> str:
    """As `UTC+8`."""
    return f"UTC{header.offset_h:+g}"


def instant(at: datetime, header: Header) -> str:
    """To the minute; to the second where it is not on one."""
    local = at.astimezone(zone(header))
    return local.strftime("%Y-%m-%d %H:%M" if local.second == 0 else "%Y-%m-%d %H:%M:%S")


def number(value: float, decimals: int | None = None) -> str:
    """With so many decimals, else with five significant digits; never a sign before nothing."""
    if decimals is None:
        size = abs(value)
        if size != 0.0 and not 1e-4 <= size < 1e7:
            return f"{value:.4g}"
        decimals = 0 if size == 0.0 else max(0, _DIGITS - 1 - math.floor(math.log10(size)))
        text = f"{value:.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def text(cell: Cell, column: Column, header: Header, words: Words) -> str:
    """A cell as a line of text; a verdict from a limit that was not seen in its source says so."""
    if cell is None or cell == "":
        return NOTHING
    if isinstance(cell, Verdict):
        return cell.text if cell.verified else f"{cell.text} ({words('page.unverified')})"
    if isinstance(cell, datetime):
        return instant(cell, header)
    if isinstance(cell, int | float):
        return number(cell, column.decimals)
    return cell


def title(column: Column) -> str:
    """Of a column, with its unit."""
    return f"{column.title} [{column.unit}]" if column.unit else column.title


def facts(header: Header, words: Words) -> list[tuple[str, str]]:
    """What stands above a report, as pairs."""
    found = [
        (words("page.station"), f"{header.name} ({header.station})" if header.name else header.station),
        (
            words("page.period"),
            f"{instant(header.since, header)} … {instant(header.until, header)} {zone_name(header)}",
        ),
        (words("page.made"), f"{instant(header.made, header)} {zone_name(header)}"),
        (words("page.made-by"), header.made_by),
        (words("page.software"), header.software),
        (words("page.configuration"), header.configuration or words("page.no-configuration")),
    ]
    for name, what, serial in header.instruments:
        number_of = words("page.serial", serial=serial) if serial else words("page.no-serial")
        found.append((words("page.instrument", name=name), f"{what}, {number_of}"))
    if header.simulated:
        found.append((words("page.simulated"), words("page.simulated-note")))
    return found
