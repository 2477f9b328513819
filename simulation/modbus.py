"""The slave side of Modbus over TCP (MBAP) and over a serial line (RTU).

Written here and not taken from a library: the programs under test use the library, and a second implementation finds
what one alone would forgive; and an answer must be journalled at the moment it leaves.
Sources: MODBUS Application Protocol V1.1b3, section 6; MODBUS Messaging on TCP/IP V1.0b, section 3.
"""

import asyncio
import struct
from collections.abc import Mapping
from typing import Final, Protocol

COIL, DISCRETE, HOLDING, INPUT = range(1, 5)  # by the function code that reads each table
_REGISTERS_MAX: Final = 125
_BITS_MAX: Final = 2000
_LINE_BYTES_MAX: Final = 256
_REQUEST_BYTES: Final = 8


class Unit(Protocol):
    """One address on a bus."""

    def read(self, table: int, address: int, count: int) -> list[int] | None:
        """Values of registers or bits; None where any of them does not exist."""

    def write(self, table: int, address: int, value: int) -> bool:
        """Write one coil or holding register; False where it does not exist."""


def answer(unit: Unit, request: bytes) -> bytes:
    """Answer PDU to a request PDU: functions 1 to 6, exceptions 1 to 3 for everything else."""
    function = request[0] if request else 0
    if function not in range(1, 7):
        return bytes((function | 0x80, 1))
    if len(request) != 5:
        return bytes((function | 0x80, 3))
    address, argument = struct.unpack(">HH", request[1:])
    return _read(unit, function, address, argument) if function <= INPUT else _write(unit, request, address, argument)


def _read(unit: Unit, table: int, address: int, count: int) -> bytes:
    if not 1 <= count <= (_REGISTERS_MAX if table >= HOLDING else _BITS_MAX):
        return bytes((table | 0x80, 3))
    values = unit.read(table, address, count)
    if values is None:
        return bytes((table | 0x80, 2))
    data = struct.pack(f">{count}H", *values) if table >= HOLDING else _bits(values)
    return bytes((table, len(data))) + data


def _bits(values: list[int]) -> bytes:
    packed = sum((value & 1) << place for place, value in enumerate(values))
    return packed.to_bytes((len(values) + 7) // 8, "little")


def _write(unit: Unit, request: bytes, address: int, argument: int) -> bytes:
    if request[0] == 5 and argument not in (0x0000, 0xFF00):
        return bytes((request[0] | 0x80, 3))
    written = unit.write(COIL, address, argument >> 15) if request[0] == 5 else unit.write(HOLDING, address, argument)
    return request if written else bytes((request[0] | 0x80, 2))


class ModbusTcp:
    """Units behind one TCP port. An unknown unit answers exception 11, as a gateway does."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends or breaks the framing."""
        while True:
            header = await reader.readexactly(7)
            transaction, protocol, length, unit_id = struct.unpack(">HHHB", header)
            if protocol != 0 or not 2 <= length <= 254:
                return
            request = await reader.readexactly(length - 1)
            unit = self._units.get(unit_id)
            reply = answer(unit, request) if unit is not None else bytes((request[0] | 0x80, 0x0B))
            writer.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit_id) + reply)
            await writer.drain()


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first, as it stands on the line."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


class RtuLine:
    """Units on a serial line. Every request of functions 1 to 6 has eight bytes; wrong check sums meet silence."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self._units = units
        self._buffer = b""

    def hear(self, data: bytes) -> bytes:
        """Take bytes in pieces of any size; what is answered, if anything."""
        self._buffer = (self._buffer + data)[-_LINE_BYTES_MAX:]
        replies = b""
        while len(self._buffer) >= _REQUEST_BYTES:
            frame = self._buffer[:_REQUEST_BYTES]
            if crc(frame[:-2]) != frame[-2:]:
                self._buffer = self._buffer[1:]  # one false start, not the whole buffer
                continue
            self._buffer = self._buffer[_REQUEST_BYTES:]
            replies += self._reply(frame)
        return replies

    def _reply(self, frame: bytes) -> bytes:
        unit = self._units.get(frame[0])
        if unit is None:
            return b""
        reply = frame[:1] + answer(unit, frame[1:-2])
        return reply + crc(reply)
