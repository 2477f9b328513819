"""Time columns of recorded files: dates, times, zones and running numbers to microseconds of the file's own clock."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from metrology.recorded import DAY, HOUR, MINUTE, SECOND

_EPOCH: Final = date(1970, 1, 1).toordinal()
_EXCEL: Final = date(1899, 12, 30).toordinal()
# Days of MATLAB's datenum are those of Python's ordinal plus 366.
_MATLAB: Final = 366
Stamp = tuple[int, int | None]

_ZONE: Final = r"(?:\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_CLOCK: Final = r"(?P<H>\d{1,2}):?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?:\s*(?P<p>[AaPp])\.?[Mm]\.?)?"
_DATES: Final[Mapping[str, str]] = {
    "ymd": r"(?P<Y>\d{4})(?:[-/.年]|\s+)(?P<m>\d{1,2})(?:[-/.月]|\s+)(?P<d>\d{1,2})日?",
    "yyyymmdd": r"(?P<Y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    "yymmdd": r"(?P<y>\d{2})(?P<m>\d{2})(?P<d>\d{2})",
    "mdy": r"(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?:(?P<Y>\d{4})|(?P<y>\d{2}))",
    "dmy": r"(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?:(?P<Y>\d{4})|(?P<y>\d{2}))",
}
_SIGNS: Final[Mapping[str, str]] = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})", "j": r"(?P<j>\d{1,3})",
    "H": r"(?P<H>\d{1,2})", "I": r"(?P<H>\d{1,2})", "M": r"(?P<M>\d{1,2})", "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})", "p": r"(?P<p>[AaPp])\.?[Mm]\.?", "z": r"(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})", "%": "%",
}  # fmt: skip
NUMBERS: Final = ("epoch_s", "epoch_ms", "excel", "matlab", "decimal_year")


class StampError(ValueError):
    """A cell that holds no time, or a format that cannot be."""


def layout(order: str) -> "re.Pattern[str]":
    """Pattern of a date in `order` (a key of the table above) and a time of day after it."""
    return re.compile(rf"\s*\"?\s*{_DATES[order]}(?:[T\s_]+{_CLOCK})?{_ZONE}\s*\"?\s*$")


def pattern(form: str) -> "re.Pattern[str]":
    """Pattern of a format written with strftime's signs (%Y %y %m %d %j %H %I %M %S %f %p %z).

    Raises StampError for another sign, and for a format without a date.
    """
    parts, at = [], 0
    for match in re.finditer(r"%(.)|%$", form):
        sign = match.group(1) or ""
        if sign not in _SIGNS:
            raise StampError(f"%{sign}")
        parts += [re.escape(form[at : match.start()]), _SIGNS[sign]]
        at = match.end()
    text = "".join([*parts, re.escape(form[at:])]).replace(r"\ ", r"\s+")
    try:
        made = re.compile(rf"\s*{text}\s*$")
    except re.error:
        raise StampError(form) from None
    days = made.groupindex.keys() & {"j"} or made.groupindex.keys() >= {"m", "d"}
    if not days or not made.groupindex.keys() & {"Y", "y"}:
        raise StampError(form)
    return made


class Reader:
    """Stamps of one pattern; the date of the last stamp is kept, because the next has it most of the time."""

    def __init__(self, made: "re.Pattern[str]") -> None:
        self._match = made.match
        self._days = [name for name in "Yymdj" if name in made.groupindex]
        self._rest = [name for name in ("H", "M", "S", "f", "p", "zone") if name in made.groupindex]
        self._day: tuple[tuple[str | None, ...], int] = ((), 0)

    def __call__(self, text: str) -> Stamp:
        """Microseconds of the file's own clock, and the zone. Raises StampError."""
        found = self._match(text)
        if found is None:
            raise StampError(text)
        key = found.group(0, *self._days)[1:]
        if key != self._day[0]:
            self._day = (key, _day(dict(zip(self._days, key, strict=True)), text))
        got = dict(zip(self._rest, found.group(0, *self._rest)[1:], strict=True)) if self._rest else {}
        return self._day[1] + _clock(got, text), _offset(got.get("zone"))


def _day(got: Mapping[str, str | None], text: str) -> int:
    year, short, count = got.get("Y"), got.get("y"), got.get("j")
    # Two digits of a year: 69 to 99 are of the last century, as POSIX has it.
    full = int(year) if year else int(short or 0) + (1900 if int(short or 0) >= 69 else 2000)
    try:
        if count:
            found = date(full, 1, 1).toordinal() + int(count) - 1
            if date.fromordinal(found).year != full:
                raise StampError(text)
        else:
            found = date(full, int(got.get("m") or 0), int(got.get("d") or 0)).toordinal()
    except ValueError:
        raise StampError(text) from None
    return (found - _EPOCH) * DAY


def _clock(got: Mapping[str, str | None], text: str) -> int:
    hour, minute, second = int(got.get("H") or 0), int(got.get("M") or 0), int(got.get("S") or 0)
    if half := got.get("p"):
        hour = hour % 12 + (12 if half in "pP" else 0)
    # 24:00 is written for the end of a day, 60 for a leap second.
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise StampError(text)
    part = got.get("f")
    return hour * HOUR + minute * MINUTE + second * SECOND + (int(part.ljust(6, "0")[:6]) if part else 0)


def _offset(zone: str | None) -> int | None:
    if not zone:
        return None
    if not zone.startswith(("+", "-")):
        return 0
    size = int(zone[1:3]) * HOUR + int(zone[-2:]) * MINUTE
    return -size if zone.startswith("-") else size


def running(kind: str) -> Callable[[str], Stamp]:
    """Reader of a number that counts time (`NUMBERS`); Unix time is UTC, the others the file's own clock."""

    def read(text: str) -> Stamp:
        try:
            value = float(text)
            return _counted(kind, value), 0 if kind.startswith("epoch") else None
        except (ValueError, OverflowError):
            raise StampError(text) from None

    return read


def _counted(kind: str, value: float) -> int:
    if not -1e15 < value < 1e15:
        raise ValueError(value)
    if kind == "epoch_s":
        return round(value * SECOND)
    if kind == "epoch_ms":
        return round(value * 1000)
    if kind == "decimal_year":
        first = date(int(value), 1, 1).toordinal()
        length = date(int(value) + 1, 1, 1).toordinal() - first
        return (first - _EPOCH) * DAY + round((value - int(value)) * length * 86400) * SECOND
    origin = _EPOCH - _EXCEL if kind == "excel" else _EPOCH + _MATLAB
    # A double holds a day of this century to some microseconds: rounded to milliseconds.
    return round((value - origin) * 86400_000) * 1000


def sniffed(text: str, orders: tuple[str, ...] = ("ymd", "yyyymmdd", "yymmdd")) -> Reader:
    """Reader for stamps like this one. Raises StampError where it is none of `orders`, or day and month are not told.

    A date such as 03/04/2020 may be of March or April: `orders` must say which.
    """
    for order in orders:
        made = layout(order)
        if made.match(text):
            reader = Reader(made)
            reader(text)
            return reader
    raise StampError(text)
