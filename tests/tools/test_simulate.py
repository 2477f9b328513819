"""The simulation of a whole station: replays exactly, finds what is planted, and leaves out what plays no part."""

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def simulate(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "tools" / "faulting"))
    import simulate as module

    return module


def test_one_seed_gives_the_same_run_twice(simulate: ModuleType) -> None:
    request = {"seed": 5, "days": 0.02, "a_day": 250, "kinds": ("kill", "power-cut-at-write", "broker-forgets")}
    first, second = (simulate.carry_out(request) for _ in range(2))
    assert first["violations"] == []
    assert first["figures"]["boots"] > 1
    assert first["digest"] == second["digest"] != ""
    assert simulate.carry_out({**request, "only": [0]})["digest"] != first["digest"]


def test_a_planted_bug_is_found_and_its_faults_are_few(simulate: ModuleType) -> None:
    kinds = ("power-cut-in-calibration", "broker-disconnects", "line-cut")
    request = {"seed": 2, "days": 0.02, "a_day": 200, "kinds": kinds, "bug": "valve-not-homed"}
    found = simulate.carry_out(request)
    assert "I8" in simulate.rules(found), found["violations"]
    said: list[str] = []
    small = simulate.shrink(request, found, said.append)
    assert [fault["kind"] for fault in small["faults"]] == ["power-cut-in-calibration"]
    assert "I8" in simulate.rules(small)
    assert len(found["faults"]) > 1
    assert said


def test_without_a_bug_the_same_faults_break_nothing(simulate: ModuleType) -> None:
    request = {"seed": 2, "days": 0.02, "a_day": 200, "kinds": ("power-cut-in-calibration", "line-cut")}
    verdict = simulate.carry_out(request)
    assert verdict["violations"] == []
    assert verdict["figures"]["run-aborted"] >= 1
