"""Who asks the daemon over its socket: the kernel's word stands in the record beside what is stated."""

import asyncio
import base64
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.daemon import Daemon
from agent.people import REQUESTS
from agent.requests import handlers
from host.acts import ActsFullError, WaitingActs
from host.clock import RealClock
from host.control import CLIENTS_MAX, RESERVED, RequestError, ask

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
async def daemon(folder: Path, config_for: Any) -> AsyncIterator[Daemon]:
    key = folder / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    document = config_for(folder, 1).model_dump(mode="json")
    WaitingActs(folder).add({"do": "user add", "account": "Li Wei", "who": "root", "origin": "command line"})
    running = Daemon(Config.model_validate(document), RealClock(), folder / "station.hjson")
    task = asyncio.create_task(running.run())
    async with asyncio.timeout(20):
        while not Path(running.config.socket).exists():
            await asyncio.sleep(0.02)
            assert not task.done()
    yield running
    running.stop()
    await task


async def acts(daemon: Daemon) -> list[dict[str, Any]]:
    rows = await daemon.log.read(-1, kinds=frozenset({"event"}), limit=500)
    return [row.fields for row in rows if row.fields["what"] == "act"]


async def asked(daemon: Daemon, **request: Any) -> dict[str, Any]:
    return [answer async for answer in ask(daemon.config.socket, request)][-1]


def asked_as(uid: int, path: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask as another user: the kernel notes who connects."""
    line = socket.socket(socket.AF_UNIX)
    os.seteuid(uid)
    try:
        line.connect(path)
    finally:
        os.seteuid(0)
    with line, line.makefile("rwb") as file:
        file.write(json.dumps(request).encode() + b"\n")
        file.flush()
        answer: dict[str, Any] = json.loads(file.readline())
    return answer


async def test_every_request_stands_in_the_table_and_every_row_is_served(daemon: Daemon) -> None:
    served = set(handlers(daemon))
    assert served - REQUESTS.keys() == set(), "say in agent/people.py whether it reads or acts"
    assert REQUESTS.keys() - served - {name for name in REQUESTS if name.startswith(("firmware", "board"))} == set()


async def test_an_act_is_on_record_with_the_stated_person_and_the_kernels(daemon: Daemon) -> None:
    await asked(daemon, do="maintenance", on=True, who="Li Wei", reason="new pump", until=None)
    found = [act for act in await acts(daemon) if act["do"] == "maintenance"]
    assert [(act["who"], act["by"]["uid"], act["outcome"]) for act in found] == [("Li Wei", os.geteuid(), "asked")]
    assert found[0]["asked"] == {"on": True, "reason": "new pump", "until": None}
    assert found[0]["origin"] == "socket"
    before = len(await acts(daemon))
    await asked(daemon, do="status")
    assert len(await acts(daemon)) == before, "to read is no act"


async def test_a_refused_act_is_on_record_too(daemon: Daemon) -> None:
    with pytest.raises(RequestError):
        await asked(daemon, do="calibrate-start", name="none", who="Li Wei")
    assert (await acts(daemon))[-1]["do"] == "calibrate-start"


@as_root
async def test_whoever_watches_on_every_place_leaves_some_to_the_service(daemon: Daemon) -> None:
    path = daemon.config.socket
    os.chmod(path, 0o666)
    lines = []
    os.seteuid(NOBODY)
    try:
        for _ in range(CLIENTS_MAX):
            lines.append(socket.socket(socket.AF_UNIX))
            lines[-1].connect(path)
    finally:
        os.seteuid(0)
    for line in lines:
        line.sendall(b'{"do": "watch"}\n')
    answers = [json.loads(await asyncio.to_thread(line.recv, 65536)) for line in lines]
    assert sum("error" in answer for answer in answers) == RESERVED
    assert "values" in (await asyncio.to_thread(asked_as, 0, path, {"do": "status"}))
    for line in lines:
        line.close()


@as_root
@pytest.mark.parametrize("do", ["key-rotate", "report-sign", "backup-sign", "archived"])
async def test_what_signs_in_the_stations_name_is_for_the_service(daemon: Daemon, do: str) -> None:
    vkey = daemon.log.vkeys
    request = {"do": do, "who": "Li Wei", "reason": "mine", "key": {"credential": "/dev/shm/mine"}, "sha256": "00" * 32}
    answer = await asyncio.to_thread(asked_as, NOBODY, daemon.config.socket, request)
    assert "only the service's own user" in answer["error"]
    assert (await acts(daemon))[-1]["outcome"] == "refused"
    assert daemon.log.vkeys == vkey


async def test_for_whom_the_page_asks_is_on_record(daemon: Daemon) -> None:
    person = {"account": "Zhao Min", "role": "qa"}
    until = "2100-01-01T00:00:00Z"
    await asked(daemon, do="maintenance", on=True, who="Li Wei", reason="pump", until=until, person=person)
    act = (await acts(daemon))[-1]
    assert (act["origin"], act["by"]["account"], act["by"]["role"], act["who"]) == (
        "page", "Zhao Min", "qa", "Li Wei"
    )  # fmt: skip


@as_root
async def test_another_user_is_known_by_the_kernel_and_believed_nothing(daemon: Daemon) -> None:
    path = daemon.config.socket
    os.chmod(path, 0o666)
    assert (await asyncio.to_thread(asked_as, NOBODY, path, {"do": "status"}))["station"]["id"] == "cal"
    forged = {"do": "maintenance", "on": False, "who": "Li Wei", "person": {"account": "boss", "role": "admin"}}
    await asyncio.to_thread(asked_as, NOBODY, path, forged)
    act = (await acts(daemon))[-1]
    assert act["by"] == {"user": "nobody", "uid": NOBODY}
    told = {"do": "act", "act": {"do": "sign-in", "outcome": "ok", "who": "boss"}}
    answer = await asyncio.to_thread(asked_as, NOBODY, path, told)
    assert "only the service's own user" in answer["error"]
    found = await acts(daemon)
    assert (found[-1]["do"], found[-1]["outcome"]) == ("act", "refused")
    assert not any(act.get("who") == "boss" for act in found)


async def test_what_waited_while_the_daemon_was_away_is_taken_in(
    daemon: Daemon, folder: Path, eventually: Callable[[Callable[[], object]], Any]
) -> None:
    await eventually(lambda: not WaitingActs(folder).read())
    act = next(act for act in await acts(daemon) if act["do"] == "user add")
    assert (act["late"], act["account"], act["who"]) == (True, "Li Wei", "root")
    assert act["at"]


def test_acts_that_wait_are_bounded_and_none_is_forgotten_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = WaitingActs(tmp_path)
    monkeypatch.setattr("host.acts.BYTES_MAX", 500)
    for number in range(5):
        waiting.add({"do": f"act {number}"})
    with pytest.raises(ActsFullError):
        waiting.add({"do": "x" * 300})
    kept = waiting.read()
    assert [act["do"] for act in kept] == [f"act {number}" for number in range(5)]
    with (tmp_path / "page-accounts.acts").open("ab") as file:
        file.write(b"{torn\n")
    assert waiting.read()[-1] == {"do": "unreadable", "line": "{torn"}
    waiting.forget(len(kept))
    assert [act["do"] for act in waiting.read()] == ["unreadable"]
