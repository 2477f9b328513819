"""The command table as data: which CN goes which way, in what dialogue, with which fields.

HJ 212-2017 tables 4 and 9, appendix C; every row of the two CSV files names its own source.
"""

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Literal, cast

from protocols.hj212.message import Message
from protocols.hj212.times import parse_time

Direction = Literal["to_station", "to_platform"]
Dialogue = Literal["request", "notice", "upload", "data", "answer"]


class QnRtn:
    """Reply codes to a request (HJ 212-2017 table 7)."""

    READY = 1
    REFUSED = 2
    PW = 3
    MN = 4
    ST = 5
    FLAG = 6
    QN = 7
    CN = 8
    UNKNOWN = 100


class ExeRtn:
    """Results of an execution (HJ 212-2017 table 6)."""

    DONE = 1
    FAILED = 2
    CONDITION = 3
    TIMEOUT = 4
    BUSY = 5
    FAULT = 6
    NO_DATA = 100


class Kind(StrEnum):
    """How the value of a field is written."""

    TIME = "time"
    INTEGER = "integer"
    NUMBER = "number"
    LETTER = "letter"
    CODE = "code"


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|[+-]?\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the data area. `{PolId}-` in a name stands for any factor code."""

    name: str
    kind: Kind
    minimum: int | None
    maximum: int | None

    def accepts(self, value: str) -> bool:
        """True where the value is written as the table says."""
        match self.kind:
            case Kind.TIME:
                return _is_time(value)
            case Kind.INTEGER:
                return self._integer(value)
            case Kind.NUMBER:
                return number(value) is not None
            case Kind.LETTER:
                return len(value) == 1 and value.isascii() and value.isalnum()
            case Kind.CODE:
                return value.isascii() and value.isalnum()

    def _integer(self, value: str) -> bool:
        if not (value.isascii() and value.isdigit() and len(value) <= 4):
            return False
        return (self.minimum or 0) <= int(value) <= (self.maximum or 9999)


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


@dataclass(frozen=True, slots=True)
class Command:
    """One row: a CN in one direction. `fields` are (name, multiplicity), `1` exactly one, `?` none or one per code."""

    cn: str
    direction: Direction
    dialogue: Dialogue
    fields: tuple[tuple[str, str], ...]
    editions: frozenset[str]
    name_en: str
    name_zh: str
    source: str

    def problem(self, message: Message) -> str | None:
        """What is wrong with the data area of a message of this command, None where it is as the table says."""
        table = fields()
        allowed = {name.casefold() for name, _ in self.fields}
        counts: Counter[str] = Counter()
        for name, value in (pair for item in message.area for pair in item):
            general = _general(name)
            counts[name.casefold()] += 1
            if general not in allowed:
                return f"field {name} does not belong here"
            if counts[name.casefold()] > 1:
                return f"field {name} occurs twice"
            if not table[general].accepts(value):
                return f"field {name} has the value {value!r}"
        missing = [name for name, times in self.fields if times == "1" and not counts[name.casefold()]]
        return f"field {missing[0]} is missing" if missing else None


def _general(name: str) -> str:
    """`a05001-Avg` is `{polid}-avg`; other names stay, all in lower case."""
    _, dash, suffix = name.partition("-")
    return (f"{{PolId}}-{suffix}" if dash else name).casefold()


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("protocols.hj212").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _bound(text: str) -> int | None:
    return int(text) if text else None


@cache
def fields() -> dict[str, Field]:
    """All fields by their name in lower case."""
    return {
        row["name"].casefold(): Field(row["name"], Kind(row["kind"]), _bound(row["minimum"]), _bound(row["maximum"]))
        for row in _rows("fields.csv")
    }


def _command(row: dict[str, str]) -> Command:
    pairs = (part.rsplit(":", 1) for part in row["fields"].split(";") if part)
    return Command(
        cn=row["cn"],
        direction=cast(Direction, row["direction"]),
        dialogue=cast(Dialogue, row["dialogue"]),
        fields=tuple((name, times) for name, times in pairs),
        editions=frozenset(row["editions"].split()),
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        source=row["source"],
    )


@cache
def commands(edition: str = "2017") -> dict[tuple[str, Direction], Command]:
    """The table of one edition by (CN, direction)."""
    rows = [_command(row) for row in _rows("commands.csv")]
    return {(row.cn, row.direction): row for row in rows if edition in row.editions}
