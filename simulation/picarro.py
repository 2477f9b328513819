"""The TCP command interface of a Picarro G2000 analyzer over any source of rows, recorded or simulated.

Source: Remote Command Interface guide 40-0063 rev. A (2019): commands, 512-record FIFO, status register, error codes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from metrology.clock import Clock
from simulation.journal import Pen

FIFO_RECORDS: Final = 512
NORMAL_STATUS: Final = 963
COLUMNS: Final = (
    "ALARM_STATUS", "INST_STATUS", "species", "MPVPosition", "solenoid_valves",
    "CH4", "CH4_dry", "CO2", "CO2_dry", "H2O", "h2o_reported",
)  # fmt: skip
MEASURANDS: Final = {
    "CH4": "ch4", "CH4_dry": "ch4_dry", "CO2": "co2", "CO2_dry": "co2_dry",
    "H2O": "h2o", "h2o_reported": "h2o_reported",
}  # fmt: skip
_COMMAND_BYTES_MAX: Final = 256
VALVE_MASK_MAX: Final = 63
_UNKNOWN, _PARAMETERS, _NO_DATA = 1002, 1003, 3002


@dataclass(frozen=True, slots=True)
class Row:
    """One record: the end of the spectral scan (aware UTC) and a value per column of the log."""

    at: datetime
    values: Mapping[str, float]


class Rows(Protocol):
    """Where rows come from."""

    def until(self, now: datetime) -> Iterable[Row]:
        """Rows that appeared since the last call, oldest first."""


@dataclass(frozen=True, slots=True)
class Interface:
    """How an analyzer is configured to answer: columns in order, decimals of every value, line end."""

    columns: tuple[str, ...] = COLUMNS
    decimals: int = 3
    terminator: str = "\r"


class Picarro:
    """One analyzer. Rows wait in a FIFO of 512, the oldest is lost when it is full (`overflowed` counts them)."""

    def __init__(self, rows: Rows, clock: Clock, journal: Pen, interface: Interface) -> None:
        self._rows = rows
        self._clock = clock
        self._journal = journal
        self._interface = interface
        self._fifo: deque[Row] = deque()
        self._newest: Row | None = None
        self.overflowed = 0
        self.read_out = 0
        self.valve_mask = 0
        self.sequencing = False
        self._commands: dict[str, Callable[[], str]] = {
            "_meas_getconc": lambda: self._concentration(stamped=False),
            "_meas_getconcex": lambda: self._concentration(stamped=True),
            "_meas_getbuffer": self._buffer,
            "_meas_getbufferfirst": self._first,
            "_meas_clearbuffer": self._clear,
            "_meas_getscantime": lambda: "1.000",
            "_instr_getstatus": self._status,
            "_valves_seq_readstate": self._valves,
        }

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: commands end with CR, LF is ignored, every command is answered."""
        pending = b""
        while data := await reader.read(4096):
            *lines, pending = (pending + data.replace(b"\n", b"")).split(b"\r")
            pending = pending[-_COMMAND_BYTES_MAX:]
            for line in lines:
                writer.write(self.answer(line.decode("ascii", "replace")).encode())
            await writer.drain()

    def answer(self, command: str) -> str:
        """The whole answer to one command, line ends included."""
        self.take()
        name, *parameters = command.split() or [""]
        if name.lower() == "_valves_seq_setstate":
            return self._set_valves(parameters) + self._interface.terminator
        action = self._commands.get(name.lower(), lambda: self._error(_UNKNOWN))
        known = name.lower() in self._commands
        reply = self._error(_PARAMETERS) if known and parameters else action()
        return reply.replace("\r", self._interface.terminator) + self._interface.terminator

    def take(self) -> None:
        """Let the rows appear that are due."""
        for row in self._rows.until(self._clock.now()):
            self._newest = row
            self._fifo.append(row)
            if len(self._fifo) > FIFO_RECORDS:
                self._fifo.popleft()
                self.overflowed += 1

    def _concentration(self, stamped: bool) -> str:
        if self._newest is None:
            return self._error(_NO_DATA)
        fields = self._tell(self._newest)
        return ";".join(fields if stamped else fields[1:])

    def _buffer(self) -> str:
        lines = [";".join(self._tell(row)) + ";\r" for row in self._fifo]
        self.read_out += len(lines)
        self._fifo.clear()
        return f"{len(lines)};" + ("\r" + "".join(lines) if lines else "")

    def _first(self) -> str:
        if not self._fifo:
            return self._error(_NO_DATA)
        self.read_out += 1
        return ";".join(self._tell(self._fifo.popleft())) + ";"

    def _clear(self) -> str:
        self._fifo.clear()
        return "OK"

    def _status(self) -> str:
        return str(NORMAL_STATUS if self._newest is None else int(self._newest.values["INST_STATUS"]))

    def _valves(self) -> str:
        return f"{'ON' if self.sequencing else 'OFF'};{self.valve_mask}"

    def _set_valves(self, parameters: list[str]) -> str:
        """Stops the sequencer; six solenoids."""
        if len(parameters) != 1 or not parameters[0].isdecimal() or int(parameters[0]) > VALVE_MASK_MAX:
            return self._error(_PARAMETERS)
        self.sequencing, self.valve_mask = False, int(parameters[0])
        return self._valves()

    def _tell(self, row: Row) -> list[str]:
        """Fields of a row as they go out, its values journalled as rounded for the wire."""
        texts = [f"{row.values[column]:.{self._interface.decimals}f}" for column in self._interface.columns]
        told = zip(self._interface.columns, texts, strict=True)
        self._journal({MEASURANDS[column]: float(text) for column, text in told if column in MEASURANDS})
        return [stamp(row.at), *texts]

    def _error(self, code: int) -> str:
        return f"ERR:{code}\t{stamp(self._clock.now())}"


def stamp(at: datetime) -> str:
    """`YY/MM/DD HH:mm:ss.sss`; the analyzer's clock is set to UTC."""
    return at.astimezone(UTC).strftime("%y/%m/%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"
