"""A table of a text line (`drivers/lines/*.hjson`) becomes a polled driver; no Python per instrument."""

import re
from datetime import datetime
from fractions import Fraction
from functools import cache, partial, reduce
from operator import xor
from typing import Final, Literal

from pydantic import Field, model_validator

from drivers import tables
from drivers.base import Ask, BadAnswer, DriverError, Options, Poll, PolledEntry, Text
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading, Scan

ANSWER_BYTES_MAX: Final = 1024
SHOWN_CHARACTERS_MAX: Final = 80
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?")


class Stated(tables.Strict):
    """How a unit the instrument may state becomes ours: ours = stated times `scale` plus `offset`."""

    scale: tables.Number = 1.0
    offset: tables.Number = 0.0

    def converted(self, number: str) -> float:
        """Value in our unit; decimal arithmetic, rounded once."""
        return float(Fraction(number) * Fraction(str(self.scale)) + Fraction(str(self.offset)))


class Field_(tables.Emitted):  # noqa: N801  (pydantic's Field is the other one)
    """One field of the line between commas: a pattern with groups `value` and `unit`, and the units it may state."""

    pattern: str
    stated: dict[str, Stated]
    may_be_empty: tables.Flag = False

    @model_validator(mode="after")
    def _groups(self) -> "Field_":
        if set(self.expression.groupindex) != {"value", "unit"}:
            raise ValueError(f"pattern of {self.measurand} needs the groups value and unit")
        return self

    @property
    def expression(self) -> re.Pattern[str]:
        """The pattern, anchored to the commas around it."""
        return re.compile(rf"(?<![^,]){self.pattern}(?![^,*])")


class Check(tables.Strict):
    """Check sum: none, or two hex digits behind `end`, the XOR of all bytes between `begin` and `end` without these."""

    rule: Literal["none", "xor"]
    begin: str = ""
    end: str = ""

    def verify(self, line: str) -> None:
        """Raise `BadAnswer` where the sum is missing or wrong."""
        if self.rule == "none":
            return
        body, found, said = line.removeprefix(self.begin).rpartition(self.end)
        if not found or said.upper() != f"{reduce(xor, body.encode('ascii', 'replace'), 0):02X}":
            raise BadAnswer(f"check sum wrong: {line[:SHOWN_CHARACTERS_MAX]!r}")


class LineTable(tables.Table):
    """A whole table. In `ask` and `begin`, `{unit}` is the address; the answer begins with `begin`, closes with `ends`.

    `invalid_unit` in the place of a unit is the instrument's word for an invalid value.
    """

    ask: str
    begin: str
    ends: tuple[str, ...] = Field(min_length=1)
    largest_unit: tables.Whole = Field(ge=0)
    invalid_unit: str
    check: Check
    fields: tuple[Field_, ...] = Field(min_length=1)


class TextLineDriver:
    """Asks one line and takes it apart. Bytes before the line's beginning are passed over."""

    def __init__(self, table: LineTable, instrument: str, unit: int) -> None:
        self._table = table
        self._instrument = instrument
        self._begin = table.begin.replace("{unit}", str(unit))
        self._step = Ask(
            table.ask.replace("{unit}", str(unit)).encode("ascii"),
            tuple(end.encode("ascii") for end in table.ends),
            ANSWER_BYTES_MAX,
        )

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {field.measurand: field.unit for field in self._table.fields}

    def poll(self) -> Poll:
        """Ask once; one scan. Raises `BadAnswer` where no line is in the answer or its check sum is wrong."""
        answer = yield self._step
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        line = self._line(answer.data.decode("ascii", "replace"))
        readings = tuple(self._reading(field, line, answer.at) for field in self._table.fields)
        return [Scan(self._instrument, answer.at, readings)]

    def _line(self, text: str) -> str:
        start = text.rfind(self._begin)
        if start < 0:
            raise BadAnswer(f"no line that begins with {self._begin!r}: {text[:SHOWN_CHARACTERS_MAX]!r}")
        line = text[start:].rstrip("\r\n")
        self._table.check.verify(line)
        return line

    def _reading(self, field: Field_, line: str, at: datetime) -> Reading:
        value, fault = self._value(field, line)
        quality = Quality.of(Mark(Cause.FAULT, fault, at)) if fault else GOOD
        return Reading(self._instrument, field.measurand, value, field.unit, at, quality)

    def _value(self, field: Field_, line: str) -> tuple[float | None, str | None]:
        """Value in our unit, and what is wrong where there is none; an empty field that may be empty is no fault."""
        found = field.expression.search(line)
        if found is None:
            return None, f"{field.measurand} is not in the line"
        number, unit = found["value"], found["unit"]
        if unit == self._table.invalid_unit:
            return None, "the instrument says: invalid"
        if not number and field.may_be_empty:
            return None, None
        if not _NUMBER.fullmatch(number):
            return None, f"no number: {found[0]!r}"
        if unit not in field.stated:
            return None, f"unit {unit!r} is not in the table"
        return field.stated[unit].converted(number), None


def _make(table: LineTable, instrument: str, unit: int | None, options: Options) -> TextLineDriver:
    address = table.default_unit if unit is None else unit
    if address is None or not 0 <= address <= table.largest_unit:
        raise DriverError(f"unit {address} of a {table.model}: write 0 to {table.largest_unit}")
    return TextLineDriver(table, instrument, address)


@cache
def entry(name: str) -> PolledEntry:
    """The driver of the table `drivers/lines/{name}.hjson`."""
    table = tables.load("lines", name, LineTable)
    info = table.info(name, "text", table.fields, {})
    return PolledEntry(info, partial(_make, table))
