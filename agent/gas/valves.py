"""Valves: break before make, every move read back, and the way home to sample air."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.config import Config
from agent.config_gas import Valve
from agent.gas.maintenance import held_in
from agent.wires.bus import AskedBus, BusSilentError, asked_buses
from agent.wires.bus_turns import Priority
from drivers.base import Answer, BadAnswer, ReadRegisters, Registers, SelectorDriver, Step, WriteCoil
from metrology.clock import Clock

SAFE_TRIES: Final = 3
LOCK_FILE: Final = "maintenance.json"
# After so many coils without any answer the module is away: the others would only keep the next try waiting.
SILENCES_MAX: Final = 2
# A relay that falls off by itself is written again so many times within its own time.
REFRESHES: Final = 3.0
# A valve that turns is asked again after this long where it stands, for at most so long; wall seconds.
LOOK_WALL_S: Final = 0.3
TRAVEL_WALL_S: Final = 4.0
# Where it stands is looked at this often while gas flows.
WATCH_WALL_S: Final = 10.0

T = TypeVar("T")


class ValveError(Exception):
    """A valve that could not be moved, or stands otherwise than it was told."""


class ValveBlock(ABC):
    """One valve of the configuration on its bus. Its moves go before every poll of the bus."""

    def __init__(self, name: str, config: Valve, bus: AskedBus) -> None:
        self.name = name
        self.config = config
        self._bus = bus

    @property
    @abstractmethod
    def refresh_wall_s(self) -> float | None:
        """How often `refresh` is due while gas flows; None where it need not be."""

    @abstractmethod
    async def open(self, port: str) -> None:
        """Close all other ports, see that they are closed, open this one. Raises ValveError, then nothing is opened."""

    @abstractmethod
    async def close(self) -> None:
        """Close every port, sample air too. Raises ValveError, also where the valve cannot stand so."""

    @abstractmethod
    async def refresh(self, port: str) -> None:
        """See to it that an open port still is. Raises ValveError."""

    @abstractmethod
    async def to_sample(self) -> bool:
        """Leave sample air open and nothing else, as far as it goes. Raises ValveError with all that failed.

        True where the valve stood elsewhere, or that is not known.
        """

    @abstractmethod
    async def send_home(self) -> None:
        """The last resort after `to_sample` failed: send home what may hear and cannot be heard."""

    @abstractmethod
    async def at(self) -> str | None:
        """Read which port alone is open; None for none, for several, and for no port of ours. Raises ValveError."""

    async def _carry_out(self, what: Generator[Step, Answer, T], port: str = "") -> T:
        try:
            return await self._bus.run_poll(self.config.unit, what, Priority.VALVE)
        except (BusSilentError, BadAnswer) as error:
            raise ValveError(f"valve {self.name}{' port ' if port else ''}{port}: {error}") from error


def _set_coil(coil: int, on: bool) -> Generator[Step, Answer, None]:
    answer = yield WriteCoil(coil, on)
    assert isinstance(answer, Registers)
    if answer.values != (int(on),):
        raise BadAnswer(f"coil {coil} was written {int(on)} and reads {answer.values[0]}")


def _coil(coil: int) -> Generator[Step, Answer, int]:
    answer = yield ReadRegisters("coil", coil, 1)
    assert isinstance(answer, Registers)
    return answer.values[0]


class CoilBlock(ValveBlock):
    """Solenoids on Modbus coils, one for each port."""

    @property
    def refresh_wall_s(self) -> float | None:
        """See `ValveBlock`: relays with a dead-man time fall off by themselves."""
        return None if self.config.dead_man_s is None else self.config.dead_man_s / REFRESHES

    async def open(self, port: str) -> None:
        """See `ValveBlock`."""
        for other in self.config.ports:
            if other != port:
                await self._set(other, on=False)
        await self._set(port, on=True)

    async def close(self) -> None:
        """See `ValveBlock`."""
        for port in self.config.ports:
            await self._set(port, on=False)

    async def refresh(self, port: str) -> None:
        """See `ValveBlock`: the port is written again."""
        await self._set(port, on=True)

    async def to_sample(self) -> bool:
        """See `ValveBlock`."""
        failures: list[ValveError] = []
        gases = [port for port in self.config.ports if port != self.config.sample]
        for port, on in [*((port, False) for port in gases), (self.config.sample, True)]:
            try:
                await self._set(port, on=on)
            except ValveError as error:
                failures.append(error)
            if sum(isinstance(one.__cause__, BusSilentError) for one in failures) == SILENCES_MAX:
                break
        if failures:
            raise ValveError("; ".join(map(str, failures)))
        return True

    async def send_home(self) -> None:
        """See `ValveBlock`: every coil was written, heard or not."""

    async def at(self) -> str | None:
        """See `ValveBlock`."""
        on = [port for port in self.config.ports if await self._carry_out(_coil(self._coil_of(port)), port)]
        return on[0] if len(on) == 1 else None

    def _coil_of(self, port: str) -> int:
        coil = self.config.ports[port].coil
        assert coil is not None, "checked with the configuration"
        return coil

    async def _set(self, port: str, *, on: bool) -> None:
        await self._carry_out(_set_coil(self._coil_of(port), on), port)


class SelectorBlock(ValveBlock):
    """A valve that stands in one state at a time and tells which: nothing else is open by its making."""

    refresh_wall_s = WATCH_WALL_S

    def __init__(self, name: str, config: Valve, bus: AskedBus, valve: SelectorDriver) -> None:
        super().__init__(name, config, bus)
        self._valve = valve
        states = {port: one.position if one.mask is None else one.mask for port, one in config.ports.items()}
        self._states = {port: state for port, state in states.items() if state is not None}
        assert len(self._states) == len(states), "checked with the configuration"

    async def open(self, port: str) -> None:
        """See `ValveBlock`."""
        await self._reach(port)

    async def close(self) -> None:
        """See `ValveBlock`: it stands at one port at any time."""
        raise ValveError(f"valve {self.name} has no position in which all is closed")

    async def refresh(self, port: str) -> None:
        """See `ValveBlock`: where it stands is read."""
        if (at := await self.at()) != port:
            raise ValveError(f"valve {self.name} was left at port {port} and stands at {at or 'no port of ours'}")

    async def to_sample(self) -> bool:
        """See `ValveBlock`."""
        return await self._reach(self.config.sample)

    async def send_home(self) -> None:
        """See `ValveBlock`."""
        with contextlib.suppress(ValveError):
            await self._carry_out(self._valve.move(self._states[self.config.sample]))

    async def at(self) -> str | None:
        """See `ValveBlock`."""
        state = await self._carry_out(self._valve.state())
        return next((port for port, own in self._states.items() if own == state), None)

    async def _reach(self, port: str) -> bool:
        """Send it there, again where it did not hear, until it says that it has arrived; True where it had to move.

        It may be silent while it moves, and is sent only after it has told where it stands.
        """
        moved = False
        loop = asyncio.get_running_loop()
        ends = loop.time() + TRAVEL_WALL_S
        while True:
            try:
                if (at := await self.at()) == port:
                    return moved
                moved = True
                await self._carry_out(self._valve.move(self._states[port]), port)
                found = ValveError(f"valve {self.name} was sent to port {port} and stands at {at or 'no port of ours'}")
            except ValveError as error:
                found = error
            if loop.time() >= ends:
                raise found
            await asyncio.sleep(LOOK_WALL_S)


def _block(name: str, config: Valve, bus: AskedBus) -> ValveBlock:
    # What a station without such a valve need not carry is imported where it is used.
    if config.kind == "vici":
        from drivers.vici import ViciSelector

        return SelectorBlock(name, config, bus, ViciSelector(config.id))
    if config.kind == "picarro":
        from drivers.picarro_valves import PicarroSelector

        return SelectorBlock(name, config, bus, PicarroSelector())
    return CoilBlock(name, config, bus)


def blocks(config: Config, buses: Mapping[str, AskedBus]) -> dict[str, ValveBlock]:
    """All valves of a station."""
    return {name: _block(name, valve, buses[valve.bus]) for name, valve in config.valves.items()}


def lock_path(config: Config) -> Path:
    """Where the maintenance lock of a station lies."""
    return Path(config.store.path) / LOCK_FILE


async def safe_state(config: Config, clock: Clock) -> list[str]:
    """Bring every valve to sample air without a daemon (after it ended); gives what failed, empty where all is well.

    Under the maintenance lock nothing is moved.
    """
    if held_in(lock_path(config), clock.now()) is not None:
        return []
    buses = asked_buses(config, clock, _ignore)
    try:
        return [text for block in blocks(config, buses).values() if (text := await _tried(block))]
    finally:
        for bus in buses.values():
            bus.close()


async def _tried(block: ValveBlock) -> str | None:
    failure: str | None = None
    for _ in range(SAFE_TRIES):
        try:
            await block.to_sample()
        except ValveError as error:
            failure = str(error)
        else:
            return None
    await block.send_home()
    return failure


def _ignore(what: str, detail: Mapping[str, Any]) -> None:
    """Nobody records events after the daemon ended; failures are returned."""
