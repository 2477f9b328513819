"""Times on the HJ 212 wire: local time without a zone, UTC+8 by practice; unique request numbers (QN)."""

from datetime import UTC, datetime, timedelta
from typing import Final

from metrology.periods import CHINA

_SECONDS: Final = "%Y%m%d%H%M%S"


def render_time(at: datetime) -> str:
    """`YYYYMMDDhhmmss` in UTC+8 of an aware time."""
    return at.astimezone(CHINA).strftime(_SECONDS)


def parse_time(text: str) -> datetime:
    """Inverse of `render_time`, in UTC. Raises ValueError."""
    if len(text) != 14 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not YYYYMMDDhhmmss")
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=CHINA).astimezone(UTC)


def render_qn(at: datetime) -> str:
    """`YYYYMMDDhhmmsszzz` in UTC+8 (HJ 212-2017 table 3)."""
    return f"{render_time(at)}{at.microsecond // 1000:03d}"


class QnSource:
    """Request numbers from the time, a millisecond later where the time has not moved on: never one twice."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def next(self, now: datetime) -> str:
        """QN for `now` (aware)."""
        at = now.astimezone(UTC)
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        self._last = max(at, self._last + timedelta(milliseconds=1))
        return render_qn(self._last)
