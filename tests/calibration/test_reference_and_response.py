import random
from pathlib import Path

import pytest
from mypy import api

from calibration.chain.data import Standard, Target
from calibration.fit.linear import FitError
from calibration.models.bracket import Bracket
from calibration.models.reference import Point, Track, likeliest_walk, random_walk
from calibration.models.response import How, Response, Responses, StandardPoint, coefficient_walk, respond
from calibration.sequence import Assigned

HOUR = 3600.0


def track(*values: float, u: float = 0.0, walk: float = 0.0) -> Track:
    return Track([Point(HOUR * i, value, u) for i, value in enumerate(values)], walk)


def standard(name: str, value: float, u: float = 0.01, scale: str = "X2019") -> Standard:
    return Standard(name, Assigned(value, "umol/mol", u, scale))


def line(at_s: float, slope: float, u: float = 0.01) -> Response:
    points = [StandardPoint(standard(f"S{i}", 400 + slope * x, u), x, 0.01) for i, x in enumerate((-20.0, 0.0, 20.0))]
    return respond(at_s, points, 1, errors_in_x=True, u_reference=0.0, floor=1e-6)


def test_baseline_of_the_observatories() -> None:
    found = track(400.0, 400.2, 400.1, 400.3)
    assert found.noaa_baseline(5400) == pytest.approx(0.075, abs=5e-7)
    assert found.noaa_baseline(4500) == pytest.approx(0.039031, abs=5e-7)
    assert found.noaa_baseline(-1) == 0.0


def test_between_readings_a_line_beyond_them_the_nearest_and_its_side() -> None:
    found = track(400.0, 402.0)
    assert found.at(1800) == (401.0, "", 1800)
    assert found.at(-60) == (400.0, ">", 60)
    assert found.at(3660) == (402.0, "<", 60)
    assert found.at(3600).side == ""


def test_uncertainty_between_readings_is_that_of_a_bridge() -> None:
    found = track(400.0, 400.0, u=0.01, walk=1e-8)
    assert found.u(0) == pytest.approx(0.01)
    assert found.u(1800) ** 2 == pytest.approx(0.01**2 / 2 + 1e-8 * 900)
    assert found.u(HOUR + 1000) ** 2 == pytest.approx(0.01**2 + 1e-8 * 1000)


@pytest.mark.parametrize("estimate", [random_walk, likeliest_walk])
def test_the_walk_is_found_from_the_readings_and_a_steady_drift_is_none(estimate: object) -> None:
    assert callable(estimate)
    dice, level, points = random.Random(1), 400.0, []
    for hour in range(0, 4000, 6):
        points.append(Point(hour * HOUR, level + 0.001 * hour + dice.gauss(0, 0.006), 0.006))
        level += dice.gauss(0, 0.02 * 0.5)
    assert estimate([points]) * 86400 == pytest.approx(0.02**2, rel=0.35)
    steady = [Point(p.at_s, 400 + 0.001 * p.at_s / HOUR + dice.gauss(0, 0.006), 0.006) for p in points]
    assert estimate([steady]) * 86400 < 0.1 * 0.02**2


def test_a_step_does_not_widen_the_walk() -> None:
    dice = random.Random(2)
    points = [Point(h * HOUR, 400 + dice.gauss(0, 0.01) + (5 if h > 200 else 0), 0.01) for h in range(400)]
    assert likeliest_walk([points]) * 86400 < 1e-3


@pytest.mark.parametrize(
    ("how", "slope", "ids"),
    [("mean", 1.005, 2), ("linear", 1.0025, 2), ("nearest", 1.0, 1), ("previous", 1.0, 1)],
)
def test_between_two_calibrations(how: How, slope: float, ids: int) -> None:
    curve = Responses([line(0, 1.0), line(4 * HOUR, 1.01)], how, 10 * HOUR).at(HOUR)
    assert curve is not None
    assert curve.beta[1] == pytest.approx(slope, abs=1e-6)
    assert (len(curve.ids), curve.side) == (ids, "")


def test_one_sided_responses_say_so_and_the_limit_is_strict() -> None:
    found = Responses([line(0, 1.0), line(100 * HOUR, 1.0)], "mean", 48 * HOUR)
    assert [c.side if c else None for c in map(found.at, (47 * HOUR, 48 * HOUR, 52 * HOUR, 53 * HOUR))] == [
        "<", None, None, ">",
    ]  # fmt: skip


