"""`plumeline hj212 platform`: a platform to try a station against, without the centre."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections import OrderedDict
from io import FileIO
from typing import Final

from agent.cli.hj212_encode import UsageError, area_of, command_for, password, values_of
from agent.cli.hj212_peers import Peers
from agent.cli.hj212_show import Show, TappedLink, Typed, Words, until_interrupted
from agent.cli.words import say
from host.clock import RealClock
from host.hj212 import close, until_first_ends
from host.problems import Lang
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212 import Message, PlatformSession
from protocols.hj212.session import (
    Notified,
    Output,
    PartsMissing,
    Rejected,
    RequestEnded,
    Timing,
    Unexpected,
    Uploaded,
    remember,
)
from protocols.hj212.transitions import State

CONNECTIONS_MAX: Final = 64
REMEMBERED_MAX: Final = 100_000
MN_MARK: Final = "@"


def platform(line: argparse.Namespace) -> int:
    """Listen and answer until Ctrl-C; 2 where the command line cannot be, 1 where port or file cannot be had."""
    try:
        if (line.mn is None) != line.any:
            raise UsageError(say("hj212.who", line.lang))
        peers = Peers(line, None if line.any else password(line))
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(FileIO(line.out, "a")) if line.out else None
            return until_interrupted(_run(line, peers, Store(out)))
    except (UsageError, ValueError, OSError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, (OSError, StoreError)) else 2


async def _run(line: argparse.Namespace, peers: Peers, store: "Store") -> None:
    await Platform(line, peers, store, RealClock()).run()


class StoreError(Exception):
    """An upload could not be written down. No `OSError`: a connection that breaks is one, and harmless."""


class Store:
    """What was uploaded: every message once, however often it came, in a file (one JSON object a line) or nowhere.

    It tells a repeat by station, command, part and data, whatever its QN, among the last 100,000.
    """

    def __init__(self, out: FileIO | None) -> None:
        self._out = out
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def put(self, message: Message, at: str) -> bool:
        """Keep a message durably; False where it was there already. Raises StoreError."""
        what = (message.mn, message.st, message.cn, message.pnum, message.pno, message.area)
        mark = hashlib.blake2b(repr(what).encode(), digest_size=16).digest()
        if mark in self._known:
            return False
        if self._out is not None:
            row = {"at": at, "mn": message.mn, "st": message.st, "cn": message.cn, "qn": message.qn,
                   "pnum": message.pnum, "pno": message.pno, "resent": message.resent, "cp": message.area}  # fmt: skip
            try:
                data = json.dumps(row).encode() + b"\n"
                while data:
                    data = data[self._out.write(data) :]
                os.fsync(self._out.fileno())
            except OSError as error:
                raise StoreError(str(error)) from error
        remember(self._known, mark, None, REMEMBERED_MAX)
        return True


class _Watched(PlatformSession):
    """A session whose incoming frames are shown first, and tell who speaks."""

    connection: "_Connection"

    def receive(self, data: bytes, now: float) -> list[Output]:
        self.connection.heard(data)
        return super().receive(data, now)


class _Connection:
    """One station's line."""

    def __init__(self, platform: "Platform", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._platform = platform
        peers, clock = platform.peers, platform.clock
        self._session = _Watched(peers, clock.now, timing=platform.timing, execution_s=platform.execution_s)
        self._session.connection = self
        self.link = TappedLink(self._session, reader, writer, clock, self._take, platform.show, peers.keys_of)
        self._asked: dict[str, asyncio.Future[RequestEnded]] = {}

    def heard(self, data: bytes) -> None:
        """Bytes came: show them, and who speaks."""
        for message in self.link.incoming.pass_on(data):
            self._platform.peers.heard(message)
            self._platform.here(message.mn, self)

    def _take(self, output: Output) -> None:
        show = self._platform.show
        match output:
            case Uploaded(message):
                fresh = self._platform.store.put(message, iso(self._platform.clock.now()))
                show.happened("stored" if fresh else "repeated", mn=message.mn, cn=message.cn, qn=message.qn)
                self.link.perform(self._session.accepted(message))
            case RequestEnded(qn):
                if qn in self._asked:
                    _settle(self._asked.pop(qn), output)
            case Notified(message) | Unexpected(message):
                what = "notified" if isinstance(output, Notified) else "unexpected"
                show.happened(what, mn=message.mn, cn=message.cn, qn=message.qn)
            case Rejected(message, reason):
                show.happened("rejected", mn=message.mn, cn=message.cn, qn=message.qn, why=reason)
            case PartsMissing(mn, cn, data_time, parts, missing):
                show.happened("parts-missing", mn=mn, cn=cn, data_time=data_time, parts=parts, missing=list(missing))

    async def request(self, mn: str, cn: str, items: Words, lang: Lang) -> RequestEnded:
        """Ask the station; gives how that ended. Raises UsageError, ValueError or RuntimeError."""
        known = self._platform.peers[mn]
        area = area_of(command_for(known.edition, cn, "to_station", lang), items, known.st, lang)
        self._platform.peers.asked(mn, cn, values_of(items, lang))
        qn, outputs = self._session.request(mn, cn, area, self.link.now)
        ended: asyncio.Future[RequestEnded] = asyncio.get_running_loop().create_future()
        self._asked[qn] = ended
        self.link.perform(outputs)
        return await ended

    def closed(self) -> None:
        """The line is gone: what was asked on it has no other end."""
        for qn, future in self._asked.items():
            _settle(future, RequestEnded(qn, "", "", State.LOST, None, ()))


def _settle(future: asyncio.Future[RequestEnded], ended: RequestEnded) -> None:
    """Tell whoever waits, unless it has been called off."""
    if not future.done():
        future.set_result(ended)


class Platform:
    """Listens, answers what comes, and asks one thing after the other as it is told."""

    def __init__(self, line: argparse.Namespace, peers: Peers, store: Store, clock: Clock) -> None:
        self.peers, self.store, self.clock = peers, store, clock
        self.show = Show(line.lang, as_json=line.json)
        self.timing = Timing(line.overtime, line.recount)
        self.execution_s = float(line.execution)
        self._line = line
        self._typed = Typed(line.send)
        self._here: OrderedDict[str, _Connection] = OrderedDict()
        self._came = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until it is cancelled. Raises OSError where the port cannot be had, StoreError."""
        server = await asyncio.start_server(self._accept, self._line.host, self._line.port)
        host, port = server.sockets[0].getsockname()[:2]
        self.show.happened("listening", host=host, port=port)
        if self._line.any:
            self.show.happened("any")
        async with server:
            with self._typed.listening():
                await until_first_ends(self._ask(), self._failed)

    def here(self, mn: str, connection: _Connection) -> None:
        """The station of that MN speaks on that connection."""
        self._here[mn] = connection
        self._here.move_to_end(mn)
        self._came.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            await close(writer)
            return
        task = asyncio.ensure_future(self._carry(_Connection(self, reader, writer)))
        self._open.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._open.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _carry(self, connection: _Connection) -> None:
        self.show.happened("connected", peer=connection.link.peer)
        if self.peers.only is not None:
            self.here(self.peers.only, connection)
        try:
            await connection.link.run()
        finally:
            for mn in [mn for mn, known in self._here.items() if known is connection]:
                del self._here[mn]
            self.show.happened("disconnected", peer=connection.link.peer)
            connection.closed()

    async def _ask(self) -> None:
        while True:
            words = await self._typed.next()
            asked, words = (words[0][1:], words[1:]) if words[0].startswith(MN_MARK) else (None, words)
            if not words:
                continue
            mn, connection = await self._connected(asked)
            try:
                ended = await connection.request(mn, words[0], words[1:], self.show.lang)
            except (UsageError, ValueError, RuntimeError) as error:
                self.show.happened("mistyped", cn=words[0], why=str(error))
                continue
            outcome = say(f"hj212.outcome.{ended.outcome}", self.show.lang)
            self.show.happened(
                "ended", mn=mn, cn=words[0], qn=ended.qn, outcome=str(ended.outcome), code=ended.code, text=outcome
            )

    async def _connected(self, mn: str | None) -> tuple[str, _Connection]:
        """The connection of a station, of the one heard last where none is named; waits until there is one."""
        while True:
            found = next(reversed(self._here), None) if mn is None else mn
            if found in self._here:
                return str(found), self._here[str(found)]
            self.show.happened("waiting", mn=mn or "-")
            self._came.clear()
            await self._came.wait()
