"""Looking back: the running daemon and the files of a stopped one tell the same, which is what was written."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.history.daemon import DaemonSource, handlers
from agent.history.files import FileSource
from agent.store.index import Index
from agent.store.log import Log
from host.clock import ManualClock
from host.control import Control, RequestError, ask_now
from host.history import History
from protocols.tlog import signer_from_seed

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = 3


class Station:
    """A log of some days with its index, a record of each sort every ten minutes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(BEGIN)
        signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
        self.index: Index | None = None
        self.log = Log(
            folder / "segments", self.clock, station_id="test-01", signer=signer, commit_s=0,
            on_commit=lambda rows: self.index.add(rows) if self.index else None,
        )  # fmt: skip
        self.index = Index(folder / "station.db", folder / "segments", self.log.files)
        self.task = asyncio.create_task(self.log.run())

    async def write(self) -> None:
        for step in range(DAYS * 24 * 6):
            now = BEGIN + timedelta(minutes=10 * step)
            at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            await self.log.append(
                "scan", {"instrument": "a" if step % 2 else "b", "at": at, "values": {}, "step": step}
            )
            await self.log.append("average", {"start": at, "end": at, "period_s": 600, "rows": {}, "step": step})
            what = {"what": "drift" if step % 3 else "target", "step": step}
            await self.log.append("calibration", what)
            if step % 50 == 49:
                await self.log.post_checkpoint()
            await self.clock.advance(600)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.index
        self.index.close()


def told(history: History) -> dict[str, Any]:
    """Everything that can be asked, over spans that cross days and pages."""
    since, until = BEGIN + timedelta(hours=2), BEGIN + timedelta(hours=60)
    config = history.newest("calibration", until, ("target",))
    assert config is not None
    return {
        "averages": [row["step"] for row in history.averages(600, since, until)],
        "drift": [row["step"] for row in history.told("calibration", since, until, ("drift",))],
        "all": [row["step"] for row in history.told("calibration", since, until)],
        "scans": [row["step"] for row in history.scans(("a",), since, until)],
        "newest": config["step"],
        "record": history.record(1, 3, frozenset({"scan", "average"})),
        "checkpoint": [row and row["size"] for row in (history.checkpoint_over(1, seq) for seq in (0, 200, 10**6))],
        "epochs": history.averages(60, since, until) and list(history.written(("checkpoint",), since, until)),
    }


async def test_the_running_daemon_and_its_files_tell_the_same(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    station = Station(tmp_path)
    await station.write()
    path = tmp_path / "sock"
    control = asyncio.create_task(Control(path, handlers(station)).run())
    await eventually(path.exists)
    asked = await asyncio.to_thread(lambda: told(History(DaemonSource(str(path)))))
    control.cancel()
    await asyncio.wait([control])
    await station.stop()

    steps = list(range(12, 60 * 6))
    assert asked["averages"] == asked["all"] == steps
    assert asked["drift"] == [step for step in steps if step % 3]
    assert asked["scans"] == [step for step in steps if step % 2]
    assert asked["newest"] == 357
    assert asked["record"]["kind"] == "scan"
    assert asked["checkpoint"][0] < asked["checkpoint"][1]
    assert asked["checkpoint"][2] is None
    assert told(History(FileSource(tmp_path))) == asked

    (tmp_path / "station.db").unlink()
    for part in tmp_path.glob("station.db-*"):
        part.unlink()
    assert told(History(FileSource(tmp_path))) == asked


async def test_a_request_out_of_shape_is_told_why(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    station = Station(tmp_path)
    path = tmp_path / "sock"
    control = asyncio.create_task(Control(path, handlers(station)).run())
    await eventually(path.exists)
    wrong: list[dict[str, Any]] = [
        {"do": "history-numbered", "epoch": 1, "after": -1, "kinds": [], "limit": 10_000},
        {"do": "history-indexed", "kind": "event"},
        {"do": "history-seq-at", "epoch": "one", "at": "2026"},
    ]
    for request in wrong:
        with pytest.raises(RequestError, match=r"limit|what|epoch"):
            await asyncio.to_thread(_first, str(path), request)
    control.cancel()
    await asyncio.wait([control])
    await station.stop()


def test_no_log_is_said(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    with pytest.raises(LookupError, match="no log"):
        FileSource(tmp_path)
    with pytest.raises(RequestError, match="no daemon"):
        DaemonSource(str(tmp_path / "nobody")).epochs()


def _first(path: str, request: dict[str, Any]) -> None:
    next(ask_now(path, request))
