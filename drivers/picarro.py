"""Picarro G2301 and G2401 (G2000 family) over the TCP or serial command interface, read by `_Meas_GetBuffer`.

Source: Remote Command Interface guide 40-0063 rev. A (2019). The analyzer makes a row for each gas it measured and
repeats the other columns; its FIFO (512 rows) gives each row once and in order, so nothing is ever left out by value.
"""

import math
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Final

from drivers.base import (
    Advice,
    Answer,
    Ask,
    BadAnswer,
    DriverError,
    DriverInfo,
    Option,
    Options,
    Poll,
    PolledEntry,
    Step,
)  # fmt: skip
from drivers.picarro_marks import PortWatch, fresh_by_species, status_marks
from drivers.picarro_reply import (
    DISABLED,
    ENDS,
    Malformed,
    Record,
    buffer_records,
    error_code,
    single_line,
    when_idle,
    whole_buffer,
    whole_line,
)  # fmt: skip
from drivers.values import SHOWN_CHARACTERS_MAX, WHOLE_DIGITS_MAX, whole
from metrology.declaration import unknown
from metrology.measurand import catalogue
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading, Scan
from metrology.units import UnitError, convert

FIFO_RECORDS: Final = 512
TEXT_BYTES_MAX: Final = 48  # of one column, the repeated time stamp of older servers included
MEASURANDS: Final = {
    "CH4": "ch4", "CH4_dry": "ch4_dry", "CO2": "co2", "CO2_dry": "co2_dry",
    "H2O": "h2o", "h2o_reported": "h2o_reported",
}  # fmt: skip
SPECIES, PORT, STATUS = "species", "MPVPosition", "INST_STATUS"
# Which values are new in a row: G2301 user log.
G2301_SPECIES: Final = ["1=co2", "2=ch4", "3=h2o h2o_reported co2_dry ch4_dry"]
# Coarsest step that still resolves methane in air: a tenth of the 2 nmol/mol that networks must agree to (WMO/GAW).
CH4_STEP_MAX_nmol_mol: Final = 0.2


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _listed(options: Options, name: str) -> list[str]:
    value = options[name]
    assert isinstance(value, list), "settled options"
    return value


def _clock_offset(clock: object) -> timedelta:
    if isinstance(clock, int | float):
        if not -12 <= clock <= 14:
            raise DriverError(f"clock {clock}: an offset from UTC lies between -12 and 14 hours")
        return timedelta(hours=clock)
    if clock != "UTC":
        raise DriverError(f'clock {clock!r}: write "UTC", or the hours the analyzer\'s clock is ahead of UTC')
    return timedelta(0)


def _units(options: Options) -> dict[str, str]:
    """Unit of each column the analyzer is configured for; the catalogue's where the option names none."""
    units = {column: catalogue()[measurand].unit for column, measurand in MEASURANDS.items()}
    for entry in _listed(options, "units"):
        column, _, unit = (part.strip() for part in entry.partition("="))
        if column not in units:
            raise unknown("column in units", column, units)
        try:
            convert(0.0, unit, catalogue()[MEASURANDS[column]].unit)
        except UnitError as error:
            raise DriverError(f"units: {entry!r}: {error}") from None
        units[column] = unit
    return units


