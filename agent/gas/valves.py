"""Valves on Modbus coils: break before make, every write read back, and the way home to sample air."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent.config import Config
from agent.config_gas import Valve
from agent.gas.maintenance import held_in
from agent.wires.bus import AskedBus, BusSilentError, asked_buses
from agent.wires.bus_turns import Priority
from drivers.base import BadAnswer, Poll, Registers, WriteCoil
from metrology.clock import Clock

SAFE_TRIES: Final = 3
LOCK_FILE: Final = "maintenance.json"


class ValveError(Exception):
    """A coil that could not be written, or reads otherwise than written."""


def _set_coil(coil: int, on: bool) -> Poll:
    answer = yield WriteCoil(coil, on)
    assert isinstance(answer, Registers)
    if answer.values != (int(on),):
        raise BadAnswer(f"coil {coil} was written {int(on)} and reads {answer.values[0]}")
    return []


class ValveBlock:
    """One valve of the configuration on its bus. Its moves go before every poll of the bus."""

    def __init__(self, name: str, config: Valve, bus: AskedBus) -> None:
        self.name = name
        self.config = config
        self._bus = bus

    async def open(self, port: str) -> None:
        """Close all other ports, see that they are closed, open this one. Raises ValveError, then nothing is opened."""
        for other in self.config.ports:
            if other != port:
                await self._set(other, on=False)
        await self._set(port, on=True)

    async def refresh(self, port: str) -> None:
        """Write an open port again, for relays that fall off by themselves."""
        await self._set(port, on=True)

    async def to_sample(self) -> None:
        """Close every gas port, open sample air, each as far as it goes. Raises ValveError with all that failed."""
        failures = []
        gases = [port for port in self.config.ports if port != self.config.sample]
        for port, on in [*((port, False) for port in gases), (self.config.sample, True)]:
            try:
                await self._set(port, on=on)
            except ValveError as error:
                failures.append(str(error))
        if failures:
            raise ValveError("; ".join(failures))

    async def _set(self, port: str, *, on: bool) -> None:
        try:
            await self._bus.run_poll(self.config.unit, _set_coil(self.config.ports[port].coil, on), Priority.VALVE)
        except (BusSilentError, BadAnswer) as error:
            raise ValveError(f"valve {self.name} port {port}: {error}") from error


def blocks(config: Config, buses: Mapping[str, AskedBus]) -> dict[str, ValveBlock]:
    """All valves of a station."""
    return {name: ValveBlock(name, valve, buses[valve.bus]) for name, valve in config.valves.items()}


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
    return failure


def _ignore(what: str, detail: Mapping[str, Any]) -> None:
    """Nobody records events after the daemon ended; failures are returned."""
