"""Header and data-area fields (HJ 212-2017 tables 3 and 4): how the value of each is written."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from protocols.hj212.profile import Edition
from protocols.hj212.tables.rows import editions, rows
from protocols.hj212.times import parse_time


class Kind(StrEnum):
    """How the value of a field is written."""

    TIME = "time"
    STAMP = "stamp"
    CLOCK = "clock"
    DIGITS = "digits"
    INTEGER = "integer"
    NUMBER = "number"
    CODE = "code"
    HEX = "hex"
    TEXT = "text"


_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|[+-]?\.[0-9]+")
_HEX: Final = frozenset("0123456789ABCDEFabcdef")
# What to write, in English and Chinese.
_WANTED: Final = {
    Kind.TIME: ("a time YYYYMMDDhhmmss", "时间 YYYYMMDDhhmmss"),
    Kind.STAMP: ("a time YYYYMMDDhhmmss, with or without milliseconds", "时间 YYYYMMDDhhmmss，毫秒可有可无"),
    Kind.CLOCK: ("a time of day, hhmm or hhmmss", "时刻 hhmm 或 hhmmss"),
    Kind.DIGITS: ("digits", "数字"),
    Kind.INTEGER: ("a whole number", "整数"),
    Kind.NUMBER: ("a decimal number without exponent", "小数，不带指数"),
    Kind.CODE: ("letters and digits", "字母和数字"),
    Kind.HEX: ("hexadecimal digits", "十六进制数字"),
    Kind.TEXT: ("text", "文本"),
}
_PHRASES: Final = (
    ("one of {}", " from {} to {}", ", {} long", " to "),
    ("以下之一：{}", "，{} 至 {}", "，{} 位", " 至 "),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field in one or more editions. `{PolId}` and the like in a name stand for any code.

    `shortest` and `longest` count characters, those of text bytes of UTF-8; `allowed` lists the values of a field that
    has only a few; `clauses` say where each edition has it.
    """

    name: str
    place: str
    kind: Kind
    shortest: int
    longest: int
    minimum: int | None
    maximum: int | None
    allowed: frozenset[str]
    editions: dict[Edition, str]
    name_en: str
    name_zh: str
    clauses: str
    notes: str

    def accepts(self, value: str) -> bool:
        """True where the value is written as the table says."""
        size = len(value.encode("utf-8")) if self.kind is Kind.TEXT else len(value)
        if not self.shortest <= size <= self.longest or (self.allowed and value not in self.allowed):
            return False
        return _FORMS[self.kind](value) and self._within(value)

    @property
    def wanted(self) -> str:
        """What to write, in English."""
        return self._wanted(0)

    @property
    def wanted_zh(self) -> str:
        """What to write, in Chinese."""
        return self._wanted(1)

    def _wanted(self, language: int) -> str:
        one_of, between, wide, to = _PHRASES[language]
        if self.allowed:
            return one_of.format(", ".join(sorted(self.allowed, key=int)))
        bounds = between.format(self.minimum, self.maximum) if self.maximum is not None else ""
        counted = self.kind in (Kind.CODE, Kind.HEX, Kind.DIGITS)
        widths = to.join(dict.fromkeys((str(self.shortest), str(self.longest))))
        return _WANTED[self.kind][language] + bounds + (wide.format(widths) if counted else "")

    def _within(self, value: str) -> bool:
        if self.minimum is None or self.maximum is None:
            return True
        return self.minimum <= float(value) <= self.maximum


def number(text: str) -> float | None:
    """Value of a decimal number as HJ 212 writes it (no exponent, finite), else None."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_stamp(text: str) -> bool:
    return _is_digits(text) and len(text) in (14, 17) and _is_time(text[:14])


def _is_clock(text: str) -> bool:
    return _is_digits(text) and len(text) in (4, 6) and _is_time(f"20000101{text:0<6}")


_FORMS: Final[dict[Kind, Callable[[str], bool]]] = {
    Kind.TIME: _is_time,
    Kind.STAMP: _is_stamp,
    Kind.CLOCK: _is_clock,
    Kind.DIGITS: _is_digits,
    Kind.INTEGER: _is_digits,
    Kind.NUMBER: lambda text: number(text) is not None,
    Kind.CODE: lambda text: text.isascii() and text.isalnum(),
    Kind.HEX: _HEX.issuperset,
    Kind.TEXT: lambda text: True,
}


def _bound(text: str) -> int | None:
    return int(text) if text else None


def _field(row: dict[str, str]) -> Field:
    return Field(
        name=row["name"],
        place=row["place"],
        kind=Kind(row["kind"]),
        shortest=int(row["shortest"]),
        longest=int(row["longest"]),
        minimum=_bound(row["minimum"]),
        maximum=_bound(row["maximum"]),
        allowed=frozenset(row["allowed"].split()),
        editions=editions(row["editions"]),
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        clauses=row["clauses"],
        notes=row["notes"],
    )


def all_fields() -> list[Field]:
    """Every row, header and data area, all editions."""
    return [_field(row) for row in rows("fields.csv")]


@cache
def fields(edition: Edition = Edition.HJ2017) -> dict[str, Field]:
    """Data-area fields of one edition, by their name in lower case."""
    found = (row for row in rows("fields.csv") if row["place"] == "area" and edition in editions(row["editions"]))
    return {row["name"].casefold(): _field(row) for row in found}


@cache
def header_fields(edition: Edition = Edition.HJ2017) -> dict[str, Field]:
    """Header fields of one edition, by name."""
    found = (row for row in rows("fields.csv") if row["place"] == "header" and edition in editions(row["editions"]))
    return {row["name"]: _field(row) for row in found}
