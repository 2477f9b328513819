"""The face of a wire (serial, TCP, UDP, MQTT): used on asyncio; one that failed may be opened again."""

import asyncio
from typing import Final, Protocol

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

    def drain_input(self) -> bytes:
        """Take what came and nobody read, maybe nothing: it answers no question that is still to be asked."""

    def close(self) -> None:
        """Close the line; closing a closed one does nothing."""


class Input:
    """Bytes that came, the failure that ended them, and one reader waiting for either."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._error: str | None = None
        self._changed = asyncio.Event()

    @property
    def full(self) -> bool:
        """True where the wire should stop reading until somebody took."""
        return len(self._bytes) >= BUFFER_BYTES_MAX

    def put(self, data: bytes) -> None:
        """Add bytes."""
        self._bytes += data
        self._changed.set()

    def fail(self, error: str) -> None:
        """End the input; the first failure is the one told."""
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
        """What came, maybe nothing."""
        data = bytes(self._bytes)
        self._bytes.clear()
        return data
