"""What a stack derives, made again: beside what was reported, from its inputs, by what should have been filed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.analysis.desk import RecomputeDesk
from agent.analysis.nodes import text
from agent.analysis.trace import Question, Tracer
from agent.analysis.tree import tree
from agent.config import Config
from agent.history.files import FileSource
from host.control import RequestError
from host.hjson import read
from metrology.periods import iso
from metrology.quality import Cause, Mark

BEGIN = datetime(2026, 6, 15, 1, tzinfo=UTC)
END = BEGIN + timedelta(hours=1)
SERIES = [f"main.{name}" for name in ("stack_velocity", "flow_dry", "so2_std", "so2_zs", "so2_rate", "co2_rate")]
UNITS = {
    "so2": "mg/m3", "nox": "mg/m3", "o2": "%", "co2_percent": "%", "dust": "mg/m3", "differential_pressure": "Pa",
    "stack_temperature": "degC", "static_pressure": "Pa", "stack_humidity": "%",
}  # fmt: skip


def gas(n: int) -> dict[str, tuple[float, str]]:
    """A stack that breathes: nothing of it stands still."""
    values = {
        "so2": 40.0 + n % 7, "nox": 60.0 + n % 5, "o2": 6.8 + 0.01 * (n % 11), "co2_percent": 12.0 + 0.02 * (n % 13),
        "dust": 4.0, "differential_pressure": 80.0 + 3 * (n % 17), "stack_temperature": 138.5 + 0.1 * (n % 3),
        "static_pressure": -250.0, "stack_humidity": 8.6,
    }  # fmt: skip
    return {name: (value, UNITS[name]) for name, value in values.items()}


def document(root: Path, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(root / "config" / "emission.hjson")[0].root.plain()
    found["store"] |= {"path": str(folder / "store")}
    found["ledger"]["key"] = {"file": str(folder / "key")}
    found["sequences"], found["uplinks"] = {}, {}
    return found


@pytest.fixture
async def stack(past: Any, root: Path, tmp_path: Path) -> Any:
    """Ten minutes, an hour and a little of a stack; in between somebody works on it for two minutes."""
    one = await past(config=Config.model_validate(document(root, tmp_path)), begin=BEGIN - timedelta(minutes=10))
    await one.feed(30, "cems", gas)
    mark = Mark(Cause.MAINTENANCE, "lock:Li Wei", one.clock.now())
    one.intake.add_mark("main", mark)
    await one.feed(2, "cems", gas)
    one.intake.remove_mark("main", mark)
    await one.feed(40, "cems", gas)
    return one


async def again(one: Any, plan: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    desk = RecomputeDesk(one)
    one.tasks.insert(0, asyncio.create_task(desk.run()))
    request = {
        "do": "recompute", "series": SERIES, "start": iso(BEGIN), "end": iso(END), "who": "Li Wei",
        "plan": plan or {"rules": [{"use": "as-measured"}]}, "reason": "Kv compared again", "layer": True, **members,
    }  # fmt: skip
    return [told async for told in desk.serve(request)][-1]


def layer(series: str) -> str:
    return series.replace(".", "~analysis.")


def rows(one: Any, period_s: int, name: str) -> dict[str, dict[str, Any]]:
    found = one.index.averages(period_s, iso(BEGIN), iso(END))
    return {row["start"]: row["rows"][name] for row in found if name in row["rows"]}


@pytest.mark.parametrize("period_s", [60, 3600])
async def test_where_nothing_was_wrong_it_comes_out_the_same_to_the_last_digit(stack: Any, period_s: int) -> None:
    told = await again(stack)
    assert told["records"] == {"60": 60, "3600": 1}
    assert set(told["largest"].values()) == {0.0}
    for series in SERIES:
        first, second = rows(stack, period_s, series), rows(stack, period_s, layer(series))
        assert [{**row, "rev": 1} for row in first.values()] == list(second.values())
        assert {row["rev"] for row in first.values()} == {0}
        assert all(("unc" in row) == (period_s == 3600) for row in second.values())
    causes = {mark[0] for row in rows(stack, 60, layer(SERIES[0])).values() for mark in row.get("q", ())}
    assert causes == {"maintenance", "incomplete"}


async def test_a_kv_that_was_filed_wrongly_changes_the_flow_and_no_concentration(
    stack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = BEGIN + timedelta(minutes=30)
    filed = {"stack": "main", "kv": 1.155, "start": iso(half), "authority": "filing 2026-031", "reason": "report 44"}
    told = await again(stack, {"filed": [filed]})
    assert told["finished"]
    for series, share in zip(SERIES, (1.1, 1.1, 1.0, 1.0, 1.1, 1.1), strict=True):
        first, second = rows(stack, 60, series), rows(stack, 60, layer(series))
        for start, row in second.items():
            factor = share if start >= iso(half) else 1.0
            if row["n"]:
                assert row["mean"] == pytest.approx(first[start]["mean"] * factor, rel=1e-12)
    [hour], minutes = rows(stack, 3600, layer("main.so2_rate")).values(), rows(stack, 60, layer("main.so2_rate"))
    valid = [row["mean"] for row in minutes.values() if not row.get("q")]
    assert hour["mean"] == pytest.approx(sum(valid) / len(valid))
    assert hour["sum"] == pytest.approx(hour["mean"])
    [first] = rows(stack, 3600, "main.so2_rate").values()
    assert hour["unc"][2] / hour["mean"] == pytest.approx(first["unc"][2] / first["mean"], rel=0.05)
    await stack.log.post_checkpoint()
    await stack.stop()
    for period_s in (60, 3600):
        question = Question(layer("main.so2_rate"), BEGIN + timedelta(minutes=45), period_s)
        found = Tracer(FileSource(stack.folder)).trace(question)
        assert (found["agrees"], found["differences"]) == (True, [])
        assert found["kv"][-1].endswith("/kv")
        assert found["recompute"]["plan"]["filed"][0]["authority"] == "filing 2026-031"
        assert "filing 2026-031" in text(tree(found, "en"))
    (tmp_path / "station.hjson").write_text(json.dumps(stack.config.model_dump(mode="json")))
    asked = ["diff", "--series", layer("main.so2_rate"), "--from", iso(BEGIN), "--to", iso(END), "--period", "1h"]
    assert main(["--lang", "en", *asked, "--config", str(tmp_path / "station.hjson")]) == 0
    assert "filing 2026-031" in capsys.readouterr().out
    # The report tells the layer beside what was reported, and counts it nowhere.
    out = tmp_path / "report.json"
    asked = ["report", "emission", "--from", iso(BEGIN), "--to", iso(END), "--config", str(tmp_path / "station.hjson")]
    assert main([*asked, "--out", str(out)]) in (0, 1)
    tables = {one["title"]: one for part in json.loads(out.read_text())["report"]["sections"] for one in part["tables"]}
    said = {row["cells"][0]: row["cells"] for row in tables["Amounts of the period"]["rows"]}
    assert all("analysis" not in name for name in said)
    beside = {row["cells"][0]: row["cells"] for row in tables["Analysis layers, beside what was reported"]["rows"]}
    assert beside.keys() <= said.keys()
    name = next(one for one in beside if "so2" in one.lower())
    assert said[name][1] == pytest.approx(first["sum"] / 1000)
    assert beside[name][1:] == [
        1, 1, said[name][1], 1, *map(pytest.approx, (hour["sum"] / 1000, (hour["sum"] - first["sum"]) / 1000)),
        pytest.approx(100 * (hour["sum"] / first["sum"] - 1)),
    ]  # fmt: skip
    assert beside[name][7] > 4.0
    assert any("first reported" in note for note in tables["Amounts of the period"]["notes"])


async def test_a_corrected_input_changes_what_is_made_of_it(stack: Any) -> None:
    await again(stack, {"rules": [{"series": "cems.so2", "zero": 2.0, "slope": 1.5}]})
    for series in SERIES:
        first, second = rows(stack, 60, series), rows(stack, 60, layer(series))
        same = [row["mean"] for row in first.values()] == [row["mean"] for row in second.values()]
        assert same == ("so2" not in series)
        [used] = {tuple(row.get("cal", ())) for row in second.values() if row["n"]}
        assert len(used) == ("so2" in series)
    # The mean of a product, scan by scan, is not the product of means.
    minute = iso(BEGIN + timedelta(minutes=5))
    scans = [row.fields for row in await stack.log.read(-1, kinds=frozenset({"scan"}), limit=1000)]
    own = [one["values"] for one in scans if one["instrument"] == "main" and one["at"][:16] == minute[:16]]
    values = [1.5 * (one["so2_std"]["x"] - 2.0) * one["flow_dry"]["x"] * 1e-6 for one in own]
    assert rows(stack, 60, layer("main.so2_rate"))[minute]["mean"] == pytest.approx(sum(values) / len(values))


async def test_a_kv_filed_before_the_station_was_told_holds_from_its_day(
    past: Any, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = document(root, tmp_path)
    begin = datetime(2026, 6, 14, 15, 30, tzinfo=UTC)
    one = await past(config=Config.model_validate(told), begin=begin)
    await one.feed(65, "cems", gas)
    await one.stop()
    # It holds from 15 June, 00:00 of the station (16:00 UTC of the day before).
    new = {**told["stacks"]["main"]["kv"][0], "id": "kv-2026-06", "value": 1.26, "determined": "2026-06-12",
           "filed": "2026-06-15", "valid_from": "2026-06-15"}  # fmt: skip
    told["stacks"]["main"]["kv"].append(new)
    one.config = Config.model_validate(told)
    one.open()
    await one.begin()
    end = begin + timedelta(minutes=60)
    await again(one, start=iso(begin), end=iso(end.replace(minute=0)))
    await one.feed(60, "cems", gas)
    await again(one, start=iso(begin), end=iso(end), series=["main.stack_velocity"])
    kept = one.index.averages(60, iso(begin), iso(end))
    means: dict[str, list[float]] = {}
    for row in kept:
        for name in ("main.stack_velocity", layer("main.stack_velocity")):
            if name in row["rows"]:
                means.setdefault(row["start"], []).append(row["rows"][name]["mean"])
    assert {round(b / a, 9) for at, (a, b) in means.items() if at < "2026-06-14T16"} == {1.0}
    assert {round(b / a, 9) for at, (a, b) in means.items() if at >= "2026-06-14T16"} == {1.2}
    await one.stop()
    (tmp_path / "station.hjson").write_text(json.dumps(told))
    asked = ["diff", "--series", layer("main.stack_velocity"), "--from", iso(begin), "--to", iso(end)]
    assert main([*asked, "--period", "1min", "--config", str(tmp_path / "station.hjson"), "--json"]) == 0
    why = json.loads(capsys.readouterr().out)["configuration"]
    assert [key for key in why if key.startswith("stacks.main.kv")]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"layer": False}, "never replaced"),
        ({"plan": {"rules": [{"series": "main.so2_rate", "zero": 0.0, "slope": 2.0}]}}, "derived; correct the series"),
        (
            {"plan": {"filed": [{"stack": "other", "kv": 1.1, "authority": "a", "reason": "b"}]}},
            "no stack of the series",
        ),
        ({"plan": {"filed": [{"stack": "main", "kv": 1.1, "authority": " ", "reason": "b"}]}}, "authority"),
        ({"plan": {"filed": [{"stack": "main", "authority": "a", "reason": "b"}]}}, "one at least of"),
    ],
)
async def test_what_cannot_be_done_is_refused(stack: Any, members: dict[str, Any], why: str) -> None:
    before = stack.log.next_seq
    with pytest.raises((RequestError, ValueError), match=why):
        await again(stack, **members)
    assert stack.log.next_seq == before
