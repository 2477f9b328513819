"""The span of a report as people write it: days, months and quarters of the station, or instants."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_DAY: Final = timedelta(days=1)
_SHORT: Final = re.compile(r"(\d{4})(?:-(\d{2})|-?Q([1-4]))?")


def instant(text: str, offset_h: float, *, end: bool = False) -> datetime:
    """Aware UTC of a year, a quarter, a month, a day (of the station's own time), or an ISO 8601 instant.

    At the `end` of a span a year, quarter, month or day means its end. An instant without a zone is the station's.
    Raises ValueError.
    """
    try:
        return _instant(text.strip(), offset_h, end)
    except OverflowError as error:
        raise ValueError(f"{text}: beyond the ends of the calendar") from error


def interval(since: str, until: str, offset_h: float) -> tuple[datetime, datetime]:
    """Both ends as `instant` reads them. Raises ValueError, also where it ends before it begins."""
    begin, end = instant(since, offset_h), instant(until, offset_h, end=True)
    if begin >= end:
        raise ValueError(f"--from {since} --to {until}: ends before it begins")
    return begin, end


def _instant(text: str, offset_h: float, end: bool) -> datetime:
    if short := _SHORT.fullmatch(text):
        year, month, quarter = short.groups()
        first = int(month) if month else 3 * int(quarter) - 2 if quarter else 1
        months = 1 if month else 3 if quarter else 12
        begin = datetime(int(year), first, 1, tzinfo=UTC)
        count = begin.year * 12 + begin.month - 1 + (months if end else 0)
        return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC) - timedelta(hours=offset_h)
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    local = found.replace(tzinfo=UTC) - timedelta(hours=offset_h)
    return local + _DAY if end and len(text) == len("2026-06-15") else local
