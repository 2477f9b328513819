"""Asks on a line that may not be ours: looks before each question whether another master speaks, and counts."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.other_message import ReportDeviceIdRequest, ReportDeviceIdResponse

from agent.config import Bus
from agent.doctor.listen import foreign
from agent.wires.line import GarbledError, NoAnswerError
from agent.wires.line_kinds import line_for
from agent.wires.wire import Wire
from drivers.base import Ask, BadAnswer, Step

# Objects 0 to 2 of a device identification (Modbus application protocol 1.1b3, section 6.21).
OBJECTS: Final = {0: "vendor", 1: "product", 2: "revision"}
_IDENTITY_BYTES_MAX: Final = 512


class OtherMasterError(Exception):
    """Somebody else asks on this line; holds what was heard."""


@dataclass(slots=True)
class Tally:
    """What became of questions; times in seconds."""

    asked: int = 0
    no_answer: int = 0
    garbled: int = 0
    refused: int = 0
    times: list[float] = field(default_factory=list)


class _Tap:
    """A wire that keeps what came since it was last emptied: nobody is overheard while an answer is waited for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.open, self.write, self.close = wire.open, wire.write, wire.close
        self.came = bytearray()

    @property
    def is_open(self) -> bool:
        return self._wire.is_open

    async def read(self) -> bytes:
        return self._kept(await self._wire.read())

    def drain_input(self) -> bytes:
        return self._kept(self._wire.drain_input())

    def _kept(self, data: bytes) -> bytes:
        self.came += data
        return data


class Asker:
    """One line, open. `ours` is the word of a person that no other master is on it.

    `turn` is held for each question by itself: between two the line may be another's.
    """

    def __init__(
        self,
        wire: Wire,
        config: Bus,
        timeout_s: float,
        *,
        ours: bool,
        turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self._turn = turn
        self._wire = _Tap(wire)
        self._line = line_for(config, self._wire)
        self._rtu = config.protocol == "modbus-rtu"
        self._timeout_s = timeout_s
        self._ours = ours
        self._last: tuple[int | None, bytes] = (None, b"")
        self.tally = Tally()

    async def ask(self, unit: int | None, step: Step) -> tuple[int, ...] | bytes:
        """One question. Raises OtherMasterError, and what `Line.ask` raises."""
        async with self._turn():
            return await self._asked(unit, step)

    async def _asked(self, unit: int | None, step: Step) -> tuple[int, ...] | bytes:
        await self._look(unit, step.data if isinstance(step, Ask) else b"")
        tally, loop = self.tally, asyncio.get_running_loop()
        tally.asked += 1
        began = loop.time()
        try:
            answer = await self._line.ask(unit, step, self._timeout_s)
        except NoAnswerError:
            tally.no_answer += 1
            raise
        except GarbledError:
            tally.garbled += 1
            self._overheard()
            raise
        except BadAnswer:
            tally.refused += 1
            tally.times.append(loop.time() - began)
            raise
        tally.times.append(loop.time() - began)
        self._overheard()
        return answer

    async def end_line(self, ending: bytes) -> None:
        """Send an empty line: what an instrument holds of questions that were none of its own ends there."""
        async with self._turn():
            await self._look(None, ending)
            await self._wire.write(ending)
            try:
                async with asyncio.timeout(self._timeout_s):
                    while True:
                        await self._wire.read()
            except TimeoutError:
                pass  # whatever it said of the rubbish has passed

    async def answers(self, unit: int | None, step: Step) -> bool:
        """Tell whether anybody answers, be it with a refusal."""
        try:
            await self.ask(unit, step)
        except BadAnswer:
            return True
        except (NoAnswerError, GarbledError):
            return False
        return True

    async def identity(self, unit: int) -> dict[str, str]:
        """What the unit says of itself by functions 43/14 and 17; most units know neither."""
        told: dict[str, str] = {}
        basic = await self._said(unit, ReadDeviceInformationRequest(dev_id=unit))
        if isinstance(basic, ReadDeviceInformationResponse):
            told = {
                name: _text(basic.information[number])
                for number, name in OBJECTS.items()
                if number in basic.information
            }
        server = await self._said(unit, ReportDeviceIdRequest(dev_id=unit))
        if isinstance(server, ReportDeviceIdResponse) and server.identifier.strip(b"\0"):
            told["server_id"] = _text(server.identifier)
        return told

    async def _look(self, unit: int | None, question: bytes = b"") -> None:
        """Before a question: whether anything came that is no late answer to the last one."""
        await asyncio.sleep(self._line.silence_s)
        self._wire.drain_input()
        self._overheard()
        self._wire.came.clear()
        self._last = unit, question

    def _overheard(self) -> None:
        if not self._ours and foreign(bytes(self._wire.came), *self._last):
            raise OtherMasterError(bytes(self._wire.came[:24]).hex(" "))

    async def _said(self, unit: int, request: ModbusPDU) -> ModbusPDU | None:
        """The answer to one of the two questions; None for a refusal, silence or rubbish."""
        async with self._turn():
            return await self._heard(unit, request)

    async def _heard(self, unit: int, request: ModbusPDU) -> ModbusPDU | None:
        await self._look(unit)
        framer = FramerRTU(DecodePDU(False)) if self._rtu else FramerSocket(DecodePDU(False))
        await self._wire.write(framer.buildFrame(request))
        came = b""
        try:
            async with asyncio.timeout(self._timeout_s):
                while len(came) < _IDENTITY_BYTES_MAX:
                    came += await self._wire.read()
                    used, _, _, frame = framer.decode(came)
                    if used and frame:
                        return DecodePDU(False).decode(frame)
        except TimeoutError:
            pass  # it does not know the question, or is slow
        return None


def _text(value: Any) -> str:
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value)
