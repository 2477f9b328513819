"""`plumeline verify` asks a running daemon, page by page, with the key that it tells."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.history.daemon import handlers
from agent.store.index import Index
from host.control import Control


class Running:
    """What of a daemon is asked."""

    def __init__(self, log: Any, folder: Path) -> None:
        self.log = log
        self.index: Index | None = Index(folder / "station.db", folder / "segments", log.files)


async def test_a_running_station_is_walked(
    tmp_path: Path, station: Any, capsys: pytest.CaptureFixture[str], keys: tuple[str, str]
) -> None:
    made = station(tmp_path / "segments")
    await made.run(40)
    again = station(made.folder, minute=40)
    socket = tmp_path / "agent.sock"
    tasks = [
        asyncio.create_task(again.log.run()),
        asyncio.create_task(Control(socket, handlers(Running(again.log, tmp_path))).run()),
    ]
    async with asyncio.timeout(10):
        while not socket.exists():
            await asyncio.sleep(0.01)
    line = ["verify", "--socket", str(socket), "--witness-vkey", keys[1], "--json"]
    assert await asyncio.to_thread(main, line) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["findings"], found["counts"]["records"], found["key"]) == ([], 138, "own")
    assert await asyncio.to_thread(main, ["verify", str(made.folder)]) == 2
    assert "in use" in capsys.readouterr().err
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
