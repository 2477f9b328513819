"""What schedules will do to each other, and the rehearsal that tells it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.config import Config
from agent.gas.agenda import agenda, crowded_out

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def station(folder: Path, config_for: Any, **blocks: dict[str, Any]) -> Config:
    """The daily run takes 840 s; more sequences on its valve."""
    document = config_for(folder, 502).model_dump(mode="json")
    daily = document["sequences"]["daily"]
    for name, block in blocks.items():
        document["sequences"][name] = {**daily, **block}
    return Config.model_validate(document)


def turns(config: Config, hours: float = 24, by_hand: str | None = None) -> list[tuple[str, str, float | None]]:
    """Name, due time, and how long it waits; None where it is dropped."""
    return [
        (one.name, f"{one.due:%d %H:%M}", (one.begins - one.due).total_seconds() if one.begins else None)
        for one in agenda(config, NOW, NOW + timedelta(hours=hours), by_hand)
    ]


def test_turns_come_in_order_and_wait_for_each_other(tmp_path: Path, config_for: Any) -> None:
    config = station(
        tmp_path, config_for,
        daily={"schedule": {"cron": "0 3 * * *"}},
        high={"schedule": {"every_h": 24, "offset_h": 19}, "priority": 5},
        short={"schedule": {"cron": "10 3 * * *"}, "wait_max_s": 60},
        other={"schedule": {"every_h": 12}},
    )  # fmt: skip
    assert turns(config) == [
        ("high", "01 19:00", 0.0), ("daily", "01 19:00", 840.0), ("short", "01 19:10", None),
        ("other", "02 00:00", 0.0), ("other", "02 12:00", 0.0),
    ]  # fmt: skip
    assert crowded_out(config, NOW) == {"short": "daily"}


def test_a_run_by_hand_holds_up_what_is_due_meanwhile(tmp_path: Path, config_for: Any) -> None:
    config = station(tmp_path, config_for, other={"schedule": {"cron": "5 20 * * *"}})
    assert turns(config, by_hand="daily") == [("daily", "01 12:00", 0.0), ("other", "01 12:05", 540.0)]


def test_sequences_that_share_nothing_never_wait(tmp_path: Path, config_for: Any) -> None:
    document = station(tmp_path, config_for, other={"schedule": {"every_h": 24}}).model_dump(mode="json")
    document["sequences"]["daily"]["schedule"] = {"every_h": 24}
    document["valves"]["second"] = document["valves"]["gas"]
    document["instruments"]["second"] = document["instruments"]["ndir"]
    document["sequences"]["other"] |= {"valve": "second", "instrument": "second"}
    assert [wait for _, _, wait in turns(Config.model_validate(document))] == [0.0, 0.0]


def test_the_agenda_of_a_year_is_bounded(tmp_path: Path, config_for: Any) -> None:
    config = station(tmp_path, config_for, daily={"schedule": {"every_h": 0.25}})
    assert len(turns(config, 24 * 3650)) == 5000
    assert crowded_out(config, NOW) == {}


async def test_a_rehearsal_tells_clashes_and_what_gas_is_left(
    rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=8, minutes=5)

    def change(document: dict[str, Any]) -> None:
        daily = document["sequences"]["daily"]
        daily |= {"flow_L_min": 1.0, "loops": 2}
        cron = f"{soon.minute} {soon.hour} * * *"
        document["sequences"]["other"] = {**daily, "schedule": {"cron": cron}, "wait_max_s": 60}

    one = await rig(change=change)
    row = {"name": "zero", "number": "N402", "fill": "A", "volume_L": 10.0, "low_bar": 20.0,
           "pressure": {"at": "2026-01-01T00:00:00.000Z", "bar": 20.5}}  # fmt: skip
    fields = {"what": "cylinder", "act": "added", "name": "zero", "number": "N402", "fill": "A", "who": "li"}
    await one.log.append("calibration", {**fields, "reason": "new", "row": row})
    await one.end()
    path = tmp_path / "station.hjson"
    path.write_text(one.config.model_dump_json())
    assert main(["--lang", "en", "rehearse", str(path), "daily", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["seconds"] == answer["least_seconds"] == 2 * 3 * 240 + 120
    assert answer["litres"] == answer["least_litres"] == {"zero": 8.0, "span": 8.0, "target": 8.0}
    assert answer["left_litres"]["zero"] == pytest.approx(0.5 * 10 / 1.01325)
    assert answer["left_litres"]["span"] is None
    (clash,) = answer["clashes"]
    assert (clash["sequence"], clash["behind"], clash["begins"]) == ("other", "daily", None)
    assert main(["--lang", "en", "rehearse", str(path), "daily"]) == 0
    told = capsys.readouterr().out
    assert "zero: 5 L left above the reserve, 0 L after the run: NOT ENOUGH" in told
    assert "is dropped: daily is in its way for too long" in told
