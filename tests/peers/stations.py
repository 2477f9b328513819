"""A daemon as a process of its own, its file, its socket and its log."""

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from agent.store.segment import Record, Segment
from host.control import RequestError, ask
from protocols import record

Document = dict[str, Any]
WAIT_S = 20


def bare(station_id: str = "test-01") -> Document:
    """The blocks every station has, but for those `StationProcess` adds."""
    place = {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"}
    return {
        "station": {"id": station_id, "network": "n", "name_zh": "站", "name_en": "station", "position": place},
        "buses": {},
        "instruments": {},
    }


class StationProcess:
    """`document` is the configuration as it will be written; `line` are further words of the command."""

    def __init__(self, folder: Path, root: Path, document: Document, commit_ms: int = 10) -> None:
        self.folder, self.root, self.document = folder, root, document
        self.file = folder / "station.hjson"
        self.socket = str(folder / "agent.sock")
        self.environment: dict[str, str] = {}
        self.line: list[str] = []
        key = folder / "key"
        key.write_bytes(base64.b64encode(bytes(range(32))))
        key.chmod(0o600)
        document["ledger"] = {"key": {"file": str(key)}}
        store = {"path": str(folder / "store"), "commit_ms": commit_ms, "quota_GB": 1000, "space": {"ballast_MB": 1}}
        document["store"] = store
        document["socket"] = self.socket
        self.process: asyncio.subprocess.Process | None = None

    def write(self) -> None:
        self.file.write_text(json.dumps(self.document))

    async def start(self) -> asyncio.subprocess.Process:
        self.write()
        self.process = await self.program("run", str(self.file), *self.line, stdout=None)
        return self.process

    async def program(self, *words: str, **how: Any) -> asyncio.subprocess.Process:
        """`plumeline` with these words, in English."""
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "--lang", "en", *words,
            cwd=self.root, env={**os.environ, **self.environment}, **{**pipes, **how},
        )  # fmt: skip

    async def said(self, *words: str, code: int = 0) -> str:
        """What `plumeline` says to these words."""
        made = await self.program(*words)
        out, wrong = await made.communicate()
        assert made.returncode == code, (out, wrong)
        return (out or wrong).decode()

    async def command(self, *words: str, code: int = 0) -> str:
        """What `plumeline` says to these words, asked over the socket."""
        return await self.said(*words, "--socket", self.socket, code=code)

    async def end(self) -> tuple[int, str]:
        """SIGTERM; exit code and what it said."""
        assert self.process
        self.process.terminate()
        return await self.ended()

    async def ended(self) -> tuple[int, str]:
        assert self.process
        async with asyncio.timeout(WAIT_S):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()

    async def put_away(self) -> None:
        """Whatever the test left running."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()

    async def asked(self, what: str, **members: Any) -> Document:
        """The one answer to a request."""
        async for answer in ask(self.socket, {"do": what, **members}):
            return answer
        raise AssertionError("no answer")

    async def status(self) -> Document:
        return await self.asked("status")

    async def until(self, condition: Callable[[Document], object]) -> Document:
        """Wait until the daemon's status is as wanted."""
        async with asyncio.timeout(WAIT_S):
            while True:
                with contextlib.suppress(RequestError):
                    if condition(status := await self.status()):
                        return status
                assert self.process
                assert self.process.returncode is None, await self.ended()
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The daemon for as long as the block lasts; it must end well."""
        await self.start()
        try:
            yield
        finally:
            code, said = await self.end()
        assert code == 0, said

    def rows(self, *kinds: str) -> list[Record]:
        """All records, after the end. Each must carry the next number of the one epoch."""
        rows: list[Record] = []
        for path in sorted((self.folder / "store" / "segments").glob("log-*.db")):
            segment = Segment(path)
            while found := segment.read(rows[-1].seq if rows else -1, record.KINDS, 500, None):
                rows += found
            segment.close()
        assert [(row.epoch, row.seq) for row in rows] == [(1, seq) for seq in range(len(rows))]
        return [row for row in rows if not kinds or row.kind in kinds]


def of(kind: str, rows: list[Record]) -> list[Document]:
    """Members of the records of a kind."""
    return [row.fields for row in rows if row.kind == kind]
