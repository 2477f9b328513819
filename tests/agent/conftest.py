"""Peers on real wires: pymodbus servers, text servers, ptys."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.config import Bus

COILS = 16


@dataclass
class ModbusPeer:
    """Units of a bus: holding registers 0..19 hold 0..19; every coil write is kept in order."""

    port: int = 0
    coil_writes: list[tuple[int, bool]] = field(default_factory=list)
    coils: dict[int, bool] = field(default_factory=dict)
    stuck: set[int] = field(default_factory=set)
    reads: list[int] = field(default_factory=list)
    open_at_once: int = 0
    gas: set[int] = field(default_factory=set)
    units: set[int] = field(default_factory=set)

    def tcp_packet(self, sending: bool, data: bytes) -> bytes:
        return b"" if sending and data[6] not in self.units else data

    def rtu_packet(self, sending: bool, data: bytes) -> bytes:
        return b"" if sending and data[0] not in self.units else data

    def device(self, unit: int) -> SimDevice:
        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        registers = [SimData(0, values=list(range(20)), datatype=DataType.REGISTERS)]

        async def act(function: int, _start: int, address: int, _count: int, _now: list[int], new: Any) -> None:
            if function == 5 and new is not None:
                if address in self.stuck:
                    new[0] = False
                self.wrote(address, bool(new[0]))
            elif function in (3, 4):
                self.reads.append(unit)

        return SimDevice(unit, (bits, bits, registers, registers), action=act)

    def wrote(self, coil: int, on: bool) -> None:
        self.coil_writes.append((coil, on))
        self.coils[coil] = on
        self.open_at_once = max(self.open_at_once, sum(self.coils.get(gas, False) for gas in self.gas))

    @property
    def bus(self) -> Bus:
        wire = {"kind": "tcp", "host": "127.0.0.1", "port": self.port}
        return Bus.model_validate({"wire": wire, "protocol": "modbus-tcp", "timeout_s": 0.2})


ServeModbus = Callable[..., Awaitable[ModbusPeer]]


@pytest.fixture
async def serve_modbus() -> AsyncIterator[ServeModbus]:
    """`await serve_modbus(1, 2)` serves these units on a TCP port; all others hear and say nothing."""
    servers = []

    async def serve(*units: int, port: int = 0) -> ModbusPeer:
        peer = ModbusPeer(units=set(units))
        server = ModbusTcpServer(
            [peer.device(unit) for unit in range(1, 21)], address=("127.0.0.1", port), trace_packet=peer.tcp_packet
        )
        await server.serve_forever(background=True)
        servers.append(server)
        peer.port = server.transport.sockets[0].getsockname()[1]
        return peer

    yield serve
    for server in servers:
        await server.shutdown()


class PtyLine:
    """A serial line: what is written to one end comes out of the other. Both ends are raw ptys."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.masters: list[int] = []
        self.plug()

    def plug(self) -> None:
        self.masters, self.slaves = [], []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self.masters.append(master)
            self.slaves.append(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.slaves[0]))
        self.far = os.ttyname(self.slaves[1])
        loop = asyncio.get_running_loop()
        for here, there in (self.masters, self.masters[::-1]):
            loop.add_reader(here, self._carry, here, there)

    @staticmethod
    def _carry(here: int, there: int) -> None:
        with contextlib.suppress(OSError):
            os.write(there, os.read(here, 4096))

    def unplug(self) -> None:
        loop = asyncio.get_running_loop()
        for master in self.masters:
            loop.remove_reader(master)
        for descriptor in [*self.masters, *self.slaves]:
            os.close(descriptor)
        self.masters, self.slaves = [], []

    def bus(self, protocol: str = "modbus-rtu", timeout_s: float = 0.3) -> Bus:
        wire = {"kind": "serial", "device": str(self.link), "baud": 115200}
        return Bus.model_validate({"wire": wire, "protocol": protocol, "timeout_s": timeout_s})


@pytest.fixture
async def pty_line(tmp_path: Path) -> AsyncIterator[PtyLine]:
    line = PtyLine(tmp_path / "serial-line")
    yield line
    line.unplug()


@pytest.fixture
async def serve_rtu(pty_line: PtyLine) -> AsyncIterator[ServeModbus]:
    """`await serve_rtu(1, 2)` serves these units at the far end of the pty line."""
    servers = []

    async def serve(*units: int) -> ModbusPeer:
        peer = ModbusPeer(units=set(units))
        server = ModbusSerialServer(
            [peer.device(unit) for unit in range(1, 21)],
            framer=FramerType.RTU,
            port=pty_line.far,
            baudrate=115200,
            trace_packet=peer.rtu_packet,
        )
        await server.serve_forever(background=True)
        servers.append(server)
        return peer

    yield serve
    for server in servers:
        await server.shutdown()


@dataclass
class Events:
    """What a bus reported."""

    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, what: str, detail: Any) -> None:
        self.seen.append((what, dict(detail)))

    def __iter__(self) -> Iterator[str]:
        return iter(what for what, _ in self.seen)


@pytest.fixture
def events() -> Events:
    return Events()


Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds; a deadline ends it."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)

    return wait
