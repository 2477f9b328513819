"""Requests on a station's socket, as its page and command line send them, to a whole daemon that is not polling.

What must hold: each request is answered, or refused with a message, by no other exception; answers are JSON; what was
refused leaves no record but that of the act; the daemon's log goes on.
"""

import asyncio
import base64
import json
import os
import random
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from api_members import BROKE, FOLDER, ITS, MEMBERS
from json_tree import damaged, spoiled
from must import need
from seldom import Seldom

from agent.config import Config
from agent.daemon import Daemon
from agent.people import REQUESTS, gate
from agent.requests import handlers
from host.clock import ManualClock
from host.control import PERSON, Peer, RequestError, _parsed
from host.hjson import load
from metrology.reading import Reading, Scan
from protocols.record import scan_fields

ROOT: Final = Path(__file__).resolve().parent.parent.parent
# They look at other programs' lines.
LEFT_OUT: Final = frozenset({"scan", "board-time", "board-setting", "firmware-update", "board-find"})
# They copy the whole log, or wait for what never comes here: one in so many is made, chosen by its check sum.
DEAR: Final = frozenset({"backup", "watch", "read", "calibrate-start"})
ONE_IN: Final = 32
# As many of all come from another user than the service's own.
OTHERS_IN: Final = 16
ANSWERS_MAX: Final = 20
ANSWER_WALL_S: Final = 0.02
TEXT_MAX: Final = 20_000
WORDS: Final = (b'"do":"', b'"who":"li"', b'"name":"', b'"reason":"', b"2026-05-01", b"null", b"1e400", b"\\ud800")
DAYS: Final = 2


def _emptied() -> None:
    """A new folder with the secrets the examples name."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in ("station-key", "new-key"):
        (FOLDER / name).write_bytes(base64.b64encode(name.encode().ljust(32)))
        (FOLDER / name).chmod(0o600)
    os.environ["CREDENTIALS_DIRECTORY"] = str(FOLDER)


class Inline(ThreadPoolExecutor):
    """Runs at once: a request then costs no change of threads, which is most of its time."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits
            future.set_exception(error)
        return future


class Station:
    """A daemon in memory by one of the examples, its log running."""

    def __init__(self, example: str, loop: asyncio.AbstractEventLoop) -> None:
        self._example = example
        self.daemon = loop.run_until_complete(self._begin())
        self.handlers = {name: one for name, one in handlers(self.daemon).items() if name not in LEFT_OUT}
        self.gate = gate(self.daemon)
        self.root = loop.run_until_complete(self._days())

    async def _begin(self) -> Daemon:
        document = load(ROOT / "config" / f"{self._example}.hjson", Config).model_dump(mode="json", exclude_none=True)
        document["uplinks"] = {}
        document["store"] = {"path": str(FOLDER / self._example), "commit_ms": 0}
        document["socket"] = str(FOLDER / f"{self._example}.socket")
        document.pop("page", None)
        path = FOLDER / f"{self._example}.hjson"
        path.write_text(json.dumps(document, ensure_ascii=False))
        begin = datetime(2026, 5, 1, 8, tzinfo=UTC) - timedelta(days=DAYS)
        daemon = Daemon(load(path, Config), ManualClock(begin), path)
        daemon.log._executor = Inline()
        self._log = asyncio.create_task(daemon.log.run())
        await daemon._begin()
        return daemon

    async def _days(self) -> dict[str, Any]:
        """Closed days, each with a scan and a checkpoint; size and root of what proves the first."""
        log, clock = self.daemon.log, self.daemon.clock
        assert isinstance(clock, ManualClock)
        for _ in range(DAYS):
            at = clock.now()
            await log.append("scan", scan_fields(Scan("crds", at, (Reading("crds", "co2", 400.1, "umol/mol", at),))))
            await log.post_checkpoint()
            clock.step(86400)
            await log.append("event", {"what": "a new day", "origin": "fuzz"})
        days = await self.daemon.space.deletion.days.closed()
        root = await self.daemon.space.deletion.days.root(days[0])
        assert root is not None
        return {"size": root.checkpoint["size"], "root": root.checkpoint["root"]}

    async def end(self) -> None:
        """Stop the log."""
        self._log.cancel()
        await asyncio.wait({self._log})
        if self.daemon.index:
            self.daemon.index.close()

    async def ask(self, request: dict[str, Any], peer: Peer) -> None:
        """Everything `Control` does with a request, but for the socket."""
        name = request.get("do")
        if request.get("root") == ITS:
            request = {**request, **self.root}
        handler = self.handlers[str(name)]
        try:
            async with asyncio.timeout(ANSWER_WALL_S):
                await self.gate(str(name), request, peer)
                plain = {key: value for key, value in request.items() if key != PERSON}
                async with aclosing(handler(plain)) as answers:  # type: ignore[type-var]
                    count = 0
                    async for answer in answers:
                        json.dumps(answer, ensure_ascii=False)
                        count += 1
                        if count >= ANSWERS_MAX:
                            return
        except (RequestError, ValueError) as error:
            need(len(str(error)) < TEXT_MAX, "a refusal longer than can be read")
        except TimeoutError:
            return
        need(not self._log.done(), "the log has ended")


