"""The tab of standard gases: the page of a running daemon, over HTTP, in both languages."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.daemon import Daemon
from agent.page import Page
from host.clock import RealClock
from web.credentials import Credentials

PASSWORD = "a heron over the weir"


@pytest.fixture
async def daemon(tmp_path: Path, config_for: Any) -> AsyncIterator[Daemon]:
    """Three gases, one of which has expired."""
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    document = config_for(tmp_path, 1).model_dump(mode="json")
    document["cylinders"]["zero"] |= {"supplier": "NIM <Beijing>", "volume_L": 10}
    running = Daemon(Config.model_validate(document), RealClock(), tmp_path / "station.hjson")
    task = asyncio.create_task(running.run())
    async with asyncio.timeout(20):
        while not (Path(running.config.socket).exists() and len(running.cylinders.register.cylinders) == 3):
            await asyncio.sleep(0.02)
            assert not task.done()
    yield running
    running.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def technician(
    daemon: Daemon, tmp_path: Path, serve_page: Callable[[Any], str], visitor: Any, quick_hash: Callable[[str], str]
) -> Any:
    """Who has signed in."""
    credentials = Credentials(tmp_path / "page-password")
    credentials.save(quick_hash(PASSWORD))
    guest = visitor(serve_page(Page(daemon.config.socket, credentials).application()))
    assert (await asyncio.to_thread(guest.get, "/gases")).headers["location"] == "/sign-in"
    await asyncio.to_thread(guest.post, "/sign-in", password=PASSWORD)
    return guest


async def test_the_register_is_shown_in_both_languages(technician: Any) -> None:
    said = {"en": ("Standard gases", "Certificate ended 2025-06-30"), "zh": ("标准气", "证书已于 2025-06-30 到期")}
    for lang, words in said.items():
        await asyncio.to_thread(technician.get, f"/lang/{lang}")
        shown = (await asyncio.to_thread(technician.get, "/gases")).text
        for word in (*words, "N402", "604", 'class="here" href="/gases"'):
            assert word in shown
        one = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N402&fill=A")).text
        assert "NIM &lt;Beijing&gt;" in one
        assert "WMO CO2 X2019" in one
    assert 'href="/gases"' in (await asyncio.to_thread(technician.get, "/")).text


async def test_a_person_registers_a_pressure_and_a_certificate(technician: Any, daemon: Daemon) -> None:
    by = {"number": "N402", "fill": "A", "who": "Li Wei", "reason": "weekly round"}
    answer = await asyncio.to_thread(technician.post, "/gases/pressure", value="9.5", unit="MPa", **by)
    assert (answer.status, answer.headers["location"]) == (303, "/gases/cylinder?number=N402&fill=A")
    paper = {"certificate": "K-7", "certified": "2026-01-02", "expires": "2061-01-01", "measurand": "co2",
             "value": "402.25", "uncertainty": "0.05", "unit": "", "scale": ""}  # fmt: skip
    assert (await asyncio.to_thread(technician.post, "/gases/revalue", **paper, **by)).status == 303
    one = (await asyncio.to_thread(technician.get, "/gases/cylinder?number=N402&fill=A")).text
    for word in ("95.0", "938", "402.25", "K-7", "Li Wei", "weekly round"):
        assert word in one
    found = daemon.cylinders.register.found("N402")
    assert found is not None
    assert [(row.act, row.who) for row in found.history][1:] == [("revalued", "Li Wei")]


async def test_what_is_wrong_is_said_and_nothing_is_written(technician: Any, daemon: Daemon) -> None:
    by = {"number": "N402", "fill": "A", "who": "Li Wei", "reason": "weekly round"}
    paper = {**by, "value": "1", "uncertainty": "1", "measurand": "co2", "certificate": "K"}
    for path, form, told in (
        ("pressure", {**by, "value": "much", "unit": "bar"}, "value: much"),
        ("pressure", {**by, "value": "9", "unit": "bar", "who": " "}, "who: a text"),
        ("revalue", {**paper, "measurand": "ch4"}, "unit and scale are needed"),
        ("revalue", {**paper, "scale": "mine"}, "scale"),
        ("revalue", {**paper, "expires": "soon"}, "expires"),
    ):
        answer = await asyncio.to_thread(technician.post, f"/gases/{path}", **form)
        assert (answer.status, told in answer.text) == (400, True), (form, answer.text)
    assert (await asyncio.to_thread(technician.get, "/gases/cylinder?number=none")).status == 404
    found = daemon.cylinders.register.found("N402")
    assert found is not None
    assert (len(found.history), found.pressures) == (1, ())


async def test_nobody_writes_without_a_session(daemon: Daemon, technician: Any, visitor: Any) -> None:
    stranger = visitor(technician.address)
    form = {"number": "N402", "fill": "A", "who": "x", "reason": "y", "value": "1", "unit": "bar"}
    assert (await asyncio.to_thread(stranger.post, "/gases/pressure", **form)).headers["location"] == "/sign-in"
    found = daemon.cylinders.register.found("N402")
    assert found is not None
    assert found.pressures == ()
