"""Attribution of small synthetic windows made here with a meandering plume, seen by a handful of sensors."""

import json
import math
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from inversion import geojson
from inversion.attribute import attribute
from inversion.data import Domain, MetRow, Observation, Result
from inversion.geo import around, cell_of, to_degrees, to_local

START = datetime(2025, 6, 1, tzinfo=UTC)
ORIGIN = Domain(34.8, 113.6, 0.0, 0.0, 0.0, 0.0)
SENSORS = [(x, y) for x in (-150.0, 0.0, 150.0) for y in (-150.0, 0.0, 150.0)]
LEAK = (40.0, -60.0, 2.0)


def window(rate: float, hours: int = 4, seed: int = 7) -> tuple[list[Observation], list[MetRow]]:
    """Ten-minute averages under wind that turns once around; a Gaussian plume of its own, with Briggs D sigmas."""
    rng = np.random.default_rng(seed)
    offsets = rng.normal(0.0, 0.015, len(SENSORS))
    observations, met = [], []
    for step in range(6 * hours):
        at = START + timedelta(minutes=10 * step)
        wind_from = (200.0 + 360.0 * step / (6 * hours) + rng.normal(0.0, 5.0)) % 360.0
        met.append(MetRow(at, 600.0, 4.0, wind_from, 8.0, 288.15, 101325.0))
        for number, (x, y) in enumerate(SENSORS):
            latitude, longitude = to_degrees(ORIGIN, x, y)
            clean = 2.0 + 0.003 * step / 6 + float(offsets[number]) + rng.normal(0.0, 0.006)
            mean = clean + rate * briggs_ppm(x, y, wind_from + rng.normal(0.0, 2.0))
            observations.append(Observation(f"s{number}", latitude, longitude, 3.0, at, 600.0, mean, 0.03, 20))
    return observations, met


def briggs_ppm(x: float, y: float, wind_from: float) -> float:
    """umol/mol for 1 kg/h from LEAK at 3 m above ground, 3.1 m/s at the plume."""
    toward = math.radians(270.0 - wind_from)
    dx, dy = x - LEAK[0], y - LEAK[1]
    along, across = dx * math.cos(toward) + dy * math.sin(toward), dy * math.cos(toward) - dx * math.sin(toward)
    if along < 1.0:
        return 0.0
    sy, sz = 0.11 * along, 0.06 * along * (1 + 0.0015 * along) ** -0.5
    vertical = math.exp(-0.5 * (1.0 / sz) ** 2) + math.exp(-0.5 * (5.0 / sz) ** 2)
    kernel = math.exp(-0.5 * (across / sy) ** 2) * vertical / (2 * math.pi * 3.1 * sy * sz)
    return 1e6 / 3600 * kernel / 0.67848


@cache
def result(rate: float) -> Result:
    observations, met = window(rate)
    return attribute(observations, met, around(observations, ORIGIN.latitude, ORIGIN.longitude))


def test_a_leak_is_found_where_it_is() -> None:
    (source,) = result(12.0).sources
    assert math.hypot(source.x - LEAK[0], source.y - LEAK[1]) < 20.0
    assert source.rate_kg_h == pytest.approx(12.0, rel=0.3)
    assert source.interval95[0] < 12.0 < source.interval95[1]
    assert source.probability > 0.95
    domain = result(12.0).domain
    assert to_local(domain, source.latitude, source.longitude) == pytest.approx((source.x, source.y), abs=1e-6)
    assert source.cell == "c{:03d}r{:03d}".format(*cell_of(domain, 100.0, source.x, source.y))


def test_no_leak_no_source() -> None:
    assert result(0.0).sources == ()


def test_silence_is_a_zero_only_where_the_network_would_have_seen() -> None:
    observations, met = window(0.0)
    few = [seen for seen in observations if seen.sensor in ("s0", "s1")]
    cells = attribute(few, met, around(observations, ORIGIN.latitude, ORIGIN.longitude)).cells
    assert {"covered", "weak"} <= {cell.state for cell in cells}
    for cell in cells:
        if cell.state == "covered":
            assert cell.rate_kg_h == 0.0
            assert cell.q_min_kg_h is not None
        else:
            assert cell.rate_kg_h is None
        assert (cell.q_min_kg_h is None) == (cell.state == "none")


