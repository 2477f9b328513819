"""Lines: a wire and the way one question is asked on it."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.config import Bus
from agent.wires.wire import Wire
from drivers.base import Ask, Step, Tell

T = TypeVar("T")


class NoAnswerError(Exception):
    """Nothing came in time."""


class GarbledError(Exception):
    """Bytes came in time, but no answer."""


class Line(Protocol):
    """A wire with one way of asking on it."""

    @property
    def tells_late_answers(self) -> bool:
        """True where an answer names the unit or the question it belongs to."""

    @property
    def silence_s(self) -> float:
        """Wall seconds the line must be silent between an answer and the next question."""

    async def ask(self, unit: int | None, step: Step, timeout_s: float) -> tuple[int, ...] | bytes:
        """Carry out one step; raises WireError, NoAnswerError, GarbledError, and BadAnswer for a refusal."""


async def exchange(
    wire: Wire, question: bytes, answer_in: Callable[[bytes], T | None], bytes_max: int, timeout_s: float
) -> T:
    """Ask, and give what `answer_in` finds in the bytes that came as soon as it finds it."""
    wire.drain_input()
    came = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            await wire.write(question)
            while len(came) <= bytes_max:
                came += await wire.read()
                if (answer := answer_in(bytes(came))) is not None:
                    return answer
    except TimeoutError:
        if not came:
            raise NoAnswerError(f"no answer within {timeout_s:g} s") from None
    raise GarbledError(f"{len(came)} bytes that are no answer, the first {bytes(came[:24]).hex(' ')}")


class TextLine:
    """Questions and answers in lines of text."""

    tells_late_answers = False

    def __init__(self, wire: Wire, config: Bus) -> None:
        self._wire = wire
        self.silence_s = config.gap_ms / 1000

    async def ask(self, unit: int | None, step: Step, timeout_s: float) -> bytes:
        """See `Line`; the unit is part of the question's own text. A command is sent and gives nothing."""
        if isinstance(step, Tell):
            self._wire.drain_input()
            await self._wire.write(step.data)
            return b""
        if not isinstance(step, Ask):
            raise TypeError("a register question on a text bus: the driver and the bus do not fit")
        return await exchange(
            self._wire, step.data, lambda came: came if step.complete(came) else None, step.answer_bytes_max,
            timeout_s,
        )  # fmt: skip
