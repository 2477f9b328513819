"""A UDP peer as a wire: a datagram is an answer, or a part of one; none is ever cut or joined by this wire."""

import asyncio
import socket
from collections import deque
from typing import Final

from agent.config_wires import UdpWire
from agent.wires.wire import WireError

# Datagrams nobody reads; older ones are dropped, as the network itself would.
DATAGRAMS_MAX: Final = 256


class _Receiver(asyncio.DatagramProtocol):
    """Keeps the datagrams of one peer; those of other hosts are passed over."""

    def __init__(self, peer: str, hosts: frozenset[str]) -> None:
        self._peer = peer
        self._hosts = hosts
        self._came: deque[bytes] = deque(maxlen=DATAGRAMS_MAX)
        self._error: str | None = None
        self._changed = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if addr[0] in self._hosts and data:
            self._came.append(data)
            self._changed.set()

    def error_received(self, error: Exception) -> None:
        # The peer's host is there and says that nobody listens: as good as a refused connection.
        self.fail(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(str(error or "closed"))

    def fail(self, why: str) -> None:
        self._error = self._error or f"{self._peer}: {why}"
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()
        self._changed.set()

    async def wait(self) -> bytes:
        while not self._came and self._error is None:
            self._changed.clear()
            await self._changed.wait()
        if not self._came:
            raise WireError(str(self._error))
        return self._came.popleft()

    def take(self) -> bytes:
        data = b"".join(self._came)
        self._came.clear()
        return data


class UdpPeer:
    """A UDP peer. Opening proves nothing of it; that nobody listens there is learned from the first datagram sent."""

    def __init__(self, config: UdpWire) -> None:
        self._config = config
        self._peer = f"{config.host}:{config.port or '*'}/udp"
        self._receiver = _Receiver(self._peer, frozenset())

    @property
    def is_open(self) -> bool:
        """See `Wire`."""
        return self._receiver.transport is not None

    async def open(self) -> None:
        """See `Wire`; also WireError where another program holds the local port."""
        self.close()
        loop = asyncio.get_running_loop()
        config = self._config
        try:
            found = await loop.getaddrinfo(config.host, config.port or 0, type=socket.SOCK_DGRAM)
            family, *_, remote = found[0]
            receiver = _Receiver(self._peer, frozenset(str(address[0]) for *_, address in found))
            anywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
            receiver.transport, _ = await loop.create_datagram_endpoint(
                lambda: receiver,
                family=family,
                remote_addr=(str(remote[0]), int(remote[1])) if config.port else None,
                local_addr=(anywhere, config.local_port or 0),
            )
        except OSError as error:
            raise WireError(f"{self._peer}: {error}") from error
        self._receiver = receiver

    async def read(self) -> bytes:
        """See `Wire`; one datagram."""
        return await self._receiver.wait()

    async def write(self, data: bytes) -> None:
        """See `Wire`; one datagram."""
        if self._receiver.transport is None:
            raise WireError(f"{self._peer}: closed")
        if self._config.port is None:
            raise WireError(f"{self._peer}: a peer without a port is only listened to")
        self._receiver.transport.sendto(data)

    def drain_input(self) -> bytes:
        """See `Wire`."""
        return self._receiver.take()

    def close(self) -> None:
        """See `Wire`."""
        self._receiver.fail("closed")
