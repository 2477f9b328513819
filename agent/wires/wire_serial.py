"""A serial port as a wire.

It is opened by its path each time, so that an adapter that was unplugged is found again behind the same name, and with
the exclusive lock, so that another program cannot share the line silently.
"""

import asyncio
import os
import termios

import serial

from agent.config import SerialWire
from agent.wires.wire import Input, WireError


class SerialPort:
    """A serial port over pyserial's file descriptor; no flow control."""

    def __init__(self, config: SerialWire) -> None:
        self._config = config
        self._port: serial.Serial | None = None
        self._input = Input()
        self._reading = False

    @property
    def is_open(self) -> bool:
        """See `Wire`."""
        return self._port is not None

    async def open(self) -> None:
        """See `Wire`; also WireError where another program holds the port."""
        self.close()
        try:
            self._port = self._opened()
        except (OSError, termios.error) as error:
            raise WireError(f"{self._config.device}: {error}") from error
        self._input = Input()
        self._resume()

    def _opened(self) -> serial.Serial:
        config = self._config
        port = serial.Serial(
            config.device,
            config.baud,
            bytesize=config.data_bits,
            parity=config.parity,
            stopbits=config.stop_bits,
            timeout=0,
            write_timeout=0,
            exclusive=True,
        )
        # With VMIN 1 a read without input is EAGAIN and a read of nothing means that the device is gone.
        attributes = termios.tcgetattr(port.fileno())
        attributes[6][termios.VMIN] = 1
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
        os.set_blocking(port.fileno(), False)
        return port

    async def read(self) -> bytes:
        """See `Wire`."""
        data = await self._input.wait()
        self._resume()
        return data

    async def write(self, data: bytes) -> None:
        """See `Wire`."""
        rest = memoryview(data)
        while rest:
            if self._port is None:
                raise WireError(f"{self._config.device}: closed")
            try:
                rest = rest[os.write(self._port.fileno(), rest) :]
            except BlockingIOError:
                await _writable(self._port.fileno())
            except OSError as error:
                self._close(str(error))
                raise WireError(f"{self._config.device}: {error}") from error

    def drain_input(self) -> int:
        """See `Wire`."""
        if self._reading:
            self._readable()
        dropped = len(self._input.take())
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
        self._input.put(data)
        if self._input.full:
            self._pause(self._port)

    def _close(self, why: str) -> None:
        self._input.fail(f"{self._config.device}: {why}")
        port, self._port = self._port, None
        if port is not None:
            self._pause(port)
            port.close()

    def _resume(self) -> None:
        if self._port is not None and not self._reading:
            asyncio.get_running_loop().add_reader(self._port.fileno(), self._readable)
            self._reading = True

    def _pause(self, port: serial.Serial) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(port.fileno())
            self._reading = False


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
