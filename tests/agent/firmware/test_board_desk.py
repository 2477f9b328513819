"""Boards on a real line, asked by a station: found, set, lost frames fetched, firmware updated in frames."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.config import Config
from agent.firmware.boards import BoardDesk
from agent.firmware.links import FrameLink
from agent.firmware.walk import walk
from agent.wires.bus import asked_buses
from agent.wires.sources import sources
from firmware_bridge.image import read_image
from firmware_bridge.update import Outcome, update
from host.clock import RealClock
from host.control import RequestError
from metrology.reading import Scan
from simulation.board_desk import Gateway
from simulation.boards import Board
from simulation.faults import Faults
from simulation.sensor_error import sensor_error
from simulation.smp import ManagedBoard

Signer = Callable[..., tuple[bytes, bytes]]


class Line:
    """A serial line with three boards, the third of which nobody configured; frames of the second may be eaten."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.device, self._slave = os.ttyname(slave), slave
        self.gateway, self.eaten = Gateway(), 0
        self.clock = RealClock()
        start = self.clock.now()
        self.boards = [
            Board(number, self, lambda *_, **__: None, sensor_error(1, f"b{number}"),  # type: ignore[arg-type]
                  np.random.default_rng(number), Faults(1, start), start)
            for number in (1, 2, 9)
        ]  # fmt: skip
        for board in self.boards:
            board._faults.bad_crc_share = 0.0
        self.gateway.boards.extend(self.boards)
        asyncio.get_running_loop().add_reader(self.master, self._heard)
        self.scans: list[Scan] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        board = {"driver": "micro_board", "bus": "air", "kind": "research", "rule": "ghg",
                 "options": {"ask_again": 50}}  # fmt: skip
        self.config = Config.model_validate({
            "station": {"id": "field", "network": "n", "name_zh": "场", "name_en": "field",
                        "position": {"latitude": 31, "longitude": 121, "height_m": 3, "datum": "WGS-84"}},
            "store": {"path": str(folder)}, "ledger": {"key": {"file": str(folder / "key")}},
            "buses": {"air": {"wire": {"kind": "serial", "device": self.device}, "protocol": "stream"}},
            "instruments": {"one": {**board, "unit": 1}, "two": {**board, "unit": 2}, "gone": {**board, "unit": 5}},
            "socket": str(folder / "socket"),
        })  # fmt: skip
        made = sources(self.config, asked_buses(self.config, self.clock, self.event), self._take, self.clock,
                       self.event)  # fmt: skip
        self.line = made.lines["air"]
        self.desk = BoardDesk(made.lines, self.clock, self.event)
        self.task = asyncio.create_task(made.streams["air"].run())

    async def _take(self, scan: Scan) -> None:
        self.scans.append(scan)

    def event(self, what: str, detail: Any) -> None:
        self.events.append((what, dict(detail)))

    def _heard(self) -> None:
        if answer := self.gateway.hear(os.read(self.master, 4096)):
            os.write(self.master, answer)

    def send(self, data: bytes) -> bool:
        if self.eaten:
            self.eaten -= 1
            return False
        os.write(self.master, data)
        return True

    def push(self, number: int) -> None:
        """Have a board send its next frame."""
        board = next(one for one in self.boards if one.number == number)
        board._push(self.clock.now(), 2.0, 20.0)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
async def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setattr("agent.firmware.boards.ANSWER_WALL_S", 0.3)
    monkeypatch.setattr("agent.firmware.boards.SLOT_MS", 5)
    one = Line(tmp_path)
    yield one
    await one.end()


def sequences(line: Line, instrument: str) -> list[Any]:
    return [scan.status["sequence"] for scan in line.scans if scan.instrument == instrument]


async def first_frames(line: Line) -> None:
    """Frames until the station has the line open."""
    async with asyncio.timeout(5):
        while not sequences(line, "two"):
            line.push(2)
            await asyncio.sleep(0.02)


async def test_frames_lost_on_the_line_come_from_the_memory(line: Line) -> None:
    await first_frames(line)
    await line.until(lambda: sequences(line, "two")[-1] == line.boards[1].sequence - 1)
    first = line.boards[1].sequence
    line.eaten = 5
    for _ in range(6):
        line.push(2)
    await line.until(lambda: set(range(first, first + 6)) <= set(sequences(line, "two")))
    assert (line.line.boards.lost[2], line.line.boards.recovered[2]) == (5, 5)
    kept = [scan for scan in line.scans if scan.status.get("kept")]
    assert len(kept) == 5
    assert all(reading.value is not None for scan in kept for reading in scan.readings)


async def test_boards_are_found_known_or_not_and_the_missing_are_named(line: Line) -> None:
    await first_frames(line)
    answer = await line.desk.find(1, 20, "ann")
    assert [(row["id"], row["board"]) for row in answer["boards"]] == [(1, "one"), (2, "two"), (9, None)]
    assert {row["version"] for row in answer["boards"]} == {"1.0.3"}
    assert answer["boards"][0]["health"]["battery_mV"] == 3900
    assert answer["missing"] == ["gone"]
    found = {"who": "ann", "found": 3, "missing": ["gone"], "unknown": ["air/9"]}
    assert line.events[-1] == ("boards-found", found)
    with pytest.raises(RequestError, match="ids"):
        await line.desk.find(5, 1, "ann")


async def test_clocks_are_set_and_what_does_not_answer_is_told(line: Line) -> None:
    await first_frames(line)
    answer = await line.desk.set_time("one,gone", "ann")
    assert abs(answer["offsets_s"]["one"]) < 1
    assert answer["offsets_s"]["gone"] is None
    assert [what for what, _ in line.events] == ["board-time-set", "board-time-set"]


async def test_a_setting_is_written_read_back_and_recorded(line: Line) -> None:
    await first_frames(line)
    answer = await line.desk.setting("one", "interval_s", "60", "ann")
    assert (answer["former"], answer["value"]) == ("30", "60")
    with pytest.raises(RequestError, match="is 10 now, not 5"):
        await line.desk.setting("one", "interval_s", "5", "ann")
    assert (await line.desk.setting("one", "interval_s", None, "ann"))["value"] == "10"
    assert [(d["former"], d["wanted"], d["value"]) for _, d in line.events] == [("30", "60", "60"), ("60", "5", "10")]
    for board, name, told in (("one", "no", "unknown"), ("gone", "gain", "answer"), ("x", "gain", "no board"),
                              ("one", "n" * 40, "name")):  # fmt: skip
        with pytest.raises((RequestError, ValueError), match=told):
            await line.desk.setting(board, name, "1", "ann")


async def test_firmware_goes_in_frames_among_the_readings_of_others(
    line: Line, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware_bridge.update.RESET_PAUSE_S", 0.05)
    await first_frames(line)
    managed = ManagedBoard(line.clock, signer("1.0.0")[0], 512, 0.02)
    line.boards[0].management = managed.answer
    image = read_image(signer("1.1.0")[0])
    link = FrameLink(line.line, 1)

    async def watched() -> bool:
        line.push(2)
        return True

    outcome = await walk(update(image, link.message_bytes_max), link, line.clock, watched, lambda step: line.push(2))
    assert outcome == Outcome("updated")
    assert managed.version == "1.1.0"
    await line.until(lambda: len(sequences(line, "two")) == len(set(sequences(line, "two"))) >= 10)
