"""Serving a page: uvicorn without the parts nobody here needs, in a process of its own or inside a daemon."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

# Browsers open six connections each; beyond this a visitor is answered 503.
CONNECTIONS_MAX: Final = 100
GOODBYE_WALL_S: Final = 2


def config(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """Settings of a page's server: plain HTTP, no websockets, the program's own logging."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=GOODBYE_WALL_S,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they belong to the program this server is a part of


async def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve `app` on a listening socket until cancelled; open connections get GOODBYE_WALL_S to end."""
    server = _Server(config(app))
    try:
        await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        await server.shutdown([listener])
        raise
