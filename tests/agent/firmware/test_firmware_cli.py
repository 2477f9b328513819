"""The commands as a person types them, against a whole daemon: boards on a serial line, and one of them on UDP."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.__main__ import main
from agent.config import Config
from agent.daemon import Daemon
from host.clock import RealClock
from simulation.board_desk import Gateway
from simulation.boards import Board
from simulation.faults import Faults
from simulation.sensor_error import sensor_error
from simulation.smp import ManagedBoard
from simulation.smp_wires import serve_udp

Signer = Callable[..., tuple[bytes, bytes]]


def test_a_daemon_loads_no_codec_before_it_is_asked() -> None:
    code = "import sys, agent.daemon, agent.cli.firmware; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "agent" in loaded
    assert loaded & {"smp", "cbor2", "crcmod", "smpclient", "imgtool"} == set()


class Station:
    """A daemon whose boards 1 and 2 speak on one line; the firmware of board 1 is reached by UDP, of 2 by the line."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder, self.clock, self.socket = folder, RealClock(), str(folder / "socket")
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        (old, key), (new, _) = signer("1.0.0"), signer("1.1.0")
        (folder / "firmware.pem").write_bytes(key)
        (folder / "new.bin").write_bytes(new)
        (folder / "key").write_bytes(base64.b64encode(bytes(range(32))))
        (folder / "key").chmod(0o600)
        self.gateway, self.muted = Gateway(), False
        start = self.clock.now()
        faults = Faults(1, start)
        faults.bad_crc_share = 0.0
        self.managed = [ManagedBoard(self.clock, old, 512, 0.02) for _ in range(2)]
        self.boards = [
            Board(number, self, lambda *_, **__: None, sensor_error(1, f"b{number}"),  # type: ignore[arg-type]
                  np.random.default_rng(number), faults, start)
            for number in (1, 2)
        ]  # fmt: skip
        self.boards[1].management = self.managed[1].answer
        self.gateway.boards.extend(self.boards)
        asyncio.get_running_loop().add_reader(self.master, self._heard)

    def _heard(self) -> None:
        if answer := self.gateway.hear(os.read(self.master, 4096)):
            os.write(self.master, answer)

    def send(self, data: bytes) -> bool:
        if not self.muted:
            os.write(self.master, data)
        return not self.muted

    async def begin(self) -> None:
        port, self.udp = await serve_udp(self.managed[0])
        board = {"driver": "micro_board", "bus": "air", "kind": "research", "rule": "ghg",
                 "options": {"ask_again": 1000}}  # fmt: skip
        document = {
            "station": {"id": "field", "network": "n", "name_zh": "场", "name_en": "field",
                        "position": {"latitude": 31, "longitude": 121, "height_m": 3, "datum": "WGS-84"}},
            "store": {"path": str(self.folder / "store"), "commit_ms": 5},
            "ledger": {"key": {"file": str(self.folder / "key")}},
            "buses": {"air": {"wire": {"kind": "serial", "device": os.ttyname(self._slave)}, "protocol": "stream"}},
            "instruments": {"one": {**board, "unit": 1}, "two": {**board, "unit": 2}},
            "firmware": {"key": str(self.folder / "firmware.pem"), "watch_s": 0.3, "readings_min": 2,
                         "links": {"one": {"kind": "udp", "host": "127.0.0.1", "port": port}}},
            "socket": self.socket,
        }  # fmt: skip
        path = self.folder / "station.hjson"
        path.write_text(json.dumps(document))
        self.daemon = Daemon(Config.model_validate(document), self.clock, path)
        self.tasks = [asyncio.create_task(part()) for part in (self.daemon.run, self._measure)]
        async with asyncio.timeout(10):
            while not (self.daemon.live.latest and Path(self.socket).exists()):
                await asyncio.sleep(0.01)

    async def _measure(self) -> None:
        while True:
            for board in self.boards:
                board._push(self.clock.now(), 2.0, 20.0)
            await asyncio.sleep(0.03)

    async def typed(self, *words: str) -> int:
        return await asyncio.to_thread(main, [*words, "--socket", self.socket])

    async def events(self) -> list[dict[str, Any]]:
        return [row.fields for row in await self.daemon.log.read(-1, kinds=frozenset({"event"}), limit=500)]

    async def sequences(self, instrument: str) -> set[Any]:
        """Numbers of all frames in the log."""
        found, after = set(), -1
        while rows := await self.daemon.log.read(after, kinds=frozenset({"scan"}), limit=500):
            after = rows[-1].seq
            found |= {row.fields["status"].get("sequence") for row in rows if row.fields["instrument"] == instrument}
        return found - {None}

    async def stop(self) -> None:
        self.daemon.stop()
        await asyncio.wait_for(self.tasks[0], 10)
        self.tasks[1].cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.udp.close()

    async def end(self) -> None:
        await self.stop()
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self._slave)


async def test_boards_are_listed_updated_and_set_from_the_command_line(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("firmware_bridge.update.RESET_PAUSE_S", 0.05)
    station = Station(tmp_path, signer)
    await station.begin()
    try:
        assert await station.typed("--lang", "en", "firmware", "list") == 0
        assert capsys.readouterr().out.count("1.0.0") == 2
        image = str(tmp_path / "new.bin")
        assert await station.typed("--lang", "zh", "firmware", "update", image, "--boards", "all", "--who", "ann") == 0
        assert "2 块板中 2 块完成" in capsys.readouterr().out
        assert [(board.version, board.confirmed) for board in station.managed] == [("1.1.0", True)] * 2
        assert await station.typed("firmware", "update", image, "--boards", "nobody") == 1
        assert "not managed" in capsys.readouterr().err
        assert await station.typed("firmware", "stop") == 1
        capsys.readouterr()
        assert await station.typed("--lang", "en", "board", "find", "--last", "4") == 0
        assert "two" in capsys.readouterr().out
        assert await station.typed("board", "time", "--boards", "all", "--who", "ann") == 0
        assert await station.typed("board", "set", "two", "gain", "3", "--json", "--who", "ann") == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["value"] == "3"
        assert await station.typed("board", "set", "two", "nothing") == 1
        records = await station.events()
        ended = [row for row in records if row["what"] == "board-updated"]
        assert [(row["board"], row["result"], row["who"]) for row in ended] == [
            ("one", "updated", "ann"), ("two", "updated", "ann")]  # fmt: skip
        whats = {row["what"] for row in records}
        assert whats >= {"firmware-batch-started", "firmware-batch-ended", "boards-found", "board-time-set"}
        assert [row["value"] for row in records if row["what"] == "board-setting"] == ["3"]
    finally:
        await station.end()


async def test_what_boards_measured_while_the_daemon_was_off_is_fetched(tmp_path: Path, signer: Signer) -> None:
    station = Station(tmp_path, signer)
    await station.begin()
    try:
        async with asyncio.timeout(10):
            while not (before := await station.sequences("two")):
                await asyncio.sleep(0.02)
        await station.stop()
        station.muted = True
        for _ in range(40):
            station.boards[1]._push(station.clock.now(), 2.0, 20.0)
        station.muted = False
        through = station.boards[1].sequence
        await station.begin()
        async with asyncio.timeout(10):
            while not set(range(min(before), through)) <= await station.sequences("two"):
                await asyncio.sleep(0.05)
    finally:
        await station.end()
