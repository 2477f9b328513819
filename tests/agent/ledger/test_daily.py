"""The daily walk: the newest closed day always, the others in turn: nothing false is said, nothing passed over."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.ledger import daily
from agent.ledger.places import closed_files
from agent.store.segment import segment_numbers
from metrology.periods import iso

DAYS = 7


@pytest.fixture
async def week(tmp_path: Path, station: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of eight files; two of the seven closed ones are walked beside the newest."""
    monkeypatch.setattr(daily, "FILES_MAX", 2)
    for day in range(DAYS):
        made = station(tmp_path / "week", minute=day * 1440)
        task = asyncio.create_task(made.log.run())
        if day:
            since = made.clock.now() - timedelta(minutes=1440 - 7)
            await made.log.append("gap", {"from": iso(since), "to": iso(made.clock.now()), "reason": "test"})
        for _ in range(7):
            await made.one_minute(400.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(closed_files(made.folder)) == DAYS - 1
    return Path(made.folder)


def turns(folder: Path, vkey: str) -> list[dict[str, Any]]:
    """Walks until one begins anew."""
    found, after = [], ""
    while True:
        found.append(daily._found(folder, [vkey], after))
        if not (after := found[-1]["next"]):
            return found


def test_all_days_come_in_turn_and_an_honest_log_is_well(week: Path, keys: tuple[str, str]) -> None:
    found = turns(week, keys[0])
    assert [one["findings"] for one in found] == [[], [], []]
    assert [(one["files"], one["of_files"], len(one["parts"])) for one in found] == [(3, 6, 2), (3, 6, 2), (2, 6, 1)]
    assert len({one["parts"][-1]["root"] for one in found}) == 1, "the newest day each time"
    assert found[0]["parts"][-1]["origin"] == "plumeline/tower-01/1"


def test_an_alteration_of_any_day_is_found_within_one_round(
    week: Path, keys: tuple[str, str], copied: Callable[[str], Any], tmp_path: Path
) -> None:
    make = type(copied("other"))
    for path in closed_files(week):
        first = segment_numbers(path)[1]
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(week, tmp_path / "copy")
        forger = make(tmp_path / "copy")
        fields = forger.bodies()[first + 2]
        forger.put(first + 2, {**fields, "forged": True})
        found = [finding for one in turns(tmp_path / "copy", keys[0]) for finding in one["findings"]]
        assert ("altered", first + 2) in {(one["what"], one["seq"]) for one in found}, path.name
        assert {one["what"] for one in found} == {"altered"}


async def test_the_process_says_the_same(week: Path, keys: tuple[str, str]) -> None:
    found = await daily.walk_once(week, [keys[0]])
    # With the real bound all days are walked at once.
    assert (found["findings"], found["files"], found["next"]) == ([], DAYS - 1, "")
    broken = await daily.walk_once(week, ["no key"])
    assert [one["what"] for one in broken["findings"]] == [daily.WALK_FAILED]
    assert "parts" not in broken
