"""Alicat mass flow controllers and meters, polled ASCII: `A` is answered by one line of numbers, gas and status words.

Columns and units depend on the device (`A??D*` tells them): they are settings. Source: Alicat serial communications
primer, February 2023, rev. 2, "The Alicat data frame", "Status/error codes".
"""

import re
from typing import Final

from drivers.base import Ask, BadAnswer, DriverError, DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from drivers.register_site import listed, pairs
from metrology.declaration import unknown
from metrology.measurand import catalogue
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading
from metrology.units import UnitError, convert

MEASURANDS: Final = ("gas_pressure", "gas_temperature", "volume_flow", "mass_flow", "flow_setpoint")
GAS: Final = "gas"
LINE_BYTES_MAX: Final = 256
SHOWN_CHARACTERS_MAX: Final = 80
# What a status word flags: the cause, and the measurands concerned (all where none is named).
WORDS: Final[dict[str, tuple[Cause, tuple[str, ...]]]] = {
    "ADC": (Cause.FAULT, ()),
    "OPL": (Cause.FAULT, ()),
    "HLD": (Cause.MAINTENANCE, ()),
    "MOV": (Cause.OUT_OF_RANGE, ("mass_flow",)),
    "VOV": (Cause.OUT_OF_RANGE, ("volume_flow",)),
    "POV": (Cause.OUT_OF_RANGE, ("gas_pressure",)),
    "TOV": (Cause.OUT_OF_RANGE, ("gas_temperature",)),
}
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d*)?")


class Alicat:
    """One device. Numbers of columns that are no measurand go to the status by the names the site gave them."""

    def __init__(self, instrument: str, letter: str, columns: list[str], units: dict[str, str]) -> None:
        self._instrument = instrument
        self._columns = columns
        self._units = units
        self._begin = re.compile(rf"(?<![\w+.-]){letter} ")
        self._step = Ask(letter.encode() + b"\r", (b"\r", b"\n"), LINE_BYTES_MAX, self._whole)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {name: catalogue()[name].unit for name in self._columns if name in MEASURANDS}

    def _whole(self, answer: bytes) -> bool:
        """Other devices' lines, or tails of some, are passed over; a question mark is the word for a bad question."""
        return b"?" in answer or self._begin.search(answer.decode("ascii", "replace")) is not None

    def poll(self) -> Poll:
        """Ask once; one scan."""
        answer = yield self._step
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        row, words = self._row(answer.data.decode("ascii", "replace"))
        readings = tuple(self._reading(name, row[name], words, answer) for name in self.measurands)
        status = {name: float(text) for name, text in row.items() if name not in MEASURANDS and name != GAS}
        return [Scan(self._instrument, answer.at, readings, {**status, GAS: row.get(GAS), "words": " ".join(words)})]

    def _row(self, line: str) -> tuple[dict[str, str], list[str]]:
        begins = list(self._begin.finditer(line))
        tokens = line[begins[-1].end() :].split() if begins else []
        row = dict(zip(self._columns, tokens, strict=False))
        if len(row) < len(self._columns) or any((n == GAS) is bool(_NUMBER.fullmatch(t)) for n, t in row.items()):
            raise BadAnswer(f"not the columns {' '.join(self._columns)}: {line[:SHOWN_CHARACTERS_MAX]!r}")
        words = tokens[len(self._columns) :]
        if any(_NUMBER.fullmatch(word) for word in words):
            raise BadAnswer(f"more columns than {' '.join(self._columns)}: {line[:SHOWN_CHARACTERS_MAX]!r}")
        return row, words

    def _reading(self, measurand: str, text: str, words: list[str], answer: Text) -> Reading:
        unit = catalogue()[measurand].unit
        said = [(word, *WORDS[word]) for word in words if word in WORDS]
        marks = [Mark(cause, word, answer.at) for word, cause, of in said if not of or measurand in of]
        value = convert(float(text), self._units.get(measurand, unit), unit)
        return Reading(self._instrument, measurand, value, unit, answer.at, Quality.of(*marks))


def _make(instrument: str, unit: int | None, options: Options) -> Alicat:
    address = 1 if unit is None else unit
    if not 1 <= address <= 26:
        raise DriverError(f"unit {unit} of an Alicat: 1 is A, 26 is Z")
    columns = listed(options, "columns")
    units = pairs(options, "units", "mass_flow=mL/min")
    if len(set(columns)) != len(columns) or not set(columns) & set(MEASURANDS):
        raise DriverError(f"columns: name each column once, and at least one of {', '.join(MEASURANDS)}")
    for name, stated in units.items():
        if name not in columns or name not in MEASURANDS:
            raise unknown("column in units", name, set(columns) & set(MEASURANDS))
        try:
            convert(0.0, stated, catalogue()[name].unit)
        except UnitError as error:
            raise DriverError(f"units: {name}: {error}") from None
    if missing := [name for name in columns if name in MEASURANDS and name not in units]:
        raise DriverError(f"units: say the unit of {', '.join(missing)}, as the device shows it")
    return Alicat(instrument, chr(ord("A") + address - 1), columns, units)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="alicat",
        title="Alicat mass flow controllers and meters",
        kind="polled",
        protocol="text",
        measurands={name: catalogue()[name].unit for name in MEASURANDS},
        manual="Alicat serial communications primer, February 2023, rev. 2, data frame and status codes",
        evidence="src",
        default_unit=1,
        options={
            "columns": Option(
                ("list of texts",), "what the device sends after its letter, in its order",
                ["gas_pressure", "gas_temperature", "volume_flow", "mass_flow", "flow_setpoint", "gas"],
            ),
            "units": Option(("list of texts",), 'unit of each measured column: "gas_pressure=psi", "mass_flow=L/min"'),
        },
    ),
    _make,
)  # fmt: skip
