"""A person's word that the clock is right, given to a running station by the command."""

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peers.stations import StationProcess, bare, of

from agent.clock.requests import handlers
from host.clock import ManualClock
from host.control import RequestError


@pytest.fixture
def station(tmp_path: Path, root: Path) -> StationProcess:
    return StationProcess(tmp_path, root, bare())


async def test_a_persons_word_is_on_record_and_the_clock_is_believed_from_then_on(station: StationProcess) -> None:
    async with station.running():
        before = (await station.until(lambda status: status["clock"]["state"]))["clock"]
        said = await station.command("clock", "confirm", "--reason", "by the radio's time signal", "--who", "Li")
        after = (await station.status())["clock"]
    # On a machine that a time server keeps, nobody's word is needed.
    assert (before["state"], after["state"]) in {("U", "H"), ("S", "S")}
    assert after["held"] is False
    assert ("hold-over" if after["state"] == "H" else "synced") in said
    rows = station.rows()
    [told] = [fields for fields in of("event", rows) if fields["what"] == "clock-confirmed"]
    assert (told["who"], told["reason"], told["state"]) == ("Li", "by the radio's time signal", before["state"])
    if before["state"] == "U":
        behind = [row.fields for row in rows if row.seq > told["seq"]]
        assert told["clk"] == "U"
        # What was made while the word itself was being written down is still of the clock before it.
        assert re.fullmatch("U*H+", "".join(fields["clk"] for fields in behind))
        assert (after["source"], after["error_s"] < 3) == ("Li", True)


async def test_a_word_without_a_reason_is_none(station: StationProcess) -> None:
    async with station.running():
        await station.until(lambda status: status["clock"]["state"])
        said = await station.command("clock", "confirm", code=2)
    assert "--reason" in said
    assert not [fields for fields in of("event", station.rows()) if fields["what"] == "clock-confirmed"]


async def test_a_clock_at_1970_is_confirmed_by_nobody() -> None:
    daemon: Any = SimpleNamespace(clock=ManualClock(datetime(1970, 1, 1, tzinfo=UTC)))
    confirm = handlers(daemon, lambda request, name: str(request[name]))["clock-confirm"]
    with pytest.raises(RequestError, match=r"1970-01-01.*set it first"):
        await anext(confirm({"who": "Li", "reason": "by my watch"}))
