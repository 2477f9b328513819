"""ABB / Los Gatos Research gas analyzers (GGA, UGGA, MGGA): lines of columns sent unasked on the serial port.

Source: data lines, header and port settings as published by users of UGGA analyzers; the maker's manual was not at
hand. The columns are told by name: by the option, or by a header line where the analyzer sends one. The fit flag is 3
for a good fit. Deviations of averages (`_sd`) and everything that is no gas go into the status.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from drivers.base import BadAnswer, DriverError, DriverInfo, Option, Options, Scan, StreamEntry
from drivers.line_stream import LineStream
from drivers.values import SHOWN_CHARACTERS_MAX, number, reading, the_only, told, units_of
from metrology.quality import Cause, Mark

GASES: Final = {
    "[CH4]_ppm": "ch4", "[CH4]d_ppm": "ch4_dry", "[CO2]_ppm": "co2", "[CO2]d_ppm": "co2_dry",
    "[H2O]_ppm": "h2o_reported", "[CO]_ppm": "co_fraction", "[N2O]_ppm": "n2o",
}  # fmt: skip
TIME, FIT, PRESSURE = "Time", "Fit_Flag", "GasP_torr"
GOOD_FIT: Final = 3
STAMPS: Final = {
    "yyyy/mm/dd": "%Y/%m/%d %H:%M:%S.%f",
    "mm/dd/yyyy": "%m/%d/%Y %H:%M:%S.%f",
    "dd/mm/yyyy": "%d/%m/%Y %H:%M:%S.%f",
}
UGGA_COLUMNS: Final = [
    TIME, "[CH4]_ppm", "[CH4]_ppm_sd", "[H2O]_ppm", "[H2O]_ppm_sd", "[CO2]_ppm", "[CO2]_ppm_sd", "[CH4]d_ppm",
    "[CH4]d_ppm_sd", "[CO2]d_ppm", "[CO2]d_ppm_sd", PRESSURE, "GasP_torr_sd", "GasT_C", "GasT_C_sd", "AmbT_C",
    "AmbT_C_sd", "RD0_us", "RD0_us_sd", "RD1_us", "RD1_us_sd", FIT, "MIU_VALVE", "MIU_DESC",
]  # fmt: skip
_HEADER: Final = re.compile(r"\s*Time\s*,.*\]d?_ppm")


def _columns(options: Options) -> list[str]:
    columns = options["columns"]
    assert isinstance(columns, list), "settled options"
    if len(set(columns)) != len(columns) or TIME not in columns or not set(columns) & GASES.keys():
        raise DriverError(f"columns: name each column once, {TIME} and at least one of {', '.join(GASES)}")
    return columns


def _pressures(options: Options) -> tuple[float, float] | None:
    """Read the option `cell_torr`: the bounds between which the cell pressure must lie."""
    bounds = options["cell_torr"]
    assert isinstance(bounds, list), "settled options"
    if not bounds:
        return None
    values = [number(bound) for bound in bounds]
    if len(values) != 2 or values[0] is None or values[1] is None or values[0] >= values[1]:
        raise DriverError(f'cell_torr: write the lower and the upper bound, ["135", "145"], instead of {bounds}')
    return values[0], values[1]


class Lgr:
    """What the lines of one analyzer mean."""

    def __init__(self, instrument: str, options: Options) -> None:
        stamp, clock = str(options["stamp"]), options["clock"]
        if stamp not in STAMPS:
            raise DriverError(f"stamp {stamp!r}: write one of {', '.join(STAMPS)}")
        if not isinstance(clock, int | float) or not -12 <= clock <= 14:
            raise DriverError(f"clock {clock}: the hours the analyzer's clock is ahead of UTC lie between -12 and 14")
        self._instrument = instrument
        self._columns = _columns(options)
        self._pressures = _pressures(options)
        self._stamp = STAMPS[stamp]
        self._offset = timedelta(hours=clock)
        self.measurands = units_of(GASES[column] for column in self._columns if column in GASES)

    def scan(self, line: bytes, at: datetime) -> Scan | None:
        """Scan of a line at the analyzer's own time; a header renews the columns. Raises `BadAnswer`."""
        text = line.decode("ascii", "replace")
        words = [word.strip() for word in text.split(",")]
        if _HEADER.match(text) and len(set(words)) == len(words):
            self._columns = words
            return None
        if len(words) != len(self._columns):
            raise BadAnswer(f"{len(words)} columns instead of {len(self._columns)}: {text[:SHOWN_CHARACTERS_MAX]!r}")
        row = dict(zip(self._columns, words, strict=True))
        return self._row(row, self._moment(row.pop(TIME)))

    def _moment(self, stamp: str) -> datetime:
        try:
            local = datetime.strptime(stamp, self._stamp)  # noqa: DTZ007  (zone is a setting)
            return (local - self._offset).replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise BadAnswer(f"no time: {stamp[:SHOWN_CHARACTERS_MAX]!r}") from None

    def _row(self, row: dict[str, str], at: datetime) -> Scan:
        marks = self._marks(row, at)
        gases = {GASES[column]: row.pop(column) for column in list(row) if GASES.get(column) in self.measurands}
        readings = tuple(
            reading(self._instrument, measurand, gases.get(measurand), "umol/mol", at, marks)
            for measurand in self.measurands
        )
        return Scan(self._instrument, at, readings, {column: told(text) for column, text in row.items()})

    def _marks(self, row: Mapping[str, str], at: datetime) -> list[Mark]:
        marks = []
        if FIT in row and number(row[FIT]) != GOOD_FIT:
            marks.append(Mark(Cause.FAULT, f"fit flag {row[FIT][:SHOWN_CHARACTERS_MAX]}", at))
        if self._pressures and PRESSURE in row:
            low, high = self._pressures
            pressure = number(row[PRESSURE])
            if pressure is None or not low <= pressure <= high:
                marks.append(Mark(Cause.FAULT, f"cell pressure outside {low:g} to {high:g} torr", at))
        return marks


def _make(units: Mapping[int, str], options: Options) -> LineStream:
    instrument = the_only(units, "LGR analyzer")
    analyzer = Lgr(instrument, options)
    return LineStream(instrument, analyzer.measurands, analyzer.scan)


STREAM: Final = StreamEntry(
    DriverInfo(
        name="lgr_gga",
        title="ABB / Los Gatos Research GGA, UGGA",
        kind="stream",
        protocol="stream",
        measurands=units_of(GASES.values()),
        manual="data lines, header and port settings published by users of UGGA analyzers (maker's manual not at hand)",
        evidence="src",
        options={
            "clock": Option(("number",), "hours the analyzer's clock is ahead of UTC"),
            "columns": Option(("list of texts",), "columns of a line in the analyzer's order", UGGA_COLUMNS),
            "stamp": Option(("text",), f"form of the date: {', '.join(STAMPS)}", "mm/dd/yyyy"),
            "cell_torr": Option(("list of texts",), "bounds of the cell pressure; empty: none", []),
        },
    ),
    _make,
)