def test_a_mean_of_two_holds_half_the_noise_and_all_of_the_certificates() -> None:
    one = line(0, 1.0)
    curve = Responses([one, line(HOUR, 1.0)], "mean", 10 * HOUR).at(600)
    assert curve is not None
    assert curve.readings[1][1] == pytest.approx(one.readings[1][1] / 2)
    assert curve.assigned[1][1] == pytest.approx(one.assigned[1][1])


def test_the_walk_of_coefficients_is_what_they_change_beyond_their_noise() -> None:
    same = [line(HOUR * k, 1.0) for k in range(5)]
    assert coefficient_walk([same]) == ((0.0, 0.0), (0.0, 0.0))
    wild = coefficient_walk([[line(HOUR * k, 1.0 + 0.1 * (k % 2)) for k in range(5)]])
    assert wild is not None
    assert wild[1][1] * HOUR == pytest.approx(0.01, rel=0.01)
    assert coefficient_walk([[line(0, 1.0)]]) is None


def test_standards_that_contradict_each_other_widen_their_part() -> None:
    good, bad = line(0, 1.0), [StandardPoint(standard(f"S{i}", y), x, 0.01) for i, (x, y) in
                               enumerate([(-20.0, 380.0), (0.0, 400.5), (20.0, 420.0)])]  # fmt: skip
    found = respond(0, bad, 1, errors_in_x=True, u_reference=0.0, floor=1e-6)
    assert found.assigned[0][0] > 100 * good.assigned[0][0]


def test_scales_are_not_mixed() -> None:
    points = [StandardPoint(standard("S1", 400, scale="X2007"), 0, 0.1), StandardPoint(standard("S2", 420), 20, 0.1)]
    with pytest.raises(FitError, match="X2007, X2019"):
        respond(0, points, 1, errors_in_x=True, u_reference=0.0, floor=1e-6)


def test_one_point_is_a_line_through_zero() -> None:
    found = respond(0, [StandardPoint(standard("W", 402), 400, 0.1)], 1, errors_in_x=True, u_reference=0, floor=1e-6)
    assert found.correct(450) == pytest.approx(450 * 402 / 400)


def test_two_points() -> None:
    points = [StandardPoint(standard("L", 402), 400, 0.1), StandardPoint(standard("H", 604), 600, 0.1)]
    found = respond(0, points, 1, errors_in_x=False, u_reference=0, floor=1e-6)
    assert found.beta == pytest.approx((-2.0, 1.01))
    assert found.correct(450) == pytest.approx(452.5)


def test_a_target_gas_is_no_standard_for_types_and_at_run_time(tmp_path: Path) -> None:
    program = tmp_path / "fits_target.py"
    program.write_text(
        "from calibration.chain.data import Target\nfrom calibration.models.response import StandardPoint\n"
        "def f(target: Target) -> StandardPoint:\n    return StandardPoint(target, 1.0, 1.0)\n"
    )
    out, _, status = api.run(["--strict", str(program)])
    assert status == 1
    assert 'incompatible type "Target"; expected "Standard"' in out
    target = Target("T", Assigned(410, "umol/mol", 0.01, "X2019"))
    with pytest.raises(FitError, match="no standard"):
        respond(0, [StandardPoint(target, 1, 1), StandardPoint(standard("S", 1), 2, 1)], 1,  # type: ignore[arg-type]
                errors_in_x=True, u_reference=0, floor=1e-6)  # fmt: skip


def test_brackets_interpolate_every_tank_to_the_sample() -> None:
    low, high = standard("L", 380.0), standard("H", 420.0)
    tracks = {low: track(380.0, 382.0), high: track(420.0, 424.0)}
    plain = Bracket(tracks, None, "none", 1, 2 * HOUR).at(1800)
    assert plain is not None
    assert plain.correct(381.0) == pytest.approx(380.0)
    assert plain.correct(422.0) == pytest.approx(420.0)
    tower = Bracket(tracks, tracks[low], "subtract", 1, 2 * HOUR).at(1800)
    assert tower is not None
    assert tower.correct(0.0) == pytest.approx(380.0)
    assert tower.correct(41.0) == pytest.approx(420.0)
    late = Bracket(tracks, None, "none", 1, 2 * HOUR)
    assert late.at(4 * HOUR) is None
    one_sided = late.at(1.5 * HOUR)
    assert one_sided is not None
    assert one_sided.side == "<"
