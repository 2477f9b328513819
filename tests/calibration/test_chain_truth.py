"""The chain on a station whose truth is known, few seeds; the campaign is `tools/bench calibration`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from simulation.calibration_truth import FAULTS, simulate


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "tools" / "benches" / "calibration.py"
    spec = importlib.util.spec_from_file_location("bench_calibration", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_calibration"] = module
    spec.loader.exec_module(module)
    return module


def test_all_faults_are_named_and_the_rest_of_the_hours_is_right(bench: ModuleType) -> None:
    truth, records = simulate(100_001, 60, frozenset(FAULTS))
    for record in records:
        found = bench.score(100_001, record, truth)
        assert (found.missed, found.false, found.faults) == ([], [], 5)
        assert found.after_failed_check == 0
        assert found.hours > 900
        assert found.within / found.hours > 0.9
        assert 0.5 < found.rms / found.rms_stated < 2.0
    # Not everything is called good: the leak and the loss of control take their hours.
    assert found.lost > 100


def test_a_quiet_station_has_no_findings_and_honest_budgets(bench: ModuleType) -> None:
    scores = []
    for seed in (100_002, 100_003, 100_004):
        truth, records = simulate(seed, 28, frozenset())
        for record in records:
            result = bench.run(record, truth)
            assert [f.what for f in result.findings] == []
            assert all(check.passed for check in result.checks)
            scores.append(bench.score(seed, record, truth))
    ratio = sum((s.rms / s.rms_stated) ** 2 for s in scores) / len(scores)
    assert 0.4 < ratio < 2.0
    terms = scores[0].terms
    assert {"noise", "assigned values", "water correction", "scale", "reference between its readings"} <= set(terms)


def test_a_flush_that_is_too_short_is_named_and_lengthened(bench: ModuleType) -> None:
    truth, (record, _) = simulate(100_005, 28, frozenset(), 50.0)
    result = bench.run(record, truth)
    (short,) = [f for f in result.findings if f.what == "short-flush"]
    assert "s more are left out" in short.text
    found = bench.score(100_005, record, truth)
    assert found.within / found.hours > 0.9
