"""Firmware over real wires: UDP and serial consoles, batches of boards, what is recorded, and an independent client."""

import asyncio
import base64
import os
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from smpclient import SMPClient
from smpclient.generics import success
from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import DateTimeRead, DateTimeWrite, EchoWrite, ResetWrite
from smpclient.transport.udp import SMPUDPTransport

from agent.config import Config
from agent.config_firmware import SerialBoard, UdpBoard
from agent.firmware.desk import FirmwareDesk
from agent.firmware.jobs import Jobs
from agent.firmware.links import WireLink
from agent.store.log import Log
from agent.values.averaging import Averager
from agent.values.intake import Intake
from agent.values.live import Live
from agent.values.series import ranges_of, series_of
from host.clock import RealClock
from host.control import RequestError
from metrology.reading import Reading, Scan
from protocols.tlog import signer_from_seed
from simulation.smp import ManagedBoard, Trouble
from simulation.smp_wires import Console, serve_udp

Signer = Callable[..., tuple[bytes, bytes]]
OLD, NEW = "1.0.0", "1.1.0"
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/field")


class At(SMPUDPTransport):
    """The client's UDP, at a port of one's own."""

    def __init__(self, port: int) -> None:
        super().__init__(mtu=1000)
        self._port = port

    async def connect(self, address: str, timeout_s: float, port: int = 1337) -> None:
        await super().connect(address, timeout_s, self._port)


