"""The lists of codes as typed rows: factors, flags, return codes, system types, timers, station information.

A running station reads none of them.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from protocols.hj212.profile import Edition
from protocols.hj212.tables.rows import editions, rows


@dataclass(frozen=True, slots=True)
class Row:
    """What all rows say: names, the evidence for each edition (`tables/rows.py`), clauses, notes.

    `evidence` is for what belongs to no edition: vendors' codes and our own figures.
    """

    name_en: str
    name_zh: str
    editions: dict[Edition, str]
    clauses: str
    evidence: str
    notes: str


@dataclass(frozen=True, slots=True)
class Pollutant(Row):
    """A factor (HJ 212-2017 tables B.1 to B.3); `code` is empty where there is none, `code_2005` where 2005 had none.

    Unit and data type as printed (`unit_amount` is that of Cou): a platform's own are what counts.
    """

    code: str
    code_2005: str
    medium: str
    unit: str
    unit_amount: str
    datatype: str


@dataclass(frozen=True, slots=True)
class ProcessFactor(Row):
    """A factor of a treatment process (tables B.5 and B.7); `xx` in a code is the number of the device."""

    code: str
    unit: str
    datatype: str
    process: str


@dataclass(frozen=True, slots=True)
class Flag(Row):
    """A data flag of a `family`: `source` for pollution sources, `ambient` for air stations of 2005, `vendor` private.

    `cause` is the cause of ours it stands for, `order` which letter is sent first where several apply (ours).
    """

    letter: str
    family: str
    cause: str
    order: int | None
    valid: bool


@dataclass(frozen=True, slots=True)
class ReturnCode(Row):
    """A value of QnRtn or ExeRtn and what its receiver had best do (advice of ours)."""

    field: str
    value: int
    advice: str


@dataclass(frozen=True, slots=True)
class SystemType(Row):
    """A value of ST (table 5)."""

    st: str
    category: str


@dataclass(frozen=True, slots=True)
class Timer(Row):
    """A time, size or count with its default and bounds, as printed."""

    name: str
    default: str
    unit: str
    minimum: str
    maximum: str
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InfoCode(Row):
    """A code of station information (table B.10): a `log`, a `state` with its values, or a `parameter` of a device."""

    code: str
    device: str
    family: str
    unit: str
    datatype: str
    values: dict[str, str]


def _cells(name: str) -> list[dict[str, Any]]:
    """Rows of a file, with the columns that all lists share brought into form."""
    shared = {"editions": "", "clauses": "", "evidence": "", "notes": ""}
    found: list[dict[str, Any]] = [shared | row for row in rows(name)]
    for row in found:
        row["editions"] = editions(row["editions"])
    return found


@cache
def pollutants() -> tuple[Pollutant, ...]:
    """All factors, those without a code of their own last."""
    return tuple(Pollutant(**row) for row in _cells("pollutants.csv"))


@cache
def process_factors() -> tuple[ProcessFactor, ...]:
    """All process factors; the standard prints two codes twice."""
    return tuple(ProcessFactor(**row) for row in _cells("process_factors.csv"))


@cache
def flags(edition: Edition | None = None) -> tuple[Flag, ...]:
    """Data flags of an edition; of all and of vendors where none is given."""
    found = (
        Flag(**row | {"order": int(row["order"]) if row["order"] else None, "valid": row["valid"] == "yes"})
        for row in _cells("flags.csv")
    )
    return tuple(flag for flag in found if edition is None or edition in flag.editions)


@cache
def return_codes() -> tuple[ReturnCode, ...]:
    """Values of QnRtn (table 7) and ExeRtn (table 6)."""
    return tuple(ReturnCode(**row | {"value": int(row["value"])}) for row in _cells("return_codes.csv"))


@cache
def system_types() -> tuple[SystemType, ...]:
    """Values of ST."""
    return tuple(SystemType(**row) for row in _cells("system_types.csv"))


@cache
def timers() -> tuple[Timer, ...]:
    """Times, sizes and counts."""
    return tuple(Timer(**row | {"allowed": tuple(row["allowed"].split())}) for row in _cells("timers.csv"))


@cache
def info_codes() -> tuple[InfoCode, ...]:
    """Codes of station information; `x` at the end of a code is a digit."""
    return tuple(InfoCode(**row | {"values": _values(row["values"])}) for row in _cells("info_codes.csv"))


def _values(cell: str) -> dict[str, str]:
    """`0 ok|1 broken` by value."""
    pairs = (part.partition(" ") for part in cell.split("|") if part)
    return {value: meaning for value, _, meaning in pairs}


@cache
def leniencies() -> tuple[tuple[str, str, str], ...]:
    """Named departures from the standard: name, English, Chinese."""
    return tuple((row["name"], row["name_en"], row["name_zh"]) for row in rows("leniencies.csv"))


@cache
def frame_errors() -> tuple[tuple[str, str, str], ...]:
    """Reasons of a `FrameError`: reason, English, Chinese."""
    return tuple((row["reason"], row["name_en"], row["name_zh"]) for row in rows("frame_errors.csv"))
