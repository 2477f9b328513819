"""The face of a driver. Third parties import only this module and `metrology`.

A polled driver is a generator: it yields what it wants from the wire and returns the scans it made of the answers.
A streaming driver is fed the bytes an instrument sends unasked. Neither performs I/O; the owner of the bus does.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from metrology.reading import Scan

Table = Literal["holding", "input", "coil", "discrete"]


@dataclass(frozen=True, slots=True)
class ReadRegisters:
    """Read `count` registers (or bits) of a Modbus unit at protocol address `address`. Answer: `Registers`."""

    table: Table
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class WriteCoil:
    """Write one Modbus coil. Answer: `Registers` with what reading it back gave (0 or 1)."""

    address: int
    on: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `data`; the answer is complete when it ends with one of `ends`, or with `lines` of them. Answer: `Text`."""

    data: bytes
    ends: tuple[bytes, ...]
    answer_bytes_max: int = 65536


@dataclass(frozen=True, slots=True)
class Registers:
    """Register or bit values as unsigned integers, and when the answer was complete (aware UTC)."""

    values: tuple[int, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Text:
    """The bytes of an answer, its end included, and when it was complete (aware UTC)."""

    data: bytes
    at: datetime


Step = ReadRegisters | WriteCoil | Ask
Answer = Registers | Text
Poll = Generator[Step, Answer, list[Scan]]


class BadAnswer(Exception):
    """The instrument answered with something that is no answer: bad check sum, wrong shape, error code.

    Raised inside a poll generator (or thrown into it by the bus for a Modbus exception reply). The poller counts it,
    shows it, and records a scan flagged `communication` or `fault`.
    """


class PolledDriver(Protocol):
    """An instrument that answers questions. `measurands` are the ids it may emit, with their units."""

    @property
    def measurands(self) -> dict[str, str]: ...

    def poll(self) -> Poll:
        """Yield steps; return the scans of this poll, in the instrument's order (maybe none, maybe many)."""


@dataclass(frozen=True, slots=True)
class StreamFault:
    """Bytes of a stream that are no frame; `lost` is how many frames are known to be missing (by sequence number)."""

    what: str
    at: datetime
    lost: int = 0


class StreamDriver(Protocol):
    """Instruments on one line that speak unasked. `units` maps a unit address to an instrument name."""

    @property
    def measurands(self) -> dict[str, str]: ...

    def feed(self, data: bytes, at: datetime) -> list[Scan | StreamFault]:
        """Take bytes in pieces of any size; never raises on any input; memory is bounded."""
