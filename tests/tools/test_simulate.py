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
    request = {"seed": 5, "days": 0.01, "a_day": 400, "kinds": ("kill", "power-cut-at-write", "broker-forgets")}
    first, second = (simulate.carry_out(request) for _ in range(2))
    assert first["violations"] == []
    assert first["figures"]["boots"] > 1
    assert first["digest"] == second["digest"] != ""


def test_a_planted_bug_is_found_and_its_faults_are_few(simulate: ModuleType) -> None:
    faults = [
        [200, "broker-disconnects", 0, {}],
        [400, "power-cut-in-calibration", 20, {"after": 90}],
        [700, "line-cut", 0, {"port": 9212}],
    ]
    request = {"seed": 2, "days": 0.01, "list": faults, "bug": "valve-not-homed"}
    found = simulate.carry_out(request)
    assert "I8" in simulate.rules(found), found["violations"]
    said: list[str] = []
    small = simulate.shrink(request, found, said.append)
    kinds = [fault["kind"] for fault in small["faults"]]
    assert "power-cut-in-calibration" in kinds
    assert len(kinds) < len(faults)
    assert said
    sound = simulate.carry_out({**request, "bug": None})
    assert sound["violations"] == []
    assert sound["figures"]["run-aborted"] == 1