class Field:
    """A station with boards on UDP; each gives readings while its image is well."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder, self.clock = folder, RealClock()
        (self.old, key), (self.new, _) = signer(OLD), signer(NEW)
        (folder / "firmware.pem").write_bytes(key)
        (folder / "new.bin").write_bytes(self.new)
        self.boards: dict[str, ManagedBoard] = {}
        self.sick: set[str] = set()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ends: list[asyncio.DatagramTransport] = []
        self.links: dict[str, UdpBoard] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def board(self, name: str, trouble: Trouble | None = None) -> None:
        self.boards[name] = ManagedBoard(self.clock, self.old, 1024, 0.02, trouble)
        port, end = await serve_udp(self.boards[name])
        self.ends.append(end)
        self.links[name] = UdpBoard(kind="udp", host="127.0.0.1", port=port)

    def event(self, what: str, detail: Any) -> None:
        self.events.append((what, dict(detail)))

    def whats(self, board: str | None = None) -> list[str]:
        return [d.get("step", w) for w, d in self.events if board is None or d.get("board") == board]

    def config(self) -> Config:
        board = {"driver": "micro_board", "bus": "air", "kind": "research", "rule": "ghg", "series": {"ch4": {}}}
        return Config.model_validate({
            "station": {"id": "field", "network": "n", "name_zh": "场", "name_en": "field",
                        "position": {"latitude": 31, "longitude": 121, "height_m": 3, "datum": "WGS-84"}},
            "store": {"path": str(self.folder)},
            "ledger": {"key": {"file": str(self.folder / "key")}},
            "buses": {"air": {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": 1}, "protocol": "stream"}},
            "instruments": {name: {**board, "unit": unit} for unit, name in enumerate([*self.boards, "spare"])},
            "firmware": {"key": str(self.folder / "firmware.pem"), "links": self.links, "watch_s": 0.3,
                         "readings_min": 2},
            "socket": str(self.folder / "socket"),
        })  # fmt: skip

    def begin(self) -> FirmwareDesk:
        config = self.config()
        self.log = Log(self.folder / "segments", self.clock, station_id="field", signer=SIGNER, commit_s=0)
        self.intake = Intake(self.log, Live(), Averager(series_of(config), self.clock.now(), 0), ranges_of(config))
        jobs = Jobs(self.folder, self.event)
        self.tasks += [asyncio.create_task(part()) for part in (self.log.run, jobs.run, self._measure)]
        return FirmwareDesk(config, {}, self.intake, self.clock, self.event, jobs)

    async def _measure(self) -> None:
        while True:
            for name, board in self.boards.items():
                # Only what runs a new image is watched: the others' readings would change nothing.
                if board.version == NEW and not board.confirmed and name not in self.sick:
                    at = self.clock.now()
                    reading = Reading(name, "ch4", 2.0, "umol/mol", at)
                    await self.intake.take(Scan(name, at, (reading,), {"boot": board.starts}))
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for end in self.ends:
            end.close()
        await asyncio.sleep(0)


@pytest.fixture
async def field(tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Field]:
    monkeypatch.setattr("firmware_bridge.update.RESET_PAUSE_S", 0.05)
    monkeypatch.setattr("firmware_bridge.update.ANSWER_S", 0.3)
    monkeypatch.setattr("firmware_bridge.update.ERASE_S", 1.0)
    monkeypatch.setattr("firmware_bridge.update.RESUME_PAUSE_S", 0.05)
    monkeypatch.setattr("agent.firmware.desk.STATUS_WALL_S", 0.02)
    one = Field(tmp_path, signer)
    yield one
    await one.end()


async def updated(desk: FirmwareDesk, field: Field, boards: str = "all", **more: Any) -> dict[str, Any]:
    request = {"image": str(field.folder / "new.bin"), "boards": boards, **more}
    states = [state async for state in desk.update(request, "ann")]
    return states[-1]


async def test_a_batch_over_a_hundred_boards_goes_through(field: Field) -> None:
    names = [f"board-{number:03d}" for number in range(100)]
    for number, name in enumerate(names):
        await field.board(name, Trouble(silent={3 + number % 7}, cut_at=[900], cut_s=0.5) if number % 10 == 0 else None)
    end = await updated(field.begin(), field, canary=2)
    assert end["results"] == dict.fromkeys(names, "updated")
    assert {(board.version, board.confirmed) for board in field.boards.values()} == {(NEW, True)}
    begun = [detail["board"] for what, detail in field.events if detail.get("step") == "upload-started"]
    first_end = [what for what, _ in field.events].index("board-updated")
    early = {detail["board"] for what, detail in field.events[:first_end] if what == "board-update"}
    assert early == set(names[:2]), "only canaries before the first one is proven"
    assert sorted(begun) == names
    assert field.events[0][1]["who"] == "ann"
    assert field.events[-1][0] == "firmware-batch-ended"


async def test_a_canary_that_fails_stops_the_batch(field: Field) -> None:
    for name in ("a", "b", "c"):
        await field.board(name)
    field.sick = {"a"}
    desk = field.begin()
    end = await updated(desk, field)
    assert (end["results"], end["left"], end["stopped"]) == ({"a": "reverted"}, 2, True)
    assert {board.version for board in field.boards.values()} == {OLD}
    listed = await desk.listed()
    active = {row["board"]: [s["version"] for s in row["slots"] if s["active"]] for row in listed["boards"]}
    assert active == {name: [OLD] for name in "abc"}
    assert field.whats("a") == ["upload-started", "test-marked", "reset", "started", "reverting", "reset",
                                "board-updated"]  # fmt: skip


async def test_failures_stop_a_batch_and_it_is_taken_up_by_the_same_words(field: Field) -> None:
    for name in "abcdefghijklm":
        await field.board(name)
    field.sick = {"d", "e"}
    desk = field.begin()
    end = await updated(desk, field, failures=2)
    assert end["stopped"]
    assert {name for name, result in end["results"].items() if result == "reverted"} == {"d", "e"}
    field.sick = set()
    again = await updated(desk, field)
    assert set(again["results"].values()) == {"already", "updated"}
    assert {board.version for board in field.boards.values()} == {NEW}


async def test_what_is_not_signed_damaged_or_unknown_is_refused_before_anything_is_sent(
    field: Field, signer: Signer
) -> None:
    await field.board("a")
    desk = field.begin()
    stranger, _ = signer(NEW, "ecdsa-p256")
    for name, data in (("stranger", stranger), ("damaged", field.new[:100] + b"\0" + field.new[101:]), ("text", b"x")):
        (field.folder / name).write_bytes(data)
        with pytest.raises(RequestError, match=name):
            await updated(desk, field, image=str(field.folder / name))
    with pytest.raises(RequestError, match="not managed"):
        await updated(desk, field, "a,z")
    with pytest.raises(RequestError, match="cannot read"):
        await updated(desk, field, image="/nowhere/new.bin")
    with pytest.raises(RequestError, match="canary"):
        await updated(desk, field, canary=-1)
    assert field.boards["a"].questions == 0


async def test_a_person_stops_a_batch_and_a_cut_one_is_told_at_the_next_start(field: Field) -> None:
    for name in "abc":
        await field.board(name)
    desk = field.begin()
    states = desk.update({"image": str(field.folder / "new.bin"), "boards": "all", "canary": 3}, "ann")
    async for state in states:
        if state["running"]:
            break
    with pytest.raises(RequestError, match="a batch runs"):
        await updated(desk, field)
    await field.end()
    field.tasks, field.events = [], []
    field.begin()
    await asyncio.sleep(0)
    assert field.whats() == ["firmware-batch-cut"]


async def test_a_console_among_log_lines_is_as_good_as_udp(field: Field) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    board = ManagedBoard(field.clock, field.old, 384, 0.02, Trouble(log_lines=True))
    far = Console(board)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: os.write(master, far.hear(os.read(master, 4096)) or b"."))
    link = WireLink(SerialBoard(kind="serial", device=os.ttyname(slave)), field.clock)
    os.close(slave)
    desk = field.begin()
    field.boards["s"] = board
    desk._links["s"] = link
    try:
        end = await updated(desk, field)
        assert end["results"] == {"s": "updated"}
        assert board.version == NEW
    finally:
        loop.remove_reader(master)
        os.close(master)


async def test_an_independent_client_updates_the_simulated_board(signer: Signer) -> None:
    old, new = signer(OLD)[0], signer(NEW)[0]
    board = ManagedBoard(RealClock(), old, 1024, 0.02)
    port, end = await serve_udp(board)
    client = SMPClient(At(port), "127.0.0.1", 2.0)
    try:
        await client.connect()
        echo = await client.request(EchoWrite(d="hello"))
        assert success(echo)
        assert echo.r == "hello"
        async for offset in client.upload(new, 0):
            assert offset <= len(new)
        state = await client.request(ImageStatesRead())
        assert success(state)
        assert [one.version for one in state.images] == [OLD, NEW]
        assert success(await client.request(ImageStatesWrite(hash=state.images[1].hash)))
        assert success(await client.request(ResetWrite()))
        await asyncio.sleep(0.05)
        assert (board.version, board.confirmed) == (NEW, False)
        assert success(await client.request(DateTimeWrite(datetime="2026-01-01T00:00:00+00:00")))
        assert success(await client.request(DateTimeRead()))
        assert success(await client.request(ImageStatesWrite(confirm=True)))
        assert board.confirmed
        refused = await client.request(ImageStatesWrite(hash=b"\0" * 32))
        assert not success(refused)
    finally:
        await client.disconnect()
        end.close()
