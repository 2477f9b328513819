"""Wires: a serial port or a TCP peer, read and written on asyncio. A wire that failed is closed and may be opened again.

A serial port is opened by its path each time, so that an adapter that was unplugged is found again behind the same
name, and with the exclusive lock, so that another program cannot share the line silently.
"""

import asyncio
import os
import termios
from typing import Final, Protocol

import serial

from agent.config import SerialWire, TcpWire

# Input nobody reads stays with the kernel beyond this; it bounds the memory of one wire.
BUFFER_BYTES_MAX: Final = 128 * 1024


class WireError(Exception):
    """The wire itself failed (no device, locked, unplugged, refused, closed by the peer); holds the system's words."""


class Wire(Protocol):
    """One line to the outside. Every method raises WireError where the line is gone."""

    @property
    def is_open(self) -> bool:
        """True from a successful `open` until a failure or `close`."""

    async def open(self) -> None:
        """Open the line."""

    async def read(self) -> bytes:
        """Wait for at least one byte and give all that came."""

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the system."""

    def drain_input(self) -> int:
        """Forget what came and nobody read; gives how many bytes."""

    def close(self) -> None:
        """Close the line; closing a closed one does nothing."""


class _Input:
    """Bytes that came, the failure that ended them, and one reader waiting for either."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._error: str | None = None
        self._changed = asyncio.Event()

    @property
    def full(self) -> bool:
        return len(self._bytes) >= BUFFER_BYTES_MAX

    def put(self, data: bytes) -> None:
        self._bytes += data
        self._changed.set()

    def fail(self, error: str) -> None:
        self._error = self._error or error
        self._changed.set()

    async def wait(self) -> bytes:
        """All bytes that came before the failure, then the failure."""
        while not self._bytes and self._error is None:
            self._changed.clear()
            await self._changed.wait()
        if not self._bytes and self._error is not None:
            raise WireError(self._error)
        return self.take()

    def take(self) -> bytes:
        data = bytes(self._bytes)
        self._bytes.clear()
        return data


class SerialPort:
    """A serial port over pyserial's file descriptor; no flow control."""

    def __init__(self, config: SerialWire) -> None:
        self._config = config
        self._port: serial.Serial | None = None
        self._input = _Input()
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
        self._input = _Input()
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


class _Receiver(asyncio.Protocol):
    """Puts what a TCP transport gives into the input of its wire."""

    def __init__(self, peer: str) -> None:
        self.input = _Input()
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.input.put(data)
        if self.input.full and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.input.fail(f"{self._peer}: {error or 'closed by the peer'}")
        self._transport = None
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    async def writable(self) -> None:
        await self._may_write.wait()

    def resume(self) -> None:
        if self._transport is not None and not self.input.full:
            self._transport.resume_reading()

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._transport


class TcpPeer:
    """A TCP client. Opening again connects again."""

    def __init__(self, config: TcpWire) -> None:
        self._config = config
        self._peer = f"{config.host}:{config.port}"
        self._receiver = _Receiver(self._peer)

    @property
    def is_open(self) -> bool:
        """See `Wire`."""
        transport = self._receiver.transport
        return transport is not None and not transport.is_closing()

    async def open(self) -> None:
        """See `Wire`."""
        self.close()
        receiver = _Receiver(self._peer)
        try:
            await asyncio.get_running_loop().create_connection(lambda: receiver, self._config.host, self._config.port)
        except OSError as error:
            raise WireError(f"{self._peer}: {error}") from error
        self._receiver = receiver

    async def read(self) -> bytes:
        """See `Wire`."""
        data = await self._receiver.input.wait()
        self._receiver.resume()
        return data

    async def write(self, data: bytes) -> None:
        """See `Wire`."""
        transport = self._receiver.transport
        if transport is None or transport.is_closing():
            raise WireError(f"{self._peer}: closed")
        transport.write(data)
        await self._receiver.writable()

    def drain_input(self) -> int:
        """See `Wire`."""
        dropped = len(self._receiver.input.take())
        self._receiver.resume()
        return dropped

    def close(self) -> None:
        """See `Wire`."""
        transport = self._receiver.transport
        self._receiver.input.fail(f"{self._peer}: closed")
        if transport is not None:
            transport.abort()


def wire_for(config: SerialWire | TcpWire) -> Wire:
    """The wire a bus declares, closed."""
    return SerialPort(config) if isinstance(config, SerialWire) else TcpPeer(config)
