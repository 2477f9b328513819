"""Serving a page: uvicorn without the parts nobody here needs, in a process of its own or inside a daemon."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

# Browsers open six connections each; beyond this a visitor is answered 503.
CONNECTIONS_MAX: Final = 100
# One address shall not take every place; behind a proxy all visitors have the proxy's.
CONNECTIONS_OF_ONE_MAX: Final = 40
# With those whose handshake of TLS is not over, each of which costs some 300 KB: beyond it they are hung up on.
OPEN_MAX: Final = 150
HEAD_WALL_S: Final = 10.0
GOODBYE_WALL_S: Final = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """How a page is reached. `names` are the hosts it is asked for by, beside addresses; None: by any.

    `notice` is what the operator has everybody read before a sign-in.
    `certificate` and `key` are PEM files; without them it speaks plain HTTP, to a proxy or on loopback alone.
    `client_ca`: visitors may show a certificate of this authority (PEM file); which one says `visitor_of`.
    """

    certificate: str | None = None
    key: str | None = None
    behind_proxy: bool = False
    names: frozenset[str] | None = frozenset({"localhost"})
    idle_s: float = 30 * 60.0
    session_s: float = 12 * 3600.0
    client_ca: str | None = None
    notice: str = ""


class _WithCertificate:
    """Tells the application which certificate the visitor showed, as ASGI's extension for TLS has it."""

    def __init__(self, app: ASGIApp, certificate: bytes) -> None:
        self._app = app
        self._certificate = ssl.DER_cert_to_PEM_cert(certificate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})["tls"] = {"client_cert_chain": [self._certificate]}
        await self._app(scope, receive, send)


def visitor_of(scope: Scope) -> str | None:
    """The certificate (PEM) a visitor showed and proved to own, None where there was none."""
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", [None])
    return chain[0]  # type: ignore[no-any-return]


class _Patient(H11Protocol):
    """A visitor has HEAD_WALL_S for the head of a request, however slowly its bytes drip."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and (certificate := tls.getpeercert(True)):
            self.app = _WithCertificate(self.app, certificate)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_WALL_S, self._too_slow)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()


class _Door(socket.socket):
    """A listening socket that hangs up on who is too many, before a handshake or a descriptor is spent on them."""

    def __init__(self, listener: socket.socket, of_one_max: int) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=os.dup(listener.fileno()))
        self._of_one_max = of_one_max
        self._inside: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next visitor there is a place for. Raises BlockingIOError where nobody waits any more."""
        while True:
            visitor, address = super().accept()
            hosts = [host for one, host in self._inside.items() if one.fileno() >= 0]
            if len(hosts) < OPEN_MAX and hosts.count(address[0]) < self._of_one_max:
                self._inside[visitor] = address[0]
                return visitor, address
            visitor.close()


def _context(settings: Settings) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None:
    if settings.certificate is None:
        return None

    def make(*_: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(str(settings.certificate), settings.key)
        if settings.client_ca is not None:
            context.load_verify_locations(cafile=settings.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    return make


def config(app: ASGIApp, host: str = "127.0.0.1", port: int = 0, settings: Settings | None = None) -> uvicorn.Config:
    """Settings of a page's server: no websockets, the program's own logging."""
    settings = settings or Settings()
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="asyncio",
        http=_Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=GOODBYE_WALL_S,
        ssl_context_factory=_context(settings),
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they belong to the program this server is a part of


async def serve(app: ASGIApp, listener: socket.socket, settings: Settings | None = None) -> None:
    """Serve `app` on a listening socket until cancelled; open connections get GOODBYE_WALL_S to end."""
    server = _Server(config(app, settings=settings))
    door = _Door(listener, OPEN_MAX if settings and settings.behind_proxy else CONNECTIONS_OF_ONE_MAX)
    try:
        await server.serve(sockets=[door])
    except asyncio.CancelledError:
        await server.shutdown([door])
        raise
    finally:
        listener.close()
