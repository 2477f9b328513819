"""What changed between revisions and why, and between configurations."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.analysis.desk import RecomputeDesk
from agent.analysis.nodes import known
from agent.config import Config
from metrology.periods import iso
from metrology.quality import Cause

BEGIN = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


async def revised(past: Any, kind: str, series: str, plan: dict[str, Any]) -> Any:
    one = await past(kind)
    if kind == "research":
        await one.calibrate("a", 2.0, 1.01)
    await one.run(130)
    desk = RecomputeDesk(one)
    one.tasks.insert(0, asyncio.create_task(desk.run()))
    request = {
        "do": "recompute", "series": [series], "start": iso(BEGIN), "end": iso(BEGIN + timedelta(hours=1)),
        "plan": plan, "who": "Li Na", "reason": "recertified", "layer": kind == "regulated",
    }  # fmt: skip
    assert [state async for state in desk.serve(request)][-1]["finished"]
    await one.stop()
    return one


def line(one: Any, tmp_path: Path, series: str, *more: str) -> list[str]:
    config = tmp_path / "station.hjson"
    config.write_text(json.dumps(one.config.model_dump(mode="json")))
    return ["diff", "--series", series, "--from", "2026-03-01T08:00", "--to", "2026-03-01T10:00", "--config",
            str(config), *more]  # fmt: skip


async def test_the_new_cylinder_value_stands_behind_the_change(
    past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assigned = [{"number": "N2", "measurand": "co2", "value": 606.0, "source": "certificate of July"}]
    plan = {"rules": [{"use": "previous"}], "assigned": assigned}
    one = await revised(past, "research", "ndir.co2", plan)
    assert main([*line(one, tmp_path, "ndir.co2"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # The second hour has no later revision: the newest is the first, and nothing differs.
    assert (found["compared"], found["summary"]["changed"]) == (2, 1)
    [row] = found["rows"]
    assert row["rev"] == [0, 1]
    assert row["change"] == pytest.approx((row["mean"][0] - 402) * 2 / 202)
    assert [(why["who"], why["reason"], why["periods"]) for why in found["why"]] == [("Li Na", "recertified", 1)]
    assert found["why"][0]["plan"]["assigned"] == assigned
    assert found["coefficients"]["daily-a.ndir.co2"]["slope"] == pytest.approx(1.01)
    assert main(["--lang", "zh", *line(one, tmp_path, "ndir.co2")]) == 0
    told = capsys.readouterr().out
    assert "certificate of July" in told
    assert "比较 2 个周期" in told
    assert main([*line(one, tmp_path, "ndir.co2", "--period", "1min", "--rev", "0", "1"), "--json"]) == 0
    minutes = json.loads(capsys.readouterr().out)
    assert (minutes["compared"], minutes["lacking"]) == (60, 60)
    assert main(line(one, tmp_path, "ndir.none")) == 1


async def test_a_layer_is_compared_with_what_was_reported(
    past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = await revised(past, "regulated", "ndir.co2", {"rules": [{"zero": 1.0, "slope": 1.0}]})
    assert main([*line(one, tmp_path, "ndir~analysis.co2"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["change"] for row in found["rows"]] == [pytest.approx(-1.0)]


async def test_a_density_declared_since_stands_among_the_reasons(
    past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = await past()
    await one.calibrate("a", 2.0, 1.01)
    await one.run(65)
    await one.stop()
    density = {"measurands": ["co2"], "pressure": "gas_pressure", "temperature": "gas_temperature",
               "pressure_exponent": 1.0, "temperature_exponent": 0.8}  # fmt: skip
    told = one.config.model_dump(mode="json")
    told["instruments"]["ndir"]["density"] = density
    one.config = Config.model_validate(told)
    one.open()
    await one.begin()
    desk = RecomputeDesk(one)
    one.tasks.insert(0, asyncio.create_task(desk.run()))
    request = {"do": "recompute", "series": ["ndir.co2"], "start": iso(BEGIN), "end": iso(BEGIN + timedelta(hours=1)),
               "plan": {"rules": [{"zero": 1.0, "slope": 1.0}]}, "who": "Li Na", "reason": "cell"}  # fmt: skip
    assert [state async for state in desk.serve(request)][-1]["finished"]
    await one.stop()
    assert main([*line(one, tmp_path, "ndir.co2"), "--json"]) == 0
    why = json.loads(capsys.readouterr().out)["configuration"]
    assert why["instruments.ndir.density.pressure_exponent"] == [None, 1.0]
    assert {key.rpartition(".")[0] for key in why} <= {"instruments.ndir", "instruments.ndir.density"}
    assert main(["--lang", "zh", *line(one, tmp_path, "ndir.co2")]) == 0
    assert "配置，instruments.ndir.density.temperature_exponent：null > 0.8" in capsys.readouterr().out


async def test_two_configurations(past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = await past()
    block = one.config.instruments["ndir"].model_copy(update={"poll_s": 10.0})
    one.config = one.config.model_copy(update={"instruments": {"ndir": block}})
    await one.begin("SIGHUP")
    await one.stop()
    config = line(one, tmp_path, "x")[-1]
    assert main(["config", "diff", "0", "1/1", "--config", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"instruments.ndir.poll_s": [5, 10]}
    assert main(["config", "diff", "0", "7", "--config", config]) == 2
    capsys.readouterr()
    assert main(["config", "diff", "0", "x/y", "--config", config]) == 2
    assert "x/y: write the number of a config record" in capsys.readouterr().err


async def test_an_interval_that_ends_before_it_begins_is_said(
    past: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = await past()
    await one.stop()
    asked = line(one, tmp_path, "ndir.co2")
    begin, end = asked.index("--from") + 1, asked.index("--to") + 1
    asked[begin], asked[end] = asked[end], asked[begin]
    assert main(asked) == 2
    assert "ends before it begins" in capsys.readouterr().err


def test_every_cause_has_its_word() -> None:
    assert [cause for cause in Cause if known(f"cause.{cause.value}", "zh") == cause.value] == []
