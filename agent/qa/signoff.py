"""Sign-offs of a running station: a named person gives a span of data a review level, as a record beside them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from calibration.qa.review import LEVELS, SignOff, level
from metrology.clock import Clock
from metrology.periods import iso, parse_iso

PAGE: Final = 500
# A span is named by a year, a quarter, a month, a day, or two of these with a slash between, the second exclusive.
PERIOD_FORMS: Final = "2026, 2026-Q2, 2026-06, 2026-06-15, 2026-06-15T08:00:00Z, FROM/TO"


def period_of(text: str, day_offset_s: int) -> tuple[datetime, datetime]:
    """Start and end (exclusive, UTC) of a period; days begin `day_offset_s` before 00:00 UTC. Raises ValueError."""
    first, slash, last = text.partition("/")
    start, end = _named(first.strip(), day_offset_s)
    if slash:
        end = _named(last.strip(), day_offset_s)[0]
    if end <= start:
        raise ValueError(f"period {text}: its end does not lie after its start")
    return start, end


def _named(text: str, day_offset_s: int) -> tuple[datetime, datetime]:
    shift = timedelta(seconds=day_offset_s)
    try:
        if "T" in text:
            at = parse_iso(text)
            return at, at
        year, *rest = text.split("-")
        first, months = _months(int(year), rest)
        if months:
            return _month(first) - shift, _month(first + months) - shift
        day = parse_iso(f"{text}T00:00:00Z") - shift
        return day, day + timedelta(days=1)
    except ValueError as error:
        raise ValueError(f"period {text}: write {PERIOD_FORMS}") from error


def _months(year: int, rest: list[str]) -> tuple[int, int]:
    """First month, counted from year 0, and how many; none of a day."""
    match rest:
        case []:
            return 12 * year, 12
        case [part] if part.startswith("Q") and part[1:] in ("1", "2", "3", "4"):
            return 12 * year + 3 * (int(part[1:]) - 1), 3
        case [part] if len(part) == 2 and 1 <= int(part) <= 12:
            return 12 * year + int(part) - 1, 1
        case _:
            return 0, 0


def _month(number: int) -> datetime:
    return parse_iso(f"{number // 12:04d}-{number % 12 + 1:02d}-01T00:00:00Z")


class SignOffs:
    """One for a station."""

    def __init__(self, log: Log, index: Index, series: Sequence[str], clock: Clock, day_offset_s: int) -> None:
        self._log = log
        self._index = index
        self._series = tuple(series)
        self._clock = clock
        self._day_offset_s = day_offset_s

    async def listed(self) -> list[SignOff]:
        """All of them, in the order of their making."""
        return await self._log.look_up(lambda: list(_read(self._index)))

    async def sign(self, period: str, series: Sequence[str], verdict: str, who: str, reason: str) -> dict[str, Any]:
        """Record one. Raises ValueError for a level, period or series that is none, or a step that was left out.

        Only what was checked at the station can be approved; `raw` takes back what was given.
        """
        given = next((one for one in LEVELS if one == verdict), None)
        if given is None:
            raise ValueError(f"verdict {verdict}: one of {', '.join(LEVELS)}")
        start, end = period_of(period, self._day_offset_s)
        now = self._clock.now()
        if end > now:
            raise ValueError(f"period {period} ends {iso(end)}: it is not over yet")
        if unknown := sorted(set(series) - set(self._series)):
            raise ValueError(f"no series {', '.join(unknown)}; known: {', '.join(self._series)}")
        if given == "approved":
            await self._all_checked(series or self._series, start, end)
        made = SignOff(now, start, end, tuple(series), given, who, reason)
        await self._log.append("event", {"what": "qa-signoff", "origin": who, **made.fields()})
        return {"who": who, **made.fields()}

    async def _all_checked(self, series: Sequence[str], start: datetime, end: datetime) -> None:
        signed = await self.listed()
        raw = [one for one in series if level(signed, one, start, end) == "raw"]
        if raw:
            raise ValueError(f"not station-checked from {iso(start)} to {iso(end)}: {', '.join(raw)}")


def _read(index: Index) -> Iterator[SignOff]:
    after = ""
    while rows := index.told("event", ("qa-signoff",), after, "9", PAGE):
        yield from (SignOff.of(row) for row in rows)
        after = rows[-1]["t"]
