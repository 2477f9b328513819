"""Acts of people at the centre: events of its store, from the page, the socket and the command line."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from central.__main__ import main
from central.config import Config, Station
from central.people import Acts
from central.queries import events
from central.store import Store
from central.writer import Writer
from host.acts import WaitingActs
from host.clock import ManualClock
from host.control import Control, Peer, RequestError, ask
from metrology.periods import parse_iso
from web.accounts import Accounts

NOW = parse_iso("2026-03-01T05:00:00Z")
PASSWORD = "a heron over the weir"


@pytest.fixture
def acts(store: Store) -> Acts:
    return Acts(store, Writer(), ManualClock(NOW))


def told(store: Store) -> list[dict[str, Any]]:
    return [{**row["detail"], "origin": row["origin"]} for row in events(store.db) if row["what"] == "act"]


async def test_an_act_is_an_event_of_the_centre(store: Store, acts: Acts) -> None:
    for who in ("Li Wei", "Zhao Min"):
        await acts.record({"do": "sign-in", "outcome": "ok", "who": who})
    assert {act["who"] for act in told(store)} == {"Li Wei", "Zhao Min"}, "two at one time are two"
    assert {row["station_id"] for row in events(store.db)} == {""}


async def nothing(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield {"done": True}


async def test_what_the_command_line_asks_is_on_record_with_the_kernels_word(
    store: Store, acts: Acts, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    served = {"hj212-send": nothing, "hj212-stations": nothing}
    task = asyncio.create_task(Control(path, served, 0o600, acts.gate()).run())
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.005)
    for do in ("hj212-send", "hj212-stations"):
        assert [one async for one in ask(str(path), {"do": do, "mn": "A", "who": "Li Wei"})] == [{"done": True}]
    (act,) = told(store)
    assert (act["do"], act["who"], act["by"]["uid"], act["origin"]) == ("hj212-send", "Li Wei", os.geteuid(), "socket")
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(RequestError, match="only the service's own user"):
        await acts.gate()("something-new", {}, Peer(uid=65534, gid=65534))
    assert {act["outcome"] for act in told(store)} == {"asked", "refused"}


async def test_accounts_by_the_command_line_are_on_record(
    store: Store, acts: Acts, tmp_path: Path, stations: dict[str, Station], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    config = Config(store=str(tmp_path / "central.db"), stations=stations)
    file = tmp_path / "central.hjson"
    file.write_text(json.dumps(config.model_dump(mode="json", exclude_none=True)))
    for words in (("add", "Li Wei", "--role", "admin"), ("add", "Zhao Min", "--role", "qa"), ("disable", "Zhao Min")):
        monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
        act, name, *rest = words
        assert main(["user", act, str(file), name, *rest]) == 0
    assert main(["--lang", "en", "user", "disable", str(file), "Li Wei"]) == 1
    assert "last administrator" in capsys.readouterr().err
    assert main(["--lang", "en", "user", "list", str(file)]) == 0
    assert "disabled" in capsys.readouterr().out
    assert Accounts(tmp_path).find("Li Wei") is not None
    task = asyncio.create_task(acts.run(tmp_path))
    async with asyncio.timeout(10):
        while WaitingActs(tmp_path).read():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    found = told(store)
    assert [act["do"] for act in sorted(found, key=lambda act: act["at"])] == [
        "user add", "user add", "user disable", "user disable"
    ]  # fmt: skip
    assert all(act["late"] and act["origin"] == "command line" for act in found)
