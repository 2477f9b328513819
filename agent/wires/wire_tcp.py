"""A TCP peer as a wire."""

import asyncio
import socket
from typing import Final

from agent.config_wires import TcpWire
from agent.wires.wire import Input, WireError

# A peer that lost power says nothing. The system asks it after so many seconds without traffic, so often, and gives the
# connection up where it never answers, or acknowledges nothing that was sent for USER_TIMEOUT_MS.
KEEP_ALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}
USER_TIMEOUT_MS: Final = 30_000


class _Receiver(asyncio.Protocol):
    """Puts what a TCP transport gives into the input of its wire."""

    def __init__(self, peer: str) -> None:
        self.input = Input()
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        _keep_alive(transport.get_extra_info("socket"))

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


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in {**KEEP_ALIVE, socket.TCP_USER_TIMEOUT: USER_TIMEOUT_MS}.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


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

    def drain_input(self) -> bytes:
        """See `Wire`."""
        dropped = self._receiver.input.take()
        self._receiver.resume()
        return dropped

    def close(self) -> None:
        """See `Wire`."""
        transport = self._receiver.transport
        self._receiver.input.fail(f"{self._peer}: closed")
        if transport is not None:
            transport.abort()
