"""Transfer of a scale from primaries to a working gas, against a simulation of every error in the chain."""

import math

import numpy as np
import pytest

from calibration.standards.transfer import DISAGREEMENT, Assignment, Known, TransferError, assign
from calibration.standards.visits import Visit, means

SLOPE, OFFSET = 1.002, -0.4
SCALE = "scale WMO CO2 X2019"


def indication(true: float, at_s: float, drift_per_h: float = 0.0) -> float:
    return (true - OFFSET) / SLOPE + drift_per_h * at_s / 3600.0


def visits_of(
    true: dict[str, float], order: str, noise: float, rng: np.random.Generator | None, drift_per_h: float = 0.0
) -> list[Visit]:
    found = []
    for place, name in enumerate(order.split()):
        at = 900.0 * place
        error = rng.normal(0, noise) if rng is not None else 0.0
        found.append(Visit(name, at, indication(true[name], at, drift_per_h) + error, noise))
    return found


PRIMARY = {"p1": 380.0, "p2": 400.0, "p3": 420.0, "p4": 450.0}
SECONDARY = {"s1": 385.0, "s2": 405.0, "s3": 445.0}
U_SCALE, U_OWN, NOISE = 0.03, 0.02, 0.015


def known(values: dict[str, float]) -> dict[str, Known]:
    return {name: Known(value, {SCALE: U_SCALE, f"primary {name}": U_OWN}) for name, value in values.items()}


def handed_on(name: str, found: Assignment) -> Known:
    return Known(found.value, {**found.shares, f"readings of {name}": found.u_readings})


def chain(assigned: dict[str, float], noise: float, rng: np.random.Generator | None) -> tuple[Assignment, Assignment]:
    """Primaries assign three secondaries in runs of their own, these the working gas; gives s1 and the working gas."""
    true = {**PRIMARY, **SECONDARY, "w": 412.0}
    primaries, secondaries = known(assigned), {}
    first: Assignment | None = None
    for name in SECONDARY:
        found = assign(visits_of(true, f"p2 p1 p3 {name} p4 p2 {name} p2", noise or NOISE, rng), primaries, name)
        first = first or found
        secondaries[name] = handed_on(name, found)
    assert first is not None
    return first, assign(visits_of(true, "s2 s1 w s3 s2 w s2", noise or NOISE, rng), secondaries, "w")


def test_the_chain_hits_the_truth_and_its_uncertainty_is_that_of_a_simulation() -> None:
    first, working = chain(PRIMARY, NOISE, None)
    assert first.value == pytest.approx(SECONDARY["s1"], abs=1e-9)
    assert working.value == pytest.approx(412.0, abs=1e-9)
    rng = np.random.default_rng(7)
    values, firsts = [], []
    for _ in range(1500):
        scale = rng.normal(0, U_SCALE)
        one, other = chain({n: v + scale + rng.normal(0, U_OWN) for n, v in PRIMARY.items()}, NOISE, rng)
        firsts.append(one.value)
        values.append(other.value)
    # 1500 draws tell a standard deviation within 1.8 % (one sigma).
    assert first.u == pytest.approx(np.std(firsts), rel=0.07)
    assert working.u == pytest.approx(np.std(values), rel=0.07)


def test_the_scale_counts_once_however_long_the_chain() -> None:
    first, working = chain(PRIMARY, NOISE, None)
    assert first.shares[SCALE] == pytest.approx(U_SCALE, rel=1e-6)
    assert working.shares[SCALE] == pytest.approx(U_SCALE, rel=1e-6)
    # Certificates of four primaries average, in part, and the secondaries bring them in together, not as if apart.
    own = math.hypot(*(working.shares[f"primary {name}"] for name in PRIMARY))
    assert U_OWN / 2 * 0.95 < own < U_OWN
    assert working.budget.total == pytest.approx(working.u)
    assert next(term.name for term, _ in working.budget.by_weight()) == SCALE


def test_drift_of_the_analyzer_is_taken_out_by_the_gas_read_most_often() -> None:
    true = {**PRIMARY, "x": 410.0}
    order = "p2 p1 p2 p3 p2 x p2 p4 p2 x p2"
    found = assign(visits_of(true, order, NOISE, None, drift_per_h=0.5), known(PRIMARY), "x")
    assert found.bracket == "p2"
    assert found.value == pytest.approx(410.0, abs=1e-4)
    once = assign(visits_of(true, "p2 p1 p3 x p4", NOISE, None, drift_per_h=0.5), known(PRIMARY), "x")
    assert abs(once.value - 410.0) > 0.05
    assert any("no cylinder was read twice" in doubt for doubt in once.doubts)


def test_means_of_bracketed_visits_have_the_spread_of_a_simulation() -> None:
    true = {**PRIMARY, "x": 410.0}
    order = "p2 p1 p2 x p2 p1 p2 x p2"
    rng = np.random.default_rng(3)
    drawn = []
    for _ in range(4000):
        found = means(visits_of(true, order, NOISE, rng, drift_per_h=0.3))
        drawn.append([found.mean(name, found.readings()) for name in ("p1", "p2", "x")])
    told = means(visits_of(true, order, NOISE, None))
    for place, name in enumerate(("p1", "p2", "x")):
        assert told.u_mean(name) == pytest.approx(np.std(drawn, axis=0)[place], rel=0.05)


def test_a_wrong_primary_is_named_and_widens_the_result() -> None:
    true = {**PRIMARY, "x": 410.0}
    off = {**PRIMARY, "p3": 420.4}
    good = assign(visits_of(true, "p2 p1 p3 x p4 p2", NOISE, None), known(PRIMARY), "x")
    bad = assign(visits_of(true, "p2 p1 p3 x p4 p2", NOISE, None), known(off), "x")
    assert bad.u > 2 * good.u
    assert any(doubt.startswith("p3 lies") for doubt in bad.doubts)
    assert DISAGREEMENT in [term.name for term in bad.budget.terms]
    assert good.doubts == ()


def test_scattering_visits_are_told_and_counted() -> None:
    true = {**PRIMARY, "x": 410.0}
    calm = visits_of(true, "p2 p1 p2 x p2 p3 p2 x p2 p4 p2", NOISE, None)
    rough = [one._replace(reading=one.reading + (0.3 if place == 3 else 0.0)) for place, one in enumerate(calm)]
    found = assign(rough, known(PRIMARY), "x")
    assert any("repeated visits scatter" in doubt for doubt in found.doubts)
    assert found.u_readings > 3 * assign(calm, known(PRIMARY), "x").u_readings


def test_what_cannot_be_assigned_says_why() -> None:
    true = {**PRIMARY, "x": 500.0}
    with pytest.raises(TransferError, match="2 known cylinders"):
        assign(visits_of(true, "p1 p2 x", NOISE, None), known(PRIMARY), "x")
    with pytest.raises(TransferError, match="x was not read"):
        assign(visits_of(true, "p1 p2 p3", NOISE, None), known(PRIMARY), "x")
    found = assign(visits_of(true, "p1 p2 p3 x p1", NOISE, None), known(PRIMARY), "x")
    assert any("outside the known cylinders" in doubt for doubt in found.doubts)
