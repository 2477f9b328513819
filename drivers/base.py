"""The face of a driver. Third parties import only this module and `metrology`.

A polled driver is a generator: it yields what it wants from the wire and returns the scans it made of the answers.
A streaming driver is fed the bytes an instrument sends unasked. Neither performs I/O; the owner of the bus does.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from metrology.declaration import (
    Advice,
    DriverError,
    DriverInfo,
    Option,
    Options,
    StreamDriver,
    StreamEntry,
    no_advice,
)  # fmt: skip
from metrology.reading import Scan, StreamFault

__all__ = [
    "Advice", "Answer", "Ask", "BadAnswer", "DriverError", "DriverInfo", "Option", "Options", "Poll", "PolledDriver",
    "PolledEntry", "ReadRegisters", "Registers", "Scan", "SelectorDriver", "Step", "StreamDriver", "StreamEntry",
    "StreamFault", "Table", "Tell", "Text", "WriteCoil",
]  # fmt: skip

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


def _always(answer: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `data` and wait until `complete` says so, at most for `answer_bytes_max`. Answer: `Text`.

    `ends` closes an answer of one line. Where an end inside an answer looks like its last one (many lines, then an
    empty one), `whole` looks at everything received so far and decides.
    """

    data: bytes
    ends: tuple[bytes, ...]
    answer_bytes_max: int = 65536
    whole: Callable[[bytes], bool] = _always

    def complete(self, answer: bytes) -> bool:
        """Tell whether the bytes received so far are a complete answer."""
        return answer.endswith(self.ends) and self.whole(answer)


@dataclass(frozen=True, slots=True)
class Tell:
    """Send `data`, to which nothing need be answered; what it did is seen by a question. Answer: an empty `Text`."""

    data: bytes


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


Step = ReadRegisters | WriteCoil | Ask | Tell
Answer = Registers | Text
Poll = Generator[Step, Answer, list[Scan]]


class BadAnswer(Exception):  # noqa: N818  (it is the answer that is bad)
    """The instrument answered with something that is no answer: bad check sum, wrong shape, error code.

    Raised inside a poll generator (or thrown into it by the bus for a Modbus exception reply). The poller counts it,
    shows it, and records a scan flagged `communication` or `fault`. `modbus_exception` is the code of a Modbus
    exception reply: a driver that joined registers into one block takes the block apart at code 2.
    """

    def __init__(self, what: str, *, modbus_exception: int | None = None) -> None:
        super().__init__(what)
        self.modbus_exception = modbus_exception


class PolledDriver(Protocol):
    """An instrument that answers questions."""

    @property
    def measurands(self) -> dict[str, str]:
        """Ids of the measurands it may emit, with the unit of each."""

    def poll(self) -> Poll:
        """Yield steps; return the scans of this poll, in the instrument's order (maybe none, maybe many)."""


class SelectorDriver(Protocol):
    """A valve that stands in one state at a time, each a number, and tells which."""

    def move(self, state: int) -> Generator[Step, Answer, None]:
        """Yield the steps that make it go there; that it arrived, only `state` tells."""

    def state(self) -> Generator[Step, Answer, int | None]:
        """Yield the steps that read where it stands; None where that is no state it was given."""


@dataclass(frozen=True, slots=True)
class PolledEntry:
    """What an entry point of group `plumeline.drivers` names for a polled driver.

    `make(instrument, unit, options)` gets options that already passed `info.options`; it raises `DriverError` for the
    rest. `advise(options)` names settings that work but cost quality, for the configuration check.
    """

    info: DriverInfo
    make: Callable[[str, int | None, Options], PolledDriver]
    advise: Callable[[Options], list[Advice]] = no_advice
