"""`plumeline hj212 platform` and `station` hold every dialogue of 2025, over a wire that breaks in each."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.hj212 import Edition
from protocols.hj212.commands import commands

MN = "0100B1F2A00002A00000007B"
NEW_MN = "0100B1F2A00002A00000007C"
DEADLINE_S = 30
TIMES = "BeginTime=20250101000000 EndTime=20250101000200"
CODE = "PolId=a05001"
# What the platform asks, in this order; the last ones change who the station is.
REQUESTS = {
    "1000": "OverTime=20 ReCount=2", "1011": "", "1012": "SystemTime=20250101000000", "1061": "",
    "1062": "RtdInterval=60", "1063": "", "1064": "MinInterval=1", "2011": "", "2012": "", "2013": TIMES, "2021": "",
    "2022": "", "2031": TIMES, "2041": TIMES, "2051": TIMES, "2052": TIMES, "2061": TIMES, "2062": TIMES,
    "3011": f"{CODE} CalibrationType=1", "3012": CODE, "3013": CODE, "3018": CODE, "3019": CODE,
    "3020": f"{CODE} InfoId=i12001", "3021": "InfoId=i13013 i13013-Info=5", "3022": CODE, "3024": CODE,
    "1072": "NewPW=654321", "1002": f"MN={NEW_MN}", "1014": "SKCreateTime=20250101000000 NewSK=ABCDEFGHIJKLMNOP",
}  # fmt: skip
# What the station tells by itself.
NOTICES = {"1001": "", "1013": CODE, "1014": "SKCreateTime=20250101000000", "9015": ""}
UPLOADS = (
    "2011",
    "2013",
    "2021",
    "2031",
    "2041",
    "2051",
    "2052",
    "2061",
    "2062",
    "2081",
    "2111",
    "3015",
    "3019",
    "3020",
)
# What a station with a key encrypts, of all that has a DataTime.
SECRET = {"3020", *(cn for cn in UPLOADS if cn < "3000")}
# Layouts that other kinds of stations have: those of noise, electricity and production.
OTHER_STATIONS = {
    "23": (("2011", "2031", "2051"), {}),
    "44": (("2011",), {"2011": TIMES}),
    "45": (("2011",), {}),
}


def test_the_catalogue_is_whole() -> None:
    table = commands(Edition.HJ2025)
    begun = {
        (cn, way): row.dialogue for (cn, way), row in table.items() if row.dialogue in ("request", "notice", "upload")
    }
    held = {(cn, "to_station") for cn in REQUESTS} | {(cn, "to_platform") for cn in (*NOTICES, *UPLOADS)}
    assert held == set(begun)
    assert {cn for cn, way in begun if begun[cn, way] == "upload"} == set(UPLOADS)


class Wire:
    """A line between station and platform that breaks in the middle of a frame, after so many whole ones."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.port = 0
        self.readable: set[str] = set()
        self._there = 0

    @contextlib.asynccontextmanager
    async def open(self, there: int) -> AsyncIterator[None]:
        self._there = there
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._there)
        ways = [
            asyncio.ensure_future(self._pass(one, other))
            for one, other in ((reader, there_writer), (there_reader, writer))
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way, end in zip(ways, (writer, there_writer), strict=True):
            way.cancel()
            end.close()
        for end in (writer, there_writer):
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(6)
                frame = head + await reader.readexactly(int(head[2:]) + 6)
                if b"DataTime=" in frame:
                    self.readable.add(frame.partition(b"CN=")[2][:4].decode())
                if self.left == 0:
                    self.left = None
                    writer.write(frame[: len(frame) // 2])
                    await writer.drain()
                    return
                if self.left is not None:
                    self.left -= 1
                writer.write(frame)


class Program:
    """One of the two commands in a process of its own, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said = asyncio.Condition()
        self._listening = asyncio.ensure_future(self._listen())
        self._at = 0
        self.events: list[dict[str, Any]] = []

    async def _listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            async with self._said:
                self.events.append(json.loads(line))
                self._said.notify_all()

    async def next(self, what: str, **wanted: Any) -> dict[str, Any]:
        """The first event of that kind after the last one that was waited for."""

        def found() -> Iterator[int]:
            return (
                at
                for at in range(self._at, len(self.events))
                if self.events[at]["event"] == what and wanted.items() <= self.events[at].items()
            )

        async with self._said, asyncio.timeout(DEADLINE_S):
            await self._said.wait_for(lambda: any(True for _ in found()))
            at = next(found())
        self._at = at + 1
        return self.events[at]

    def type(self, *words: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(" ".join(words).encode() + b"\n")

    async def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        await self._listening
        return await self._process.wait()


@contextlib.asynccontextmanager
async def program(*line: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "hj212", *line, "--json", limit=1 << 20,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={**os.environ, "LANG": "C.UTF-8"},
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Line:
    """Both programs with the wire between them."""

    def __init__(self, platform: Program, station: Program, wire: Wire) -> None:
        self.platform, self.station, self.wire = platform, station, wire

    async def recovered(self) -> None:
        """The station has come back and speaks again."""
        await self.station.next("connected")
        self.station.type("9015")
        await self.station.next("delivered", cn="9015")

    async def ask(self, cn: str, words: str, cut: int | None) -> str:
        """A request, the wire cut after so many frames of it; gives the outcome the platform tells."""
        self.wire.left = cut
        self.platform.type(cn, words)
        ended = await self.platform.next("ended", cn=cn)
        if self.wire.left is None and cut is not None:
            await self.recovered()
        self.wire.left = None
        return str(ended["outcome"])

    async def tell(self, cn: str, words: str, cut: int | None) -> None:
        """An upload or notice, the wire cut after so many frames; it arrives all the same."""
        self.wire.left = cut
        self.station.type(cn, words)
        if cut is not None:
            await self.station.next("connected")
        await self.station.next("delivered", cn=cn, resent=cut is not None)


@contextlib.asynccontextmanager
async def line(folder: Path, key: list[str], st: str) -> AsyncIterator[Line]:
    secret, wire = folder / "pw", Wire()
    secret.write_text("123456")
    secret.chmod(0o600)
    who = ["--mn", MN, "--st", st, "--pw-file", str(secret), "--edition", "2025", "--overtime", "20", *key]
    async with program("platform", "--port", "0", "--out", str(folder / "out"), *who) as platform:
        there = (await platform.next("listening"))["port"]
        more = ["--interval", "0", "--retry", "0.02", "--allow", "all"]
        async with wire.open(there), program("station", "--port", str(wire.port), *who, *more) as station:
            await station.next("delivered", cn="2081")
            yield Line(platform, station, wire)
            assert await station.stop() == 0
        assert await platform.stop() == 0
    said = Counter(event["event"] for event in platform.events + station.events)
    assert set(said) & {"mistyped", "rejected", "unexpected", "given-up", "dropped"} == set(), said


async def hold(
    held: Line, uploads: tuple[str, ...], notices: dict[str, str], requests: dict[str, str]
) -> dict[str, int]:
    """Every dialogue, cut in several places and then whole; gives how often each upload was told."""
    told = dict.fromkeys(uploads, 0)
    for cn in uploads:
        for cut in (0, 1, None):
            await held.tell(cn, f"DataTime=2025010100000{told[cn]}", cut)
            told[cn] += 1
    for cn, words in notices.items():
        for cut in (0, 1, None):
            await held.tell(cn, words, cut)
    for cn, words in requests.items():
        for cut in (0, 1, 2, 3):
            assert await held.ask(cn, words, cut) in ("lost", "done"), (cn, cut)
        assert await held.ask(cn, words, None) == "done", cn
    return told


@pytest.mark.parametrize("key", [[], ["--key", "0123456789abcdef0123456789abcdef"]], ids=["plain", "encrypted"])
async def test_every_dialogue_of_2025_survives_a_cut_wire(tmp_path: Path, key: list[str]) -> None:
    async with line(tmp_path, key, "31") as held:
        told = await hold(held, UPLOADS, NOTICES, REQUESTS)
        lost = Counter(event["cn"] for event in held.platform.events if event.get("outcome") == "lost")
    assert set(lost) == set(REQUESTS)
    assert SECRET & held.wire.readable == (set() if key else SECRET)
    check_store(tmp_path / "out", told)


@pytest.mark.parametrize("st", sorted(OTHER_STATIONS))
async def test_so_do_those_of_other_kinds_of_stations(tmp_path: Path, st: str) -> None:
    uploads, requests = OTHER_STATIONS[st]
    async with line(tmp_path, [], st) as held:
        told = await hold(held, uploads, {}, requests)
    check_store(tmp_path / "out", told)


def check_store(out: Path, told: dict[str, int]) -> None:
    """Everything told is there, once, and nothing twice."""
    rows = [json.loads(row) for row in out.read_text(encoding="utf-8").splitlines()]
    content = [json.dumps([row[name] for name in ("mn", "cn", "pno", "cp")]) for row in rows]
    assert [text for text, times in Counter(content).items() if times > 1] == []
    times = {(row["cn"], dict(pair for item in row["cp"] for pair in item).get("DataTime")) for row in rows}
    wanted = {(cn, f"2025010100000{number}") for cn, count in told.items() for number in range(count)}
    assert wanted - times == set()
