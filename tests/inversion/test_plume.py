"""The plume against published numbers, conservation of mass, and the sign of the wind."""

import math

import numpy as np
import pytest

from inversion.met import Winds, mean_direction, yamartino
from inversion.plume import Operator, sigma_y_draxler, sigma_z_similarity

ROUGHNESS = 0.05


def winds(directions: list[float], speed: float = 4.0, sigma_deg: float = 10.0) -> Winds:
    count = len(directions)
    return Winds(
        start=60.0 * np.arange(count),
        period_s=np.full(count, 60.0),
        speed=np.full(count, speed),
        direction_from=np.radians(directions),
        sigma_theta=np.full(count, math.radians(sigma_deg)),
        density=np.full(count, 0.678),
        height_m=10.0,
        scheme="given",
    )


@pytest.mark.parametrize(
    ("length_m", "expected"),
    [(-50.0, (7.60, 21.11, 100.0)), (1000.0, (7.01, 16.78, 42.12)), (100.0, (6.01, 12.28, 24.87))],
)
def test_sigma_z_matches_the_similarity_vectors(length_m: float, expected: tuple[float, ...]) -> None:
    found = sigma_z_similarity(np.array([100.0, 300.0, 1000.0]), ROUGHNESS, length_m)
    assert found == pytest.approx(expected, rel=2e-3)


def test_neutral_sigma_z_lies_between_stable_and_unstable() -> None:
    x = np.array([300.0])
    stable, neutral, unstable = (sigma_z_similarity(x, ROUGHNESS, length)[0] for length in (100.0, None, -50.0))
    assert stable < neutral < unstable


def test_sigma_y_starts_as_sigma_theta_x_and_bends_over() -> None:
    theta = np.array([math.radians(10.0)])
    near = sigma_y_draxler(np.array([1.0]), np.array([5.0]), theta)[0]
    # At T = Ti = 300 s the factor is 1 / 1.9.
    far = sigma_y_draxler(np.array([1500.0]), np.array([5.0]), theta)[0]
    assert near == pytest.approx(theta[0], rel=0.03)
    assert far == pytest.approx(theta[0] * 1500.0 / 1.9, rel=1e-9)


@pytest.mark.parametrize("distance", [60.0, 300.0, 800.0])
@pytest.mark.parametrize("height", [0.5, 3.0, 10.0])
def test_every_plane_across_the_plume_carries_the_whole_rate(distance: float, height: float) -> None:
    across, up = np.linspace(-600.0, 600.0, 401), np.linspace(0.0, 400.0, 401)
    points = np.array([(distance, y, z) for y in across for z in up])
    operator = Operator(winds([270.0]), points, ROUGHNESS)
    ppm = operator.response(0.0, 0.0, height, 1.0, 1.0)[0][0].reshape(len(across), len(up))
    density = ppm * 1e-6 * 0.678  # kg/m3 for 1 kg/h
    flux = np.trapezoid(np.trapezoid(density, up, axis=1), across) * 3600.0 * carrying_speed(distance, height)
    assert flux == pytest.approx(1.0, rel=0.01)


def carrying_speed(distance: float, height: float) -> float:
    """4 m/s at 10 m brought to the plume's mean height by the logarithmic law, worked out by hand."""
    sigma = sigma_z_similarity(np.array([distance]), ROUGHNESS, None)[0] + 0.2
    z = np.linspace(0.0, 20 * sigma + height, 20001)
    shape = np.exp(-0.5 * ((z - height) / sigma) ** 2) + np.exp(-0.5 * ((z + height) / sigma) ** 2)
    mean = max(float((z * shape).sum() / shape.sum()), 0.5)
    return 4.0 * math.log(mean / ROUGHNESS) / math.log(10.0 / ROUGHNESS)


def test_wind_from_the_west_blows_to_the_east() -> None:
    receptors = np.array([[100.0, 0.0, 3.0], [-100.0, 0.0, 3.0], [0.0, 100.0, 3.0], [0.0, -100.0, 3.0]])
    operator = Operator(winds([270.0, 180.0]), receptors, ROUGHNESS)
    west, south = operator.response(0.0, 0.0, 2.0, 1.0, 1.0)[0]
    assert west[0] > 0.1
    assert west[1:].max() < 1e-9
    assert south[2] == pytest.approx(west[0])


def test_nothing_arrives_at_the_source_itself_or_upwind() -> None:
    operator = Operator(winds([270.0]), np.array([[0.0, 0.0, 3.0], [0.5, 0.0, 3.0]]), ROUGHNESS)
    assert operator.response(0.0, 0.0, 2.0, 1.0, 1.0)[0].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("offset_m", [-30.0, 10.0, 45.0])
def test_the_change_with_direction_is_that_of_a_turned_wind(offset_m: float) -> None:
    receptors = np.array([[250.0, offset_m, 3.0]])
    operator = Operator(winds([270.0]), receptors, ROUGHNESS)
    _, change = operator.response(0.0, 0.0, 2.0, 1.0, 1.0)
    step = 1e-4
    (one,), (other,) = (operator.response(0.0, 0.0, 2.0, 1.0, 1.0, turn)[0] for turn in (-step, step))
    assert change[0, 0] == pytest.approx((other[0] - one[0]) / (2 * step), rel=0.1)


def test_directions_average_across_north() -> None:
    assert mean_direction([350.0, 10.0, 0.0]) == pytest.approx(0.0, abs=1e-9) or mean_direction(
        [350.0, 10.0, 0.0]
    ) == pytest.approx(360.0)
    assert mean_direction([80.0, 100.0]) == pytest.approx(90.0)


def test_yamartino_of_normal_directions_is_their_standard_deviation() -> None:
    sample = np.random.default_rng(1).normal(355.0, 15.0, 20000) % 360.0
    assert yamartino(sample.tolist()) == pytest.approx(15.0, rel=0.02)
    assert yamartino([123.0] * 6) == pytest.approx(0.0, abs=1e-5)
