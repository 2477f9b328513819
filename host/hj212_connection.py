"""One line of an HJ 212 platform: bytes to its session and back, without a task of its own."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from host.hj212 import watch_peer
from protocols.hj212.platform import PlatformSession
from protocols.hj212.session import Output, RequestEnded, Send


class Server(Protocol):
    """What a connection needs of its server."""

    @property
    def now(self) -> float:
        """Wall time as the sessions want it."""

    def opened(self, connection: "Connection") -> None:
        """A connection is there."""

    def lost(self, connection: "Connection") -> None:
        """A connection is gone."""

    def told(self, data: bytes) -> None:
        """A frame goes out that is not the answer to an upload."""

    def take(self, connection: "Connection", output: Output) -> None:
        """One output that is not `Send`."""

    def watch(self, connection: "Connection") -> None:
        """Wake up for what this connection has due."""


class Connection(asyncio.Protocol):
    """One line, which may carry several stations. What waits for its commit is bounded by the session."""

    def __init__(self, server: Server, number: int, session: PlatformSession, stranger_until: float) -> None:
        self.number = number
        self.session = session
        self.mns: set[str] = set()
        self.asked: dict[str, asyncio.Future[RequestEnded]] = {}
        self.due: float | None = None
        self.transport: asyncio.Transport | None = None
        self._server = server
        self._stranger_until = stranger_until
        self._unread = False
        self._held = False

    @property
    def deadline(self) -> float | None:
        """When `tick` is wanted next; None once it is closing, whatever was still wanted then."""
        if self.transport is None or self.transport.is_closing():
            return None
        wanted = self.session.deadline
        if self.mns:
            return wanted
        return self._stranger_until if wanted is None else min(wanted, self._stranger_until)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        watch_peer(transport)
        self.transport = transport
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.perform(self.session.receive(data, self._server.now))

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, whoever ended it and however."""
        self.transport = None
        try:
            self.perform(self.session.end(self._server.now), told=False)
        finally:
            self._server.lost(self)

    def pause_writing(self) -> None:
        """The peer does not read what it is sent: it is not read either."""
        self._unread = True
        self._flow()

    def resume_writing(self) -> None:
        """The peer has read."""
        self._unread = False
        self._flow()

    def hold(self, held: bool) -> None:
        """Read nothing more while `held`."""
        self._held = held
        self._flow()

    def _flow(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self._unread or self._held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def perform(self, outputs: Sequence[Output], *, told: bool = True) -> None:
        """Do what the session said. What a peer does not read is bounded: nothing more is then read of it.

        The owner is told what goes out, except the answers to uploads (`told` is false).
        """
        sends = []
        for output in outputs:
            if isinstance(output, Send):
                sends.append(output.data)
                if told:
                    self._server.told(output.data)
            else:
                self._server.take(self, output)
        if sends and self.transport is not None:
            self.transport.write(b"".join(sends))
        self._server.watch(self)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if not self.mns and now >= self._stranger_until and self.transport is not None:
            self.transport.abort()
            return
        self.perform(self.session.tick(now))