class Stations:
    """One with gases, one with boards, made at the first input."""

    def __init__(self) -> None:
        _emptied()
        self.loop = asyncio.SelectorEventLoop(Seldom())
        self.loop.set_default_executor(Inline())
        asyncio.set_event_loop(self.loop)
        self.gases, self.boards = (Station(example, self.loop) for example in ("tower", "field"))

    def end(self) -> None:
        """Stop the logs."""
        for station in (self.gases, self.boards):
            self.loop.run_until_complete(station.end())
        self.loop.close()

    def ask(self, request: dict[str, Any], peer: Peer) -> None:
        """Of the station that knows most of it."""
        name = request.get("do")
        if not isinstance(name, str):
            return
        station = self.boards if name.startswith(("board", "firmware")) else self.gases
        if name in station.handlers:
            self.loop.run_until_complete(station.ask(request, peer))


_made: list[Stations] = []


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer, a line on the socket."""
    if not _made:
        _made.append(Stations())
    try:
        request = _parsed(data)
    except (RequestError, ValueError):
        return
    name, number = request.get("do"), crc32(data)
    if isinstance(name, str) and (name not in DEAR or number % ONE_IN == 0):
        other = number // ONE_IN % OTHERS_IN == 0
        _made[0].ask(request, Peer(os.getuid() + other, os.getgid() + other))


def end() -> None:
    """Close what was made for all inputs."""
    while _made:
        _made.pop().end()


def _line(request: dict[str, Any]) -> bytes:
    return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def seeds() -> list[bytes]:
    """The first inputs of this target: every request, with all its members and with none."""
    known = sorted(REQUESTS.keys() - LEFT_OUT)
    return (
        [*map(_line, BROKE)]
        + [_line({"do": name, **MEMBERS.get(name, {})}) for name in known]
        + [_line({"do": name}) for name in known]
        # Of the dear ones some that are made.
        + [_line({"do": name, "name": "daily", "who": f"li {n}"}) for name in sorted(DEAR) for n in range(2 * ONE_IN)]
        + [_line({"do": "act", **MEMBERS["act"], "n": n}) for n in range(OTHERS_IN)]
        + [_line({"do": "maintenance", **MEMBERS["maintenance"], PERSON: {"account": "li", "role": "qa"}})]
    )


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage members; the request stays one that is known."""
    rng = random.Random(seed)
    try:
        request = json.loads(data)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        request = {"do": "status"}
    name = request.get("do")
    made = damaged({key: value for key, value in request.items() if key != "do"} or {"who": "li"}, rng)
    if not rng.randrange(8) or not isinstance(name, str) or name not in REQUESTS:
        name = rng.choice(sorted(REQUESTS.keys() - LEFT_OUT))
    if not isinstance(made, dict):
        made = {}
    return spoiled(_line({"do": name, **made}), rng)[:room]
