"""Instruments at the far end of a line: ptys and TCP ports that answer what they hear."""

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from simulation.modbus import Unit
from simulation.senseair import Senseair

AT = datetime(2026, 6, 1, tzinfo=UTC)
METER = {
    "voltage_a": 231.4, "voltage_b": 229.9, "voltage_c": 230.0, "current_a": 12.345, "current_b": -0.5,
    "current_c": 0.0, "active_energy": 123456.78, "active_power": -3.1415, "power_factor": 0.987,
    "mains_frequency": 49.98,
}  # fmt: skip
STACK = {0: 35.2, 2: 48.1, 4: 6.2, 6: 12.1, 8: 4.5, 10: 120.0, 12: 118.0, 14: -230.0, 16: 9.8}


def unheard(values: Mapping[str, float], **more: object) -> None:
    """A journal nobody reads."""


def senseair() -> Senseair:
    """A CO2 sensor in plain air."""
    sensor = Senseair(unheard, np.random.default_rng(1))
    sensor.step(AT, 420.0)
    return sensor


class Counting:
    """A unit that counts what is written to it."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.written = 0

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        return self._unit.read(table, address, count)

    def write(self, table: int, address: int, value: int) -> bool:
        self.written += 1
        return self._unit.write(table, address, value)


@contextlib.contextmanager
def on_a_pty(hear: Callable[[bytes], bytes]) -> Iterator[str]:
    """A serial line with an instrument at its far end; its name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: os.write(master, hear(os.read(master, 4096))))
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


def serial(device: str) -> dict[str, Any]:
    """The wire block of a serial line."""
    return {"kind": "serial", "device": device}


def tcp(port: int) -> dict[str, Any]:
    """The wire block of a port of this machine."""
    return {"kind": "tcp", "host": "127.0.0.1", "port": port}


class TcpLines:
    """An instrument behind a TCP port that gives `answer()` for each line it hears."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self._answer = answer
        self.connections = 0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.readline():
                writer.write(self._answer())
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    def stop(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()


class Weather(TcpLines):
    """A weather transmitter; each answer gives a temperature no other gave."""

    def __init__(self) -> None:
        super().__init__(self._next)
        self.given: list[float] = []

    def _next(self) -> bytes:
        self.given.append(round(10 + 0.01 * len(self.given), 2))
        return f"0R0,Dm=236D,Sm=2.5M,Ta={self.given[-1]:.2f}C,Ua=48.1P,Pa=1009.6H\r\n".encode()
