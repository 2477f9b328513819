"""The owner of a bus of units that answer: one question at a time, valves before polls, silent units left alone.

A unit that fails is parked ever longer and probed in the slack behind its neighbours' polls, one parked unit at a time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from agent.config import Bus, Config
from agent.wires.bus_turns import Priority, Turns
from agent.wires.bus_unit import BACKOFF_REGULATED_S, BACKOFF_RESEARCH_S, Unit
from agent.wires.bus_wire import KeptWire, OnEvent
from agent.wires.line import GarbledError, NoAnswerError
from agent.wires.line_kinds import line_for
from agent.wires.wire import Wire, WireError
from agent.wires.wire_kinds import MakeWire, wire_of
from drivers.base import Answer, BadAnswer, ReadRegisters, Registers, Step, Tell, Text, WriteCoil
from metrology.clock import Clock

# So many questions in a row without any answer while every unit is parked, and the wire is opened anew: a TCP peer
# that lost power says nothing of it. A unit that is silent beside answering ones never causes this.
ALL_SILENT_MAX: Final = 5

T = TypeVar("T")


class BusSilentError(Exception):
    """The unit, or the whole wire, gives no answer; `since` is world time."""

    def __init__(self, text: str, since: datetime) -> None:
        super().__init__(text)
        self.since = since


class AskedBus:
    """A bus of units that answer questions. `backoff_max_s` maps each unit to the longest time it is left alone."""

    def __init__(
        self,
        name: str,
        config: Bus,
        clock: Clock,
        on_event: OnEvent,
        backoff_max_s: Mapping[int | None, float] | None = None,
        make_wire: MakeWire = wire_of,
    ) -> None:
        self._name = name
        self._config = config
        self._clock = clock
        self._on_event = on_event
        self._kept = KeptWire(name, config, clock, on_event, make_wire)
        self._line = line_for(config, self._kept.wire)
        self._turns = Turns()
        self._units: dict[int | None, Unit] = {unit: Unit(cap) for unit, cap in (backoff_max_s or {}).items()}
        self._probing = False
        self._unanswered = 0
        self._quiet_until = 0.0
        # After a question without an answer a gateway may still wait for that unit: the next answer may be late too.
        self._held_up = False

    async def run_poll(
        self, unit: int | None, poll: Generator[Step, Answer, T], priority: Priority = Priority.POLL
    ) -> T:
        """Carry out the steps of a driver's poll, or of a valve's move, and return what it gives: a poll its scans.

        Raises BusSilentError where the unit or the wire is silent (a parked unit costs the line nothing until its next
        try), BadAnswer where it answers nonsense. A Modbus exception reply is thrown into the poll.
        """
        state = self._units.setdefault(unit, Unit())
        state.asked_at = None
        with contextlib.closing(poll):
            if not state.parked or priority is Priority.VALVE:
                return await self._drive(unit, poll, priority)
            if self._probing or self._clock.wall_monotonic() < state.retry_at:
                raise BusSilentError(str(state.last_error), state.silent_since or self._clock.now())
            self._probing = True
            try:
                return await self._drive(unit, poll, Priority.PROBE)
            finally:
                self._probing = False

    async def _drive(self, unit: int | None, poll: Generator[Step, Answer, T], priority: Priority) -> T:
        try:
            step = next(poll)
            while True:
                try:
                    answer = await self._answer(unit, step, priority)
                except BadAnswer as error:
                    step = poll.throw(error)
                else:
                    step = poll.send(answer)
        except StopIteration as done:
            given: T = done.value
            return given
        except BadAnswer as error:
            self._bad(unit, error)
            raise
        except GarbledError as error:
            raise BadAnswer(str(error)) from error

    async def _answer(self, unit: int | None, step: Step, priority: Priority) -> Answer:
        async with self._turns.turn(priority):
            await self._ready(urgent=priority is Priority.VALVE)
            timeout_s = self._timeout_s(self._units[unit], priority)
            values = await self._ask(unit, step, timeout_s)
            if isinstance(step, WriteCoil):
                values = await self._ask(unit, ReadRegisters("coil", step.address, 1), timeout_s)
            at = self._clock.now()
        return Text(values, at) if isinstance(values, bytes) else Registers(values, at)

    async def _ready(self, *, urgent: bool) -> None:
        """Open the wire where it is closed and its next try is due."""
        if self._kept.wire.is_open:
            return
        if self._kept.wait_s > 0 and not urgent:
            raise self._wire_silent()
        try:
            await self._kept.open()
        except WireError as error:
            raise self._wire_failed(error) from error
        self._unanswered = 0

    def _timeout_s(self, state: Unit, priority: Priority) -> float:
        """Less than the bus's own only where a late answer cannot be taken for another's; a valve gets it all."""
        full_s = self._config.timeout_s
        if priority is Priority.VALVE or self._held_up or not self._line.tells_late_answers:
            return full_s
        if priority is not Priority.PROBE:
            return state.patience_s(full_s)
        slowest = max((max(unit.responses) for unit in self._units.values() if unit.responses), default=None)
        return state.probe_s(full_s, slowest)

    async def _ask(self, unit: int | None, step: Step, timeout_s: float) -> tuple[int, ...] | bytes:
        """One question, after the silence the line needs."""
        state = self._units[unit]
        loop = asyncio.get_running_loop()
        if (silence_s := self._quiet_until - loop.time()) > 0:
            await asyncio.sleep(silence_s)
        state.requests += 1
        if state.asked_at is None:
            state.asked_at = self._clock.monotonic()
        began, held_up = loop.time(), self._held_up
        self._held_up = True
        try:
            values = await self._line.ask(unit, step, timeout_s)
        except WireError as error:
            raise self._wire_failed(error) from error
        except NoAnswerError as error:
            state.timeouts += 1
            raise self._silent(unit, str(error)) from error
        except GarbledError as error:
            state.bad_answers += 1
            self._silent(unit, str(error))
            raise
        except BadAnswer:
            self._alive(unit, None if held_up else loop.time() - began)
            raise
        finally:
            self._quiet_until = loop.time() + self._line.silence_s
        if not isinstance(step, Tell):  # what is only sent shows no life
            self._alive(unit, None if held_up else loop.time() - began)
        return values

    def _alive(self, unit: int | None, response_s: float | None) -> None:
        self._unanswered, self._held_up = 0, False
        self._kept.alive()
        if self._units[unit].answered(response_s):
            self._on_event("unit-back", {"bus": self._name, "unit": unit})

    def _bad(self, unit: int | None, error: BadAnswer) -> None:
        state = self._units[unit]
        state.bad_answers += 1
        state.last_error = str(error)

    def _silent(self, unit: int | None, error: str) -> BusSilentError:
        state = self._units[unit]
        text = f"bus {self._name} unit {unit}: {error}"
        now = self._clock.now()
        if state.failed(text, self._clock.wall_monotonic(), now):
            self._on_event("unit-silent", {"bus": self._name, "unit": unit, "error": error})
        self._unanswered += 1
        if self._unanswered >= ALL_SILENT_MAX and all(known.parked for known in self._units.values()):
            self._kept.wire.close()
        return BusSilentError(text, state.silent_since or now)

    def _wire_failed(self, error: WireError) -> BusSilentError:
        self._kept.failed(error)
        return self._wire_silent()

    def _wire_silent(self) -> BusSilentError:
        return BusSilentError(f"bus {self._name}: {self._kept.error}", self._kept.down_since)

    @property
    def wire(self) -> Wire:
        """The wire of this bus, for who holds it by `lent`."""
        return self._kept.wire

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Hold the open wire for one question of somebody else; whoever waits on this bus goes first.

        Raises WireError where the wire is down, or fails meanwhile.
        """
        async with self._turns.turn(Priority.PROBE):
            try:
                await self._ready(urgent=False)
            except BusSilentError as error:
                raise WireError(str(error)) from error
            loop = asyncio.get_running_loop()
            if (silence_s := self._quiet_until - loop.time()) > 0:
                await asyncio.sleep(silence_s)
            self._held_up = True
            try:
                yield
            except WireError as error:
                raise WireError(str(self._wire_failed(error))) from error
            finally:
                self._quiet_until = loop.time() + self._line.silence_s

    def replace(self, unit: int | None, by: int | None, backoff_max_s: float) -> None:
        """Forget a unit that nobody is asking and know `by` instead, maybe the same, as one never asked before."""
        self._units.pop(unit, None)
        self._units[by] = Unit(backoff_max_s)

    def asked_at(self, unit: int | None) -> float | None:
        """When the first question of the last poll of a unit went out, on `Clock.monotonic`; None where none did."""
        return self._units[unit].asked_at

    def close(self) -> None:
        """Close the wire."""
        self._kept.wire.close()

    def status(self) -> dict[str, Any]:
        """State of the wire and of each unit."""
        wall = self._clock.wall_monotonic()
        return {
            "open": self._kept.wire.is_open,
            "error": self._kept.error,
            "units": {str(unit): state.status(wall, self._config.timeout_s) for unit, state in self._units.items()},
        }


def backoff_caps(config: Config) -> dict[str, dict[int | None, float]]:
    """For each bus and unit how long it is left alone at most; a regulated instrument is tried again more often."""
    caps: dict[str, dict[int | None, float]] = {name: {} for name in config.buses}
    for valve in config.valves.values():
        caps[valve.bus][valve.unit] = BACKOFF_REGULATED_S
    for instrument in config.instruments.values():
        cap = BACKOFF_REGULATED_S if instrument.kind == "regulated" else BACKOFF_RESEARCH_S
        known = caps[instrument.bus]
        known[instrument.unit] = min(cap, known.get(instrument.unit, cap))
    for known in caps.values():
        if len(known) == 1:
            # Nobody waits behind the probes of a unit that is alone (decision 13).
            known.update(dict.fromkeys(known, BACKOFF_REGULATED_S))
    return caps


def asked_buses(config: Config, clock: Clock, on_event: OnEvent, make_wire: MakeWire = wire_of) -> dict[str, AskedBus]:
    """Every bus of a station that is asked, closed."""
    caps = backoff_caps(config)
    return {
        name: AskedBus(name, bus, clock, on_event, caps[name], make_wire)
        for name, bus in config.buses.items()
        if bus.protocol != "stream"
    }
