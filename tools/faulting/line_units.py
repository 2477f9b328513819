"""Instruments of the fault campaigns: Modbus TCP units of 20 registers; the first counts the answers it has given.

    line_units.py JOURNAL PORTS

Prints one JSON line with the ports; any of them answers for any unit. Each answer is a line `unit count seconds`
(unix time) in JOURNAL, written before it is sent. Ends with its input.
"""

import asyncio
import json
import os
import struct
import sys
import time
from typing import TextIO

REGISTERS = 20
_HEAD = struct.Struct(">HHHBBHH")


class Units:
    """All units; which of them are on a port is not looked at."""

    def __init__(self, journal: TextIO) -> None:
        self._journal = journal
        self._counts: dict[int, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: read holding registers, nothing else."""
        try:
            while True:
                transaction, _, _, unit, function, first, count = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                writer.write(self._answer(transaction, unit, function, first, count))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, transaction: int, unit: int, function: int, first: int, count: int) -> bytes:
        registers = [(unit * 100 + number) % 65536 for number in range(REGISTERS)]
        if first == 0:
            registers[0] = self._counts[unit] = self._counts.get(unit, 0) + 1
            self._journal.write(f"{unit} {registers[0]} {time.time():.3f}\n")
        data = struct.pack(f">{count}H", *registers[first : first + count])
        return struct.pack(">HHHBBB", transaction, 0, 3 + len(data), unit, function, len(data)) + data


async def main(journal: str, ports: int) -> None:
    """Serve until the input ends."""
    with open(journal, "a", buffering=1, encoding="utf-8") as file:
        units = Units(file)
        servers = [await asyncio.start_server(units.serve, "127.0.0.1", 0) for _ in range(ports)]
        print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # Connections that stand are no reason to stay, nor to say anything.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