def test_air_that_passed_no_sensor_leaves_its_cells_without_information() -> None:
    observations, met = window(0.0)
    westerly = [MetRow(row.start, row.period_s, 4.0, 270.0, 8.0) for row in met]
    only_east = [seen for seen in observations if seen.sensor in ("s6", "s7", "s8")]
    domain = around(observations, ORIGIN.latitude, ORIGIN.longitude)
    cells = attribute(only_east, westerly, domain).cells
    downwind = [cell for cell in cells if domain.west_m + 100.0 * cell.column > 150.0]
    assert downwind
    assert {cell.state for cell in downwind} == {"none"}


def test_a_leak_outside_the_domain_is_a_bearing_and_no_source() -> None:
    observations, met = window(25.0)
    found = attribute(observations, met, Domain(34.8, 113.6, 55.0, -300.0, 455.0, 300.0))
    assert found.sources == ()
    bearings = [outside["bearing_deg"] for outside in found.diagnostics["outside"]]
    assert bearings
    assert min(abs(bearing - 270.0) for bearing in bearings) < 30.0


def test_the_same_inputs_in_any_order_give_the_same_bytes() -> None:
    observations, met = window(12.0)
    domain = around(observations, ORIGIN.latitude, ORIGIN.longitude)
    again = attribute(observations[::-1], met[::-1], domain)
    assert repr(again) == repr(result(12.0))
    assert json.dumps(geojson.candidates(again)) == json.dumps(geojson.candidates(result(12.0)))


def test_one_changed_input_changes_the_digest() -> None:
    observations, met = window(0.0)
    domain = around(observations, ORIGIN.latitude, ORIGIN.longitude)
    warmer = [MetRow(row.start, row.period_s, row.speed, row.direction_from, 8.0, 300.0, 101325.0) for row in met]
    assert attribute(observations, warmer, domain).inputs_sha256 != result(0.0).inputs_sha256


def test_one_hour_shift_between_wind_and_gas_is_not_hidden() -> None:
    observations, met = window(12.0)
    late = [
        MetRow(row.start + timedelta(hours=1), row.period_s, row.speed, row.direction_from, row.sigma_theta)
        for row in met
    ]
    found = attribute(observations, late, around(observations, ORIGIN.latitude, ORIGIN.longitude))
    assert found.diagnostics["dropped"] == 6 * len(SENSORS)
    assert all(source.evidence < 0.5 * result(12.0).sources[0].evidence for source in found.sources)


def test_a_station_without_sigma_theta_still_gets_an_answer_that_says_so() -> None:
    observations, met = window(12.0)
    bare = [MetRow(row.start, row.period_s, row.speed, row.direction_from) for row in met]
    found = attribute(observations, bare, around(observations, ORIGIN.latitude, ORIGIN.longitude))
    assert found.diagnostics["winds"] == "fall-back sigma_theta"
    assert math.hypot(found.sources[0].x - LEAK[0], found.sources[0].y - LEAK[1]) < 40.0


def test_geojson_is_wgs84_counter_clockwise_and_free_of_nan() -> None:
    for document in (geojson.candidates(result(12.0)), geojson.coverage(result(12.0))):
        json.dumps(document, allow_nan=False)
        assert document["features"]
    longitude, latitude = geojson.candidates(result(12.0))["features"][0]["geometry"]["coordinates"]
    assert (longitude, latitude) == pytest.approx((113.6, 34.8), abs=0.01)
    (ring,) = geojson.coverage(result(12.0))["features"][0]["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) > 0


def test_inputs_that_cannot_be_used_are_refused() -> None:
    observations, met = window(0.0, hours=1)
    domain = around(observations, ORIGIN.latitude, ORIGIN.longitude)
    with pytest.raises(ValueError, match="no usable wind"):
        attribute(observations, [MetRow(row.start, 600.0, 0.2, 270.0) for row in met], domain)
    with pytest.raises(ValueError, match="no observation has wind"):
        attribute(observations, [MetRow(row.start + timedelta(days=1), 600.0, 4.0, 270.0) for row in met], domain)
    moved = Observation("s0", 34.81, 113.6, 3.0, START, 600.0, 2.0, 0.0, 1)
    with pytest.raises(ValueError, match="two places"):
        attribute([*observations, moved], met, domain)
