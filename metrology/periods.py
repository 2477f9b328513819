"""Periods: minutes and hours cut in UTC, days cut at the station's day start (00:00 UTC+8 by default)."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400
CHINA: Final = timezone(timedelta(hours=8), "UTC+8")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def period_start(at: datetime, period_s: int, day_offset_s: int = 8 * HOUR_S) -> datetime:
    """Start of the period that holds `at`; `day_offset_s` is how far local midnight lies before 00:00 UTC."""
    offset = day_offset_s if period_s % DAY_S == 0 else 0
    seconds = int((at - EPOCH) // timedelta(seconds=1)) + offset
    return EPOCH + timedelta(seconds=seconds - seconds % period_s - offset)


def iso(at: datetime) -> str:
    """`2026-01-01T00:00:00.000Z`: UTC, milliseconds, the one form used in records."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_iso(text: str) -> datetime:
    """Inverse of `iso`. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"time without zone: {text}")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text}: beyond the ends of the calendar") from error
