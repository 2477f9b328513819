"""Vaisala GMP343: one line of numbers, asked by `send` or sent in RUN mode, in the order its `form` setting names.

Source: GMP343 user's guide M210514EN, serial commands; the form, the restart banner and the answer to `errs` as in
published drivers of probe networks. A `?` in an answer means "not understood"; ESC clears what the probe holds of a
command. A banner in mid-run means that the probe restarted: settings that were not saved must be sent again.
"""

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Final

from drivers.base import (
    Answer,
    Ask,
    BadAnswer,
    DriverError,
    DriverInfo,
    Option,
    Options,
    Poll,
    PolledEntry,
    Scan,
    Step,
    StreamEntry,
    Text,
)  # fmt: skip
from drivers.line_stream import LINE_BYTES_MAX, LineStream
from drivers.values import SHOWN_CHARACTERS_MAX, number, reading, the_only, told, units_of
from metrology.quality import Cause, Mark

BANNER: Final = "GMP343 - Version"
NO_ERRORS: Final = "OK"
COLUMN: Final = "CO2"
# Columns that are measured, and their unit. The pressure in a line (P) is the one the probe was told: no reading.
MEASURED: Final = {COLUMN: ("co2", "umol/mol"), "T": ("gas_temperature", "degC")}
DEFAULT_COLUMNS: Final = ["CO2RAWUC", "CO2RAW", "CO2", "T"]
ADDRESS_MAX: Final = 99


def _lines(data: bytes) -> list[str]:
    """Lines that are closed, without prompts and empty ones."""
    text = data.decode("ascii", "replace").replace("\n", "\r").replace(">", "\r")
    return [line.strip() for line in text.split("\r")[:-1] if line.strip()]


class Lines:
    """What the lines of one probe mean."""

    def __init__(self, instrument: str, options: Options) -> None:
        columns = options["columns"]
        assert isinstance(columns, list), "settled options"
        if columns.count(COLUMN) != 1 or len(set(columns)) != len(columns):
            raise DriverError(f"columns: name each column once, and {COLUMN} among them")
        self.instrument = instrument
        self._columns = columns
        self.measurands = units_of(measurand for column, (measurand, _) in MEASURED.items() if column in columns)

    def numbers(self, line: str) -> list[str]:
        """The numbers of a line; labels and units between them are passed over."""
        return [word for word in line.split() if number(word) is not None]

    def scan(self, line: str, at: datetime, marks: list[Mark]) -> Scan:
        """Scan of one line. Raises `BadAnswer` for one that is none."""
        numbers = self.numbers(line)
        if BANNER in line:
            raise BadAnswer("the probe restarted: its settings may be lost")
        if len(numbers) != len(self._columns):
            raise BadAnswer(f"{len(numbers)} numbers instead of {len(self._columns)}: {line[:SHOWN_CHARACTERS_MAX]!r}")
        row = dict(zip(self._columns, numbers, strict=True))
        readings = tuple(
            reading(self.instrument, measurand, row.pop(column), unit, at, marks)
            for column, (measurand, unit) in MEASURED.items()
            if column in row
        )
        return Scan(self.instrument, at, readings, {column: told(text) for column, text in row.items()})


class Gmp343:
    """One probe that is asked. Its own list of errors is asked before the first value and then now and again."""

    def __init__(self, instrument: str, unit: int | None, options: Options) -> None:
        if unit is not None and not 0 <= unit <= ADDRESS_MAX:
            raise DriverError(f"unit {unit} of a GMP343: write 0 to {ADDRESS_MAX}, or leave it out")
        errors_every = options["errors_every"]
        assert isinstance(errors_every, int), "settled options"
        self._lines = Lines(instrument, options)
        self._send = "send" if unit is None else f"send {unit}"
        self._errors_every = errors_every
        self._polls = 0
        self._understood = True
        self._error: Mark | None = None

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return self._lines.measurands

    def poll(self) -> Poll:
        """Ask once; one scan. Raises `BadAnswer` for `?`, for a restart, for a line of another form."""
        if self._errors_every and self._polls % self._errors_every == 0:
            yield from self._ask_errors()
        self._polls += 1
        line, at = yield from self._ask(self._send)
        return [self._lines.scan(line, at, [self._error] if self._error else [])]

    def _ask_errors(self) -> Generator[Step, Answer, None]:
        line, at = yield from self._ask("errs")
        text = f"the probe says: {line[:SHOWN_CHARACTERS_MAX]}"
        if line.startswith(NO_ERRORS):
            self._error = None
        elif self._error is None or self._error.origin != text:
            self._error = Mark(Cause.FAULT, text, at)

    def _ask(self, command: str) -> Generator[Step, Answer, tuple[str, datetime]]:
        """The first line that is no echo of the command. A command that was not understood is cleared by ESC."""
        escape = "" if self._understood else "\x1b"
        answer = yield Ask(
            f"{escape}{command}\r".encode("ascii"), (b"",), LINE_BYTES_MAX, lambda came: bool(_told(came, command))
        )
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        line = _told(answer.data, command)[0]
        self._understood = "?" not in line
        if not self._understood:
            raise BadAnswer(f"the probe did not understand {command!r}: {line[:SHOWN_CHARACTERS_MAX]!r}")
        return line, answer.at


def _told(came: bytes, command: str) -> list[str]:
    """Lines that tell something: no echo, no remains of an earlier answer without a letter or digit."""
    return [line for line in _lines(came) if not line.endswith(command) and any(map(str.isalnum, line))]


def _make_asked(instrument: str, unit: int | None, options: Options) -> Gmp343:
    return Gmp343(instrument, unit, options)


def _make_stream(units: Mapping[int, str], options: Options) -> LineStream:
    lines = Lines(the_only(units, "GMP343 in RUN mode"), options)
    return LineStream(
        lines.instrument, lines.measurands, lambda line, at: lines.scan(line.decode("ascii", "replace"), at, [])
    )


_MEASURANDS: Final = units_of(measurand for measurand, _ in MEASURED.values())
_MANUAL: Final = "GMP343 user's guide M210514EN-E, serial line commands (pages unverified)"
_COLUMNS: Final = Option(("list of texts",), "numbers of a line in the order of the probe's `form`", DEFAULT_COLUMNS)
_ONLY_WITH: Final = {measurand: ("columns", column) for column, (measurand, _) in MEASURED.items()}
ENTRY: Final = PolledEntry(
    DriverInfo(
        "vaisala_gmp343", "Vaisala GMP343, asked", "polled", "text", _MEASURANDS, _MANUAL, "src",
        {
            "columns": _COLUMNS,
            "errors_every": Option(("whole number",), "polls between two questions for errors; 0: never", 60),
        },
        only_with=_ONLY_WITH,
    ),
    _make_asked,
)  # fmt: skip
STREAM: Final = StreamEntry(
    DriverInfo(
        "vaisala_gmp343_run", "Vaisala GMP343, RUN mode", "stream", "stream", _MEASURANDS, _MANUAL, "src",
        {"columns": _COLUMNS}, only_with=_ONLY_WITH,
    ),
    _make_stream,
)  # fmt: skip
