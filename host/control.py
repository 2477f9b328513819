"""A daemon's Unix socket: one JSON line asks, JSON lines answer. Its command line uses nothing else."""

import asyncio
import json
import os
import pwd
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REQUEST_BYTES_MAX: Final = 64 * 1024
CLIENTS_MAX: Final = 32
# Places nobody but root and the service's own user takes: a page and a lock for maintenance find one.
RESERVED: Final = 8
# Who asks nothing, or reads nothing of what was asked, loses the place to others.
PATIENCE_WALL_S: Final = 10.0
# The member by which a page says for whom it asks; the gate's alone, no handler sees it.
PERSON: Final = "person"
HALF_PAIR: Final = re.compile("[\ud800-\udfff]")

Handler = Callable[[Mapping[str, Any]], AsyncIterator[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel says (`unix(7)`, SO_PEERCRED): not as the request says."""

    uid: int
    gid: int

    @property
    def user(self) -> str:
        """Name of the user, the number where the machine knows none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def is_service(self) -> bool:
        """Whether it is the service's own user, or root."""
        return self.uid in (0, os.geteuid())


# Looks at a request before it is served: its name, its members, who asks. Puts acts on record; raises RequestError for
# what this user may not do.
Gate = Callable[[str, Mapping[str, Any], Peer], Awaitable[None]]


class RequestError(Exception):
    """A request that cannot be served; its text goes to who asked."""


class Control:
    """Serves `handlers` (name in `do`) on a socket of the given mode: the service's user and group may open it."""

    def __init__(
        self, path: Path, handlers: Mapping[str, Handler], mode: int = 0o660, gate: Gate | None = None
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._mode = mode
        self._gate = gate
        self._clients: dict[asyncio.StreamWriter, Peer] = {}
        # Those who have not asked yet, the longest first.
        self._quiet: dict[asyncio.StreamWriter, None] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._path.unlink()
        mask = os.umask(0o777 & ~self._mode)
        try:
            server = await asyncio.start_unix_server(self._serve, str(self._path), limit=REQUEST_BYTES_MAX)
        finally:
            os.umask(mask)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = _peer(writer)
        if len(self._clients) > CLIENTS_MAX and self._quiet:
            # Whoever holds places without a word keeps nobody out who has one.
            oldest = next(iter(self._quiet))
            del self._quiet[oldest]
            self._clients.pop(oldest, None)
            oldest.transport.abort()
        self._quiet[writer] = None
        try:
            async for answer in self._answers(reader, writer):
                writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                async with asyncio.timeout(PATIENCE_WALL_S):
                    await writer.drain()
        except TimeoutError:
            writer.transport.abort()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the asker went away, or we stop
        finally:
            self._clients.pop(writer, None)
            self._quiet.pop(writer, None)
            writer.close()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[dict[str, Any]]:
        try:
            line = await _line(reader)
            self._quiet.pop(writer, None)
            peer = _peer(writer)
            if self._is_full(peer):
                raise RequestError(f"more than {CLIENTS_MAX} clients")
            request = _parsed(line)
            name = request.get("do")
            handler = self._handlers.get(name) if isinstance(name, str) else None
            if handler is None:
                raise RequestError(f"unknown request; known: {', '.join(sorted(self._handlers))}")
            assert isinstance(name, str), "it has a handler"
            if self._gate is not None:
                await self._gate(name, request, peer)
            async for answer in handler({key: value for key, value in request.items() if key != PERSON}):
                yield answer
        except (RequestError, ValueError) as error:
            yield {"error": str(error)}

    def _is_full(self, peer: Peer) -> bool:
        others = sum(not one.is_service for one in self._clients.values())
        return len(self._clients) > CLIENTS_MAX or (not peer.is_service and others > CLIENTS_MAX - RESERVED)


def _peer(writer: asyncio.StreamWriter) -> Peer:
    line: socket.socket = writer.get_extra_info("socket")
    _, uid, gid = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Peer(uid & 0xFFFFFFFF, gid & 0xFFFFFFFF)


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE_WALL_S):
        try:
            return await reader.readline()
        except ValueError as error:
            raise RequestError(f"a request is at most {REQUEST_BYTES_MAX} bytes") from error


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"no JSON: {error}") from error
    if not isinstance(request, dict):
        raise RequestError("a request is a JSON object")
    # What is asked goes on record and back to who asks; JSON can write what no file can hold.
    if HALF_PAIR.search(json.dumps(request, ensure_ascii=False)):
        raise RequestError("half of a surrogate pair is no text")
    return request


async def ask(path: str, request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Send a request to a running daemon and give its answers. Raises RequestError where none runs or it refuses."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=16 * 1024 * 1024)
    except OSError as error:
        raise RequestError(f"{path}: no daemon answers there ({error.strerror})") from error
    try:
        writer.write(json.dumps(dict(request)).encode() + b"\n")
        while line := await reader.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise RequestError(answer["error"])
            yield answer
    finally:
        writer.close()


def ask_now(path: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same as `ask`, for programs that have nothing else to do meanwhile."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
        except OSError as error:
            raise RequestError(f"{path}: no daemon answers there ({error.strerror})") from error
        line.sendall(json.dumps(dict(request)).encode() + b"\n")
        with line.makefile("rb") as answers:
            for text in answers:
                answer = json.loads(text)
                if "error" in answer:
                    raise RequestError(answer["error"])
                yield answer