class Picarro:
    """One analyzer. Each record of its buffer becomes a scan at the analyzer's own time."""

    def __init__(self, instrument: str, options: Options) -> None:
        self._instrument = instrument
        self._columns = _listed(options, "columns")
        if len(set(self._columns)) != len(self._columns) or not set(self._columns) & MEASURANDS.keys():
            raise DriverError(f"columns: name each column once, and at least one of {', '.join(MEASURANDS)}")
        self._units = _units(options)
        self._fresh = fresh_by_species(_listed(options, "species"))
        for measurand in frozenset().union(*self._fresh.values()) - set(MEASURANDS.values()):
            raise unknown("measurand in species", measurand, MEASURANDS.values())
        self._offset = _clock_offset(options["clock"])
        settle_s = options["settle_s"]
        assert isinstance(settle_s, int | float), "settled options"
        self._ports = PortWatch(timedelta(seconds=settle_s))
        self._buffer = Ask(
            b"_Meas_GetBuffer\r\n", ENDS, FIFO_RECORDS * TEXT_BYTES_MAX * (len(self._columns) + 1), whole_buffer
        )

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        ids = [MEASURANDS[column] for column in self._columns if column in MEASURANDS]
        return {measurand: catalogue()[measurand].unit for measurand in ids}

    def poll(self) -> Poll:
        """Empty the buffer: a scan per record, in order, maybe none.

        A record that cannot be read is a scan without values, flagged `communication`: it is gone from the FIFO.
        The status register is asked first where it is no column, so that a failure there loses no record.
        """
        register = None if STATUS in self._columns else (yield from self._status_register())
        answer = yield from when_idle(self._buffer)
        if error_code(answer.data) == DISABLED:
            return [self._disabled(register, answer.at)]
        scans: list[Scan] = []
        for record in buffer_records(answer.data, len(self._columns)):
            last = scans[-1].at if scans else answer.at
            scans.append(self._scan(record, register, last))
        return scans

    def _status_register(self) -> Generator[Step, Answer, int]:
        answer = yield from when_idle(Ask(b"_Instr_GetStatus\r\n", ENDS, TEXT_BYTES_MAX, whole_line))
        text = single_line(answer.data).strip()
        if (register := whole(text)) is None:
            raise BadAnswer(f"no status register: {text[:SHOWN_CHARACTERS_MAX]!r}")
        return register

    def _disabled(self, register: int | None, at: datetime) -> Scan:
        """No measurement: the warm-up where the register says so, else a fault."""
        marks = status_marks(register, at) if register is not None else []
        marks = marks or [Mark(Cause.FAULT, "measurement disabled", at)]
        readings = tuple(
            Reading(self._instrument, m, None, u, at, Quality.of(*marks)) for m, u in self.measurands.items()
        )
        return Scan(self._instrument, at, readings, {} if register is None else {STATUS: register})

    def _scan(self, record: Record | Malformed, register: int | None, last: datetime) -> Scan:
        if isinstance(record, Malformed):
            return self._nothing(record.why, last)
        row = {column: _number(text) for column, text in zip(self._columns, record.texts, strict=True)}
        for column in (SPECIES, PORT, STATUS):
            if column in row and row[column] is None:
                return self._nothing(f"no number in column {column}", last)
        at = (record.local - self._offset).replace(tzinfo=UTC)
        status = {column: _plain(value) for column, value in row.items() if column not in MEASURANDS}
        if register is not None:
            status[STATUS] = register
        quality = Quality().plus(self._row_marks(status, at))
        fresh = self._fresh_of(status)
        readings = tuple(
            self._reading(column, row[column], at, quality, fresh) for column in self._columns if column in MEASURANDS
        )
        return Scan(self._instrument, at, readings, status)

    def _row_marks(self, status: dict[str, int | float | None], at: datetime) -> list[Mark]:
        marks = status_marks(int(status[STATUS] or 0), at)
        if PORT in status:
            marks += self._ports.marks(float(status[PORT] or 0), at)
        return marks

    def _fresh_of(self, status: dict[str, int | float | None]) -> frozenset[str]:
        """Measurands that are new in this row; without the column nothing can be told and all count as new."""
        if SPECIES not in status:
            return frozenset(MEASURANDS.values())
        return self._fresh.get(float(status[SPECIES] or 0), frozenset())

    def _reading(
        self, column: str, value: float | None, at: datetime, quality: Quality, fresh: frozenset[str]
    ) -> Reading:
        measurand = MEASURANDS[column]
        unit = catalogue()[measurand].unit
        if value is None:
            quality = quality.plus([Mark(Cause.FAULT, "not a number", at)])
        else:
            value = convert(value, self._units[column], unit)
        if measurand not in fresh:
            quality = quality.plus([Mark(Cause.STALE, "repeated from an earlier row", at)])
        return Reading(self._instrument, measurand, value, unit, at, quality)

    def _nothing(self, why: str, at: datetime) -> Scan:
        quality = Quality.of(Mark(Cause.COMMUNICATION, why, at))
        return Scan(
            self._instrument,
            at,
            tuple(Reading(self._instrument, m, None, u, at, quality) for m, u in self.measurands.items()),
        )


def _plain(value: float | None) -> int | float | None:
    """Codes and registers come as decimals; whole ones are kept as integers."""
    return int(value) if value is not None and value.is_integer() and abs(value) < 10.0**WHOLE_DIGITS_MAX else value


def advise(options: Options) -> list[Advice]:
    """Settings that work and cost quality: methane too coarse, no way to tell fresh values from repeated ones."""
    columns, units, decimals = _listed(options, "columns"), _units(options), options["decimals"]
    assert isinstance(decimals, int), "settled options"
    found = []
    for column in ("CH4", "CH4_dry"):
        step = convert(10.0**-decimals, units[column], "nmol/mol")
        if column in columns and step > CH4_STEP_MAX_nmol_mol:
            found.append(_too_coarse(column, decimals, units[column], step))
    if SPECIES not in columns:
        found.append(
            Advice(
                "columns",
                "picarro-no-species",
                "Without the column species, repeated values count as new ones: let the analyzer send it.",
                "缺少 species 列，重复值会被当作新值：请让分析仪输出该列。",
            )
        )
    return found


def _too_coarse(column: str, decimals: int, unit: str, step: float) -> Advice:
    return Advice(
        "decimals",
        "picarro-decimals",
        f"{column} in {unit} with {decimals} decimals moves in steps of {step:g} nmol/mol, too coarse for methane in "
        "air: let the analyzer answer with more decimals and declare how many.",
        f"{column} 以 {unit} 为单位、{decimals} 位小数，步长为 {step:g} nmol/mol，对大气甲烷过粗："
        "请让分析仪输出更多小数位并如实声明。",
    )


def _make(instrument: str, unit: int | None, options: Options) -> Picarro:
    return Picarro(instrument, options)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="picarro",
        title="Picarro G2301, G2401",
        kind="polled",
        protocol="text",
        measurands={measurand: catalogue()[measurand].unit for measurand in MEASURANDS.values()},
        manual="Remote Command Interface guide 40-0063, rev. A (2019), commands and status register",
        evidence="src",
        options={
            "columns": Option(("list of texts",), "columns of a buffer record after the time, in the analyzer's order"),
            "clock": Option(("text", "number"), 'the analyzer\'s clock: "UTC", or the hours it is ahead of UTC'),
            "units": Option(("list of texts",), 'columns in another unit than the catalogue\'s: "CH4=nmol/mol"', []),
            "species": Option(("list of texts",), "values a row of each species renews", G2301_SPECIES),
            "settle_s": Option(("number",), "seconds after a change of port during which the cell still flushes", 60),
            "decimals": Option(("whole number",), "decimals the analyzer answers with", 3),
        },
    ),
    _make,
    advise,
)
