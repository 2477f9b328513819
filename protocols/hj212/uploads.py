"""Data areas of uploads: made from averages and measurements at a station, read back as rows at a platform."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from metrology.quality import Cause, letter
from metrology.reading import Average, Measurement
from metrology.units import UnitError
from protocols.hj212.factors import Factor, decimal
from protocols.hj212.message import Item, Message
from protocols.hj212.profile import Edition
from protocols.hj212.tables.fields import number
from protocols.hj212.times import parse_time, render_time

REALTIME: Final = "2011"
CN_OF_PERIOD: Final = {60: "2051", 3600: "2061", 86400: "2031"}
STACK_RULE: Final = "hj-stack"
# Share of inputs that are N from which a mean of stack gas is N.
STACK_NORMAL_MIN: Final = 0.75
PERIOD_OF_CN: Final = {"2051": 60, "2061": 3600, "2031": 86400, "2111": 300}
# Uploads whose data area holds values by factor; all others are read from their fields.
VALUE_CNS: Final = frozenset({REALTIME, *PERIOD_OF_CN})
_NUMBERS: Final = "Rtd Min Avg Max ZsRtd ZsMin ZsAvg ZsMax Cou Data DayData NightData"
_SUFFIXES: Final = {suffix.casefold(): suffix for suffix in _NUMBERS.split()}
# Letters of table 8 that an edition does not have, and what is sent there instead. The set of 2005 is from memory.
_OTHER_LETTER: Final[Mapping[Edition, Mapping[str, str]]] = {Edition.HJ2005: {"B": "D"}}


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


def average_item(
    factor: Factor,
    average: Average,
    edition: Edition = Edition.HJ2017,
    *,
    converted: Average | None = None,
    emission: Average | None = None,
) -> Item:
    """Sub-values of one factor of 2051, 2061 or 2031. Without a mean there is the letter alone.

    `converted` is the same period of the series at reference oxygen (the Zs values), `emission` that of the rate, whose
    amount is sent. Raises UnitError.
    """
    pairs: list[tuple[str, str]] = []
    amount = (emission or average).sum
    if amount is not None:
        pairs.append((f"{factor.code}-Cou", decimal(amount, factor.decimals)))
    for prefix, one in (("", average), ("Zs", converted)):
        if one is not None:
            named = (("Min", one.minimum), ("Avg", one.mean), ("Max", one.maximum))
            pairs += [(f"{factor.code}-{prefix}{s}", factor.render(v, one.unit)) for s, v in named if v is not None]
    return (*pairs, (f"{factor.code}-Flag", flag_letter(_average_letter(average), edition)))


def flag_letter(table_8: str, edition: Edition) -> str:
    """A letter of table 8 of 2017 as an edition has it: 2005 has none for a broken communication and says fault."""
    return _OTHER_LETTER.get(edition, {}).get(table_8, table_8)


def _average_letter(average: Average) -> str:
    """Letter of a mean. Of stack gas N or D alone, by its inputs (HJ 212-2017 C.16 to C.18); else by its causes.

    That is another rule than the one for a valid mean (formulas 23 to 25): a day of 18 or 19 valid hours is sent as N.
    """
    if average.rule == STACK_RULE:
        return "N" if average.mean is not None and average.valid_fraction >= STACK_NORMAL_MIN else "D"
    return _letter(average.quality.causes, average.mean)


def realtime_item(
    factor: Factor,
    measurement: Measurement,
    edition: Edition = Edition.HJ2017,
    *,
    silent: bool,
    converted: Measurement | None = None,
) -> Item:
    """Sub-values of one factor of 2011; `silent` where the measurement is too old to be called real-time (letter B).

    `converted` is the measurement of the series at reference oxygen (ZsRtd). Raises UnitError.
    """
    causes, value = measurement.reading.quality.causes, measurement.value
    sent = _letter({*causes, Cause.COMMUNICATION}, None) if silent else _letter(causes, value)
    pairs = [
        (f"{factor.code}-{suffix}", factor.render(one.value, one.reading.unit))
        for suffix, one in (("Rtd", measurement), ("ZsRtd", converted))
        if one is not None and one.value is not None and not silent
    ]
    return (*pairs, (f"{factor.code}-Flag", flag_letter(sent, edition)))


def _letter(causes: Iterable[Cause], value: float | None) -> str:
    """Letter of table 8. Where there is no number, "normal" would be untrue: D."""
    sent = letter(causes)
    return "D" if sent == "N" and value is None else sent


def average_items(
    factors: Iterable[Factor], averages: Mapping[str, Average], edition: Edition = Edition.HJ2017
) -> tuple[tuple[Item, ...], list[str]]:
    """Items of all factors that the averages hold, by series, and why others of them could not be written."""
    items, problems = [], []
    for factor in factors:
        average = averages.get(factor.series)
        if average is None:
            continue
        converted, emission = averages.get(factor.converted or ""), averages.get(factor.emission or "")
        try:
            items.append(average_item(factor, average, edition, converted=converted, emission=emission))
        except UnitError as error:
            problems.append(f"factor {factor.code} ({factor.series}): {error}")
    return tuple(items), problems


def time_item(at: datetime) -> Item:
    """`DataTime`: the start of a period, or the instant of a sample."""
    return (("DataTime", render_time(at)),)


def read_upload(message: Message, *, minute_s: int = 60) -> Upload:
    """Rows of a message of `VALUE_CNS`, of any edition and with any codes.

    Sub-values that are no numbers are left out, of a name that comes twice the first counts. `minute_s` is what one
    2051 of this station covers (CN 1064). Raises UploadError without DataTime.
    """
    period_s = minute_s if message.cn == "2051" else PERIOD_OF_CN.get(message.cn)
    values: dict[str, dict[str, float]] = {}
    flags: dict[str, str] = {}
    for name, text in (pair for item in message.area for pair in item):
        code, dash, suffix = name.partition("-")
        if not dash:
            continue
        found = values.setdefault(code, {})
        known, value = _SUFFIXES.get(suffix.casefold()), number(text)
        if suffix.casefold() == "flag":
            flags.setdefault(code, text)
        elif known is not None and value is not None:
            found.setdefault(known, value)
    rows = tuple(Row(code, found, flags.get(code)) for code, found in values.items())
    return Upload(message.cn, period_s, data_time(message), rows)


def data_time(message: Message) -> datetime:
    """DataTime as UTC; milliseconds that some devices append are dropped. Raises UploadError."""
    text = message.value("DataTime") or ""
    try:
        return parse_time(text[:14] if len(text) == 17 and text[14:].isdecimal() else text)
    except ValueError as error:
        raise UploadError(f"DataTime: {error}") from error
