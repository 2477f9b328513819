"""What is heard on a line before anything is asked: an instrument that speaks by itself, another master, or rubbish."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pymodbus.framer import FramerRTU

from agent.doctor.signatures import Signature, signatures
from agent.wires.wire import Wire

HEARD_BYTES_MAX: Final = 16 * 1024
_REQUEST_BYTES: Final = 8
# Shorter questions stand inside answers of others by chance.
QUESTION_BYTES_MIN: Final = 5
_FIRST_FUNCTIONS: Final = range(1, 7)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came: its bytes, and the row of the instrument that says such things; `units` are those of RTU frames."""

    data: bytes
    speaker: Signature | None
    options: dict[str, str | list[str]]
    units: tuple[int, ...]


async def listen(wire: Wire, seconds: float) -> bytes:
    """Everything that comes within so many wall seconds. Raises WireError."""
    came = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(came) < HEARD_BYTES_MAX:
                came += await wire.read()
    except TimeoutError:
        pass  # the time is over
    return bytes(came)


def judged(data: bytes) -> Heard:
    """What the bytes are."""
    units = tuple(sorted(set(frame_units(data))))
    if not units:
        for row in signatures("stream"):
            if (found := row.pattern(None).search(data)) is not None:
                return Heard(data, row, row.settled(found), ())
    return Heard(data, None, {}, units)


def frame_units(data: bytes) -> list[int]:
    """Units of the Modbus RTU frames in the bytes: questions of functions 1 to 6, and answers of 1 to 4."""
    found = []
    for start, (unit, function) in enumerate(pairwise(data)):
        lengths = [_REQUEST_BYTES] if function in _FIRST_FUNCTIONS else []
        if function in range(1, 5) and start + 2 < len(data):
            lengths.append(5 + data[start + 2])
        if any(_whole(data[start : start + length], length) for length in lengths):
            found.append(unit)
    return found


def _whole(frame: bytes, length: int) -> bool:
    return len(frame) == length and FramerRTU.compute_CRC(frame[:-2]).to_bytes(2, "big") == frame[-2:]


def foreign(data: bytes, unit: int | None, question: bytes) -> bool:
    """Tell whether bytes nobody here asked for come from others: no late answer of `unit`, no echo of `question`."""
    if any(other != unit for other in frame_units(data)):
        return True
    questions = {row.question_to(at) for row in signatures("text") for at in (row.unit, *row.more)} - {question}
    return any(len(one) >= QUESTION_BYTES_MIN and one in data for one in questions)
