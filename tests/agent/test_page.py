"""The station page as the daemon starts it: a process of its own, small, that shows what the daemon says."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.daemon import Daemon
from host.clock import RealClock

RSS_MAX_KB = 45_000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def station(folder: Path, modbus_port: int) -> Config:
    key = folder / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    return Config.model_validate({
        "station": {
            "id": "page-01", "network": "n", "name_zh": "河边站", "name_en": "Riverside",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder / "store")},
        "ledger": {"key": {"file": str(key)}},
        "buses": {
            "plc": {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": modbus_port}, "protocol": "modbus-tcp"},
        },
        "instruments": {
            "ndir": {
                "driver": "senseair_s8", "bus": "plc", "unit": 1, "poll_s": 1, "kind": "research", "rule": "ghg",
                "series": {"co2": {"minimum": 100, "maximum": 1000}},
            },
        },
        "socket": str(folder / "agent.sock"),
        "page": {"port": free_port()},
    })  # fmt: skip


async def until(what: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until `what` gives something; a refused connection counts as nothing."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                if found := await what():
                    return found
            await asyncio.sleep(0.02)


@pytest.fixture
async def daemon(tmp_path: Path, serve_modbus: Any) -> AsyncIterator[Daemon]:
    peer = await serve_modbus(1)
    running = Daemon(station(tmp_path, peer.port), RealClock(), tmp_path / "station.hjson")
    task = asyncio.create_task(running.run())
    yield running
    running.stop()
    await task


@pytest.fixture
async def guest(daemon: Daemon, visitor: Any) -> Any:
    """A visitor of the page, before its first password."""
    assert daemon.config.page is not None
    found = visitor(f"http://127.0.0.1:{daemon.config.page.port}")
    assert await until(lambda: asyncio.to_thread(found.get, "/healthz"))
    return found


@pytest.fixture
async def technician(daemon: Daemon, guest: Any) -> Any:
    """Who read the code from the file and set the first password."""
    code = Path(daemon.config.store.path, "page-accounts.setup").read_text().strip()
    new = "a heron over the weir"
    assert (await asyncio.to_thread(guest.post, "/set-up", code=code, name="Li", password=new, again=new)).status == 303
    return guest


async def test_nothing_is_shown_before_the_first_password(guest: Any) -> None:
    for path in ("/api/status", "/api/events"):
        assert (await asyncio.to_thread(guest.get, path)).status == 401
    assert (await asyncio.to_thread(guest.get, "/")).headers["location"] == "/sign-in"


async def test_the_page_shows_what_the_daemon_says(technician: Any) -> None:
    async def value() -> Any:
        return (await asyncio.to_thread(technician.get, "/api/status")).json["values"].get("ndir.co2")

    shown = await until(value)
    assert (shown["value"], shown["unit"]) == (3.0, "umol/mol")
    assert "out_of_range" in shown["causes"]
    events = (await asyncio.to_thread(technician.get, "/api/events")).json["events"]
    assert isinstance(events, list)
    for lang, word in (("en", "Latest values"), ("zh", "最新数据")):
        await asyncio.to_thread(technician.get, f"/lang/{lang}")
        assert word in (await asyncio.to_thread(technician.get, "/")).text


async def test_the_page_stays_small(daemon: Daemon, technician: Any) -> None:
    for path in ("/", "/api/status", "/api/events", "/static/shell.js", "/static/shell.css"):
        assert (await asyncio.to_thread(technician.get, path)).status == 200
    (page,) = [path for path in Path("/proc").glob("[0-9]*") if is_page(path, daemon.config.socket)]
    lines = dict(line.split(":", 1) for line in (page / "status").read_text().splitlines())
    assert int(lines["VmRSS"].split()[0]) < RSS_MAX_KB


def is_page(process: Path, control: str) -> bool:
    try:
        words = (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False  # it ended meanwhile
    return "agent.page" in words and any(control in word for word in words)


async def test_a_daemon_that_is_gone_is_said(
    tmp_path: Path, serve_page: Callable[[Any], str], visitor: Any, with_account: Callable[..., Any]
) -> None:
    from agent.page import Page

    with_account(tmp_path)
    guest = visitor(serve_page(Page(str(tmp_path / "none.sock"), tmp_path).application()))
    await asyncio.to_thread(guest.sign_in)
    answer = await asyncio.to_thread(guest.get, "/api/status")
    assert answer.status == 503
    assert "no daemon answers there" in answer.json["error"]
