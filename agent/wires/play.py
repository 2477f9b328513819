"""Playing: a transcript in the place of a wire, so that a line and a driver meet again what passed at a station.

Nothing waits: an answer that did not come at the station is silence at once. The readings carry the recorded times.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agent.config import Bus, Instrument
from agent.wires.line import GarbledError, Line, NoAnswerError
from agent.wires.line_kinds import line_for
from agent.wires.transcript import Piece, Transcript, exchanges, stamp
from drivers.base import Answer, BadAnswer, Poll, Registers, Scan, Step, StreamFault, Text
from drivers.registry import driver, stream_driver

# A driver that so often wants nothing of the wire wants nothing more of the transcript.
IDLE_POLLS_MAX: Final = 100


class NotRecordedError(Exception):
    """The driver asks what the transcript never holds: `question`."""

    def __init__(self, question: bytes) -> None:
        super().__init__(question.hex(" ").upper())
        self.question = question


class _PlayedOutError(Exception):
    """The transcript holds the question, but not again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a poll or a piece of a stream came to: a scan, a fault of the stream, or what went wrong."""

    at: datetime
    scan: Scan | None = None
    fault: StreamFault | None = None
    silent: str | None = None
    bad: str | None = None

    def fields(self) -> dict[str, Any]:
        """For programs, in the words of the transcripts of drivers."""
        if self.fault is not None:
            return {"at": stamp(self.at), "fault": self.fault.what, "lost": self.fault.lost}
        if self.scan is None:
            return {"at": stamp(self.at), **{k: v for k in ("silent", "bad") if (v := getattr(self, k)) is not None}}
        readings = {
            one.measurand: [one.value, one.unit, *sorted(one.quality.causes)] for one in self.scan.readings
        }  # fmt: skip
        scan = self.scan
        return {"at": stamp(scan.at), "instrument": scan.instrument, "status": dict(scan.status), "readings": readings}


class PlayedWire:
    """A `Wire` that answers from a transcript. `numbered`: frames begin with a transaction number (Modbus TCP)."""

    is_open = True

    def __init__(self, pieces: tuple[Piece, ...], *, numbered: bool) -> None:
        self._exchanges = list(exchanges(pieces))
        self._numbered = numbered
        self._next = 0
        self.asked = 0
        self.at = pieces[0].at
        self._came: list[Piece] = []

    async def open(self) -> None:
        """See `Wire`."""

    async def write(self, data: bytes) -> None:
        """Go on to the next time the question was asked. Raises NotRecordedError where it never was."""
        for number in range(self._next, len(self._exchanges)):
            if self._same(self._exchanges[number][0].data, data):
                break
        else:
            if any(self._same(asked.data, data) for asked, _ in self._exchanges):
                raise _PlayedOutError
            raise NotRecordedError(data)
        self._next = number + 1
        self.asked += 1
        asked, came = self._exchanges[number]
        self.at = asked.at
        self._came = list(_renumbered(came, asked.data, data) if self._numbered else came)

    async def read(self) -> bytes:
        """See `Wire`; TimeoutError where nothing more came before the next question."""
        if not self._came:
            raise TimeoutError
        piece = self._came.pop(0)
        self.at = piece.at
        return piece.data

    def drain_input(self) -> bytes:
        """See `Wire`."""
        return b""

    def close(self) -> None:
        """See `Wire`."""

    def _same(self, asked: bytes, data: bytes) -> bool:
        return asked[2:] == data[2:] if self._numbered else asked == data


def _renumbered(came: list[Piece], asked: bytes, now: bytes) -> Iterator[Piece]:
    """Frames with the transaction numbers they would carry if they answered the question of now."""
    shift = int.from_bytes(now[:2], "big") - int.from_bytes(asked[:2], "big")
    data = bytearray(b"".join(piece.data for piece in came))
    start = 0
    while start + 6 <= len(data):
        number = int.from_bytes(data[start : start + 2], "big") + shift
        data[start : start + 2] = (number % 65536).to_bytes(2, "big")
        start += 6 + int.from_bytes(data[start + 4 : start + 6], "big")
    for piece in came:
        yield Piece(piece.at, piece.mark, bytes(data[: len(piece.data)]))
        del data[: len(piece.data)]


async def polled(transcript: Transcript, name: str, bus: Bus, block: Instrument) -> AsyncIterator[Heard]:
    """Polls of one instrument as often as the transcript holds them.

    Raises NotRecordedError, and DriverError where the driver refuses its options.
    """
    if not transcript.pieces:
        return
    wire = PlayedWire(transcript.pieces, numbered=bus.protocol == "modbus-tcp")
    line = line_for(bus, wire)
    asked = driver(block.driver, instrument=name, unit=block.unit, options=block.options)
    idle = 0
    while idle < IDLE_POLLS_MAX:
        before = wire.asked
        try:
            scans = await _poll(line, wire, block.unit, asked.poll(), bus.timeout_s)
        except _PlayedOutError:
            return
        except NoAnswerError as error:
            yield Heard(wire.at, silent=str(error))
        except (BadAnswer, GarbledError) as error:
            yield Heard(wire.at, bad=str(error))
        else:
            for scan in scans:
                yield Heard(scan.at, scan)
        idle = idle + 1 if wire.asked == before else 0


async def _poll(line: Line, wire: PlayedWire, unit: int | None, poll: Poll, timeout_s: float) -> list[Scan]:
    with contextlib.closing(poll):
        try:
            step = next(poll)
            while True:
                try:
                    answer = await _answer(line, wire, unit, step, timeout_s)
                except BadAnswer as error:
                    step = poll.throw(error)
                else:
                    step = poll.send(answer)
        except StopIteration as done:
            scans: list[Scan] = done.value
            return scans


async def _answer(line: Line, wire: PlayedWire, unit: int | None, step: Step, timeout_s: float) -> Answer:
    values = await line.ask(unit, step, timeout_s)
    return Text(values, wire.at) if isinstance(values, bytes) else Registers(values, wire.at)


def listened(transcript: Transcript, blocks: dict[str, Instrument]) -> Iterator[Heard]:
    """What the driver of a stream finds in what came. Raises DriverError where it refuses its options."""
    first = next(iter(blocks.values()))
    units = {block.unit or 0: name for name, block in blocks.items()}
    stream = stream_driver(first.driver, units, first.options)
    for piece in transcript.pieces:
        if piece.mark == "<":
            for found in stream.feed(piece.data, piece.at):
                if isinstance(found, StreamFault):
                    yield Heard(found.at, fault=found)
                else:
                    yield Heard(found.at, found)
