"""A serial port as a wire.

It is opened by its path each time, so that an adapter that was unplugged is found again behind the same name. Three
locks keep others off the line: one on the device, TIOCEXCL against programs that ask for none, and the lock file that
terminal programs look at.
"""

import asyncio
import contextlib
import fcntl
import os
import termios
from pathlib import Path
from typing import Final

import serial
from serial.rs485 import RS485Settings

from agent.config_wires import SerialWire
from agent.wires.port_lock import LOCKS, PortLock
from agent.wires.serial_turn import sending
from agent.wires.wire import Input, WireError

# Linux's numbers of pseudo-terminals. TIOCEXCL stays on one after its holder was killed, for as long as the far end is
# open, and would keep the same program out when it starts again; a real port forgets it.
PSEUDO_MAJORS: Final = frozenset(range(136, 144))


class SerialPort:
    """A serial port over pyserial's file descriptor; `locks` is the folder of lock files."""

    def __init__(self, config: SerialWire, locks: Path = LOCKS) -> None:
        self._config = config
        self._locks = locks
        self._lock: PortLock | None = None
        self._port: serial.Serial | None = None
        self._input = Input()
        self._reading = False
        self._echo = b""

    @property
    def is_open(self) -> bool:
        """See `Wire`."""
        return self._port is not None

    async def open(self) -> None:
        """See `Wire`; also WireError where another program holds the port, or it cannot be set as configured."""
        self.close()
        lock = PortLock(self._config.device, self._locks)
        lock.look()
        try:
            self._port = _opened(self._config)
        except (OSError, ValueError, termios.error) as error:
            raise WireError(f"{self._config.device}: {error}") from error
        lock.make()
        self._lock = lock
        self._input = Input()
        self._echo = b""
        self._resume()

    async def read(self) -> bytes:
        """See `Wire`."""
        data = await self._input.wait()
        self._resume()
        return data

    async def write(self, data: bytes) -> None:
        """See `Wire`."""
        if self._port is None:
            raise WireError(f"{self._config.device}: closed")
        turn = self._config.rs485
        if self._config.echo:
            self._echo += data
        try:
            if turn is not None and turn.turn == "rts":
                async with sending(self._port.fileno(), turn, self._config.character_s):
                    await self._send(data)
            else:
                await self._send(data)
        except OSError as error:
            self._close(str(error))
            raise WireError(f"{self._config.device}: {error}") from error

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._port is None:
                raise WireError(f"{self._config.device}: closed")
            try:
                rest = rest[os.write(self._port.fileno(), rest) :]
            except BlockingIOError:
                await _writable(self._port.fileno())

    def drain_input(self) -> bytes:
        """See `Wire`."""
        if self._reading:
            self._readable()
        dropped = self._input.take()
        self._echo = b""
        self._resume()
        return dropped

    def close(self) -> None:
        """See `Wire`."""
        self._close("closed")

    def _readable(self) -> None:
        assert self._port is not None, "the reader is removed before the port is closed"
        try:
            data = os.read(self._port.fileno(), 4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._close(str(error))
            return
        if not data:
            self._close("the device is gone")
            return
        self._input.put(self._without_echo(data))
        if self._input.full:
            self._pause(self._port)

    def _without_echo(self, data: bytes) -> bytes:
        """What came, less what came back of our own question; bytes that differ from it end the echo."""
        expected, came = self._echo, 0
        while came < min(len(expected), len(data)) and expected[came] == data[came]:
            came += 1
        self._echo = expected[came:] if came == len(data) else b""
        return data[came:]

    def _close(self, why: str) -> None:
        self._input.fail(f"{self._config.device}: {why}")
        port, self._port = self._port, None
        if port is not None:
            self._pause(port)
            with contextlib.suppress(OSError):  # a device that is gone has no lock to give back
                fcntl.ioctl(port.fileno(), termios.TIOCNXCL)
            port.close()
        if self._lock is not None:
            self._lock.remove()
            self._lock = None

    def _resume(self) -> None:
        if self._port is not None and not self._reading:
            asyncio.get_running_loop().add_reader(self._port.fileno(), self._readable)
            self._reading = True

    def _pause(self, port: serial.Serial) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(port.fileno())
            self._reading = False


def _opened(config: SerialWire) -> serial.Serial:
    port = serial.Serial(
        None,
        config.baud,
        bytesize=config.data_bits,
        parity=config.parity,
        stopbits=config.stop_bits,
        rtscts=config.flow == "rtscts",
        xonxoff=config.flow == "xonxoff",
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )
    port.port, port.dtr, port.rts = config.device, config.dtr, config.rts
    turn = config.rs485
    if turn is not None and turn.turn == "kernel":
        high = turn.rts_sends == "high"
        port.rs485_mode = RS485Settings(high, not high, False, turn.before_ms / 1000, turn.after_ms / 1000)
    elif turn is not None:
        port.rts = turn.rts_sends == "low"
    port.open()
    try:
        _prepare(port)
    except (OSError, termios.error):
        port.close()
        raise
    return port


def _prepare(port: serial.Serial) -> None:
    descriptor = port.fileno()
    if os.major(os.fstat(descriptor).st_rdev) not in PSEUDO_MAJORS:
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
    # With VMIN 1 a read without input is EAGAIN and a read of nothing means that the device is gone.
    attributes = termios.tcgetattr(descriptor)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    os.set_blocking(descriptor, False)
    # Some USB adapters keep what came for 16 ms unless told to be quick; others know no such setting.
    with contextlib.suppress(OSError, ValueError):
        port.set_low_latency_mode(True)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
