"""Data areas of uploads: made from averages and measurements at a station, read back as rows at a platform."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from metrology.quality import Cause, letter
from metrology.reading import Average, Measurement
from metrology.units import UnitError
from protocols.hj212.factors import Factor, decimal
from protocols.hj212.message import CP_MAX, SEGMENT_MAX, EncodeError, Item, Message, area_text
from protocols.hj212.tables.fields import number
from protocols.hj212.times import parse_time, render_time

REALTIME: Final = "2011"
CN_OF_PERIOD: Final = {60: "2051", 3600: "2061", 86400: "2031"}
STACK_RULE: Final = "hj-stack"
# Share of inputs that are N from which a mean of stack gas is N.
STACK_NORMAL_MIN: Final = 0.75
PERIOD_OF_CN: Final = {cn: period for period, cn in CN_OF_PERIOD.items()}


class UploadError(ValueError):
    """A peer's upload that cannot be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a message says of one factor: numbers by suffix (`Rtd`, `Avg`, `Min`, `Max`, `Cou`, ...) and the letter."""

    code: str
    values: Mapping[str, float]
    flag: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A data message read: CN, period in seconds (None for real-time data), DataTime as UTC, rows by code."""

    cn: str
    period_s: int | None
    data_time: datetime
    rows: tuple[Row, ...]


def average_item(factor: Factor, average: Average) -> Item:
    """Sub-values of one factor of 2051, 2061 or 2031. Without a mean there is the letter alone. Raises UnitError."""
    code, unit = factor.code, average.unit
    pairs: list[tuple[str, str]] = []
    if average.sum is not None:
        pairs.append((f"{code}-Cou", decimal(average.sum, factor.decimals)))
    for suffix, value in (("Min", average.minimum), ("Avg", average.mean), ("Max", average.maximum)):
        if value is not None:
            pairs.append((f"{code}-{suffix}", factor.render(value, unit)))
    return (*pairs, (f"{code}-Flag", _average_letter(average)))


def _average_letter(average: Average) -> str:
    """Letter of a mean. Of stack gas N or D alone, by its inputs (HJ 212-2017 C.16 to C.18); else by its causes.

    That is another rule than the one for a valid mean (formulas 23 to 25): a day of 18 or 19 valid hours is sent as N.
    """
    if average.rule == STACK_RULE:
        return "N" if average.mean is not None and average.valid_fraction >= STACK_NORMAL_MIN else "D"
    return _letter(average.quality.causes, average.mean)


def realtime_item(factor: Factor, measurement: Measurement, *, silent: bool) -> Item:
    """Sub-values of one factor of 2011; `silent` where the measurement is too old to be called real-time (letter B)."""
    reading = measurement.reading
    if silent:
        return ((f"{factor.code}-Flag", _letter({*reading.quality.causes, Cause.COMMUNICATION}, None)),)
    flag = (f"{factor.code}-Flag", _letter(reading.quality.causes, measurement.value))
    if measurement.value is None:
        return (flag,)
    return ((f"{factor.code}-Rtd", factor.render(measurement.value, reading.unit)), flag)


def _letter(causes: Iterable[Cause], value: float | None) -> str:
    """Letter of table 8. Where there is no number, "normal" would be untrue: D."""
    sent = letter(causes)
    return "D" if sent == "N" and value is None else sent


def average_items(factors: Iterable[Factor], averages: Mapping[str, Average]) -> tuple[tuple[Item, ...], list[str]]:
    """Items of all factors that the averages hold, and why others of them could not be written."""
    items, problems = [], []
    for factor in factors:
        average = averages.get(factor.series)
        if average is None:
            continue
        try:
            items.append(average_item(factor, average))
        except UnitError as error:
            problems.append(f"factor {factor.code} ({factor.series}): {error}")
    return tuple(items), problems


def time_item(at: datetime) -> Item:
    """`DataTime`: the start of a period, or the instant of a sample."""
    return (("DataTime", render_time(at)),)


def split(items: Sequence[Item], header_bytes: int, split_header_bytes: int) -> list[tuple[Item, ...]]:
    """Cut items into parts that fit one message each, on factor boundaries (HJ 212-2017 4.2 and tables 2 and 3).

    The first item (DataTime) stands at the head of every part. The header sizes are those of a message without and with
    PNUM and PNO. Raises EncodeError for one factor too long for any message.
    """
    first, rest = items[0], items[1:]
    if _size(items) <= _room(header_bytes):
        return [tuple(items)]
    room = _room(split_header_bytes)
    parts: list[list[Item]] = []
    for item in rest:
        if _size([first, item]) > room:
            raise EncodeError(f"{item[0][0]} does not fit a message")
        if not parts or _size([*parts[-1], item]) > room:
            parts.append([first])
        parts[-1].append(item)
    return [tuple(part) for part in parts]


def _room(header_bytes: int) -> int:
    return min(CP_MAX, SEGMENT_MAX - header_bytes) - len("CP=&&&&")


def _size(items: Sequence[Item]) -> int:
    return len(area_text(tuple(items)).encode("utf-8"))


def read_upload(message: Message) -> Upload:
    """Rows of a data message. Sub-values that are no numbers are left out. Raises UploadError without DataTime."""
    try:
        at = parse_time(message.value("DataTime") or "")
    except ValueError as error:
        raise UploadError(f"DataTime: {error}") from error
    values: dict[str, dict[str, float]] = {}
    flags: dict[str, str] = {}
    for name, text in (pair for item in message.area for pair in item):
        code, dash, suffix = name.partition("-")
        if not dash:
            continue
        found = values.setdefault(code, {})
        value = number(text)
        if suffix == "Flag":
            flags.setdefault(code, text)
        elif value is not None:
            found.setdefault(suffix, value)
    rows = tuple(Row(code, found, flags.get(code)) for code, found in values.items())
    return Upload(message.cn, PERIOD_OF_CN.get(message.cn), at, rows)
