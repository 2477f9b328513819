"""Which day, month, quarter or year an hour belongs to, at the station's own day start."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from metrology.periods import iso

CalendarPeriod = Literal["hour", "day", "month", "quarter", "year", "total"]
# How far local midnight lies before 00:00 UTC: China.
DAY_OFFSET: Final = timedelta(hours=8)


def period_key(start: datetime, period: CalendarPeriod, day_offset: timedelta = DAY_OFFSET) -> str:
    """Name of the period that holds an instant: its ISO start for an hour, `2026-01-31`, `2026-01`, `2026-Q1`, `2026`,
    or `total`. Names of one kind sort by time.
    """
    local = start.astimezone(UTC) + day_offset
    match period:
        case "hour":
            return iso(start)
        case "day":
            return f"{local:%Y-%m-%d}"
        case "month":
            return f"{local:%Y-%m}"
        case "quarter":
            return f"{local.year:04}-Q{(local.month + 2) // 3}"
        case "year":
            return f"{local:%Y}"
        case "total":
            return "total"
