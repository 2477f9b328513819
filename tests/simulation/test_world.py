"""The simulated truth: repeatable, conserving, and with the statistics of the air."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from metrology.units import GAS_CONSTANT
from simulation.layout import Layout, Scenario, points
from simulation.puffs import Puffs
from simulation.sensor_error import sensor_error
from simulation.wind import Wind
from simulation.world import World

START = datetime(2025, 6, 1, tzinfo=UTC)


def trace(world: World, minutes: int, every_s: int) -> list[list[float]]:
    boards = points(world.layout.boards)
    rows = []
    for second in range(0, 60 * minutes, every_s):
        world.advance(START + timedelta(seconds=second))
        rows.append([world.wind().speed, world.wind().direction_from, *world.gas_many("ch4", boards).tolist()])
    return rows


def test_a_seed_is_a_world_whatever_the_rhythm_of_the_questions() -> None:
    often = trace(World(Scenario(seed=3), START), 6, 10)
    seldom = trace(World(Scenario(seed=3), START), 6, 60)
    assert often[::6] == seldom
    assert seldom != trace(World(Scenario(seed=4), START), 6, 60)


def test_time_never_goes_back() -> None:
    world = World(Scenario(seed=1), START)
    world.advance(START + timedelta(minutes=1))
    before = world.wind()
    world.advance(START)
    assert world.wind() == before
    assert world.now == START + timedelta(minutes=1)


def test_boards_and_leaks_stand_in_the_field() -> None:
    for seed in range(20):
        layout = Layout.of(Scenario(seed=seed, leaks=2))
        assert len(layout.boards) == 24
        assert len({board.name for board in layout.boards}) == 24
        assert np.abs(points(layout.boards)[:, :2]).max() <= 500.0
        xs, ys = points(layout.boards)[:, 0], points(layout.boards)[:, 1]
        for leak in layout.leaks:
            assert xs.min() < leak.position.x < xs.max()
            assert ys.min() < leak.position.y < ys.max()
            assert 8.0 <= leak.rate_kg_h <= 30.0
            assert 1.0 <= leak.position.height_m <= 3.0
        assert layout.boards == Layout.of(Scenario(seed=seed, leaks=0)).boards


def test_the_truth_names_the_leak_in_metres_and_degrees() -> None:
    scenario = Scenario(seed=5)
    (leak,) = World(scenario, START).truth()["leaks"]
    assert scenario.to_local(leak["latitude"], leak["longitude"]) == pytest.approx((leak["x"], leak["y"]), abs=1e-6)
    assert World(Scenario(seed=5, leaks=0), START).truth()["leaks"] == []


def test_without_a_leak_every_board_sees_the_background() -> None:
    world = World(Scenario(seed=2, leaks=0), START)
    assert set(world.gas_many("ch4", points(world.layout.boards)).tolist()) == {world.background("ch4")}
    assert world.gas("ch4", world.layout.boards[0]) == world.background("ch4")


def test_the_puffs_hold_the_gas_that_was_released() -> None:
    layout = Layout.of(Scenario(seed=6))
    wind, puffs = Wind(6, START.timestamp()), Puffs(6, layout.leaks)
    for _ in range(60):
        wind.step()
        puffs.step(wind)
    (leak,) = layout.leaks
    side, up = np.linspace(-300.0, 300.0, 121), np.arange(0.5, 60.0, 1.0)
    grid = np.array([(x, y) for x in leak.position.x + side for y in leak.position.y + side])
    total = sum(puffs.density(np.column_stack([grid, np.full(len(grid), z)])).sum() for z in up) * 25.0
    assert total == pytest.approx(leak.rate_kg_h / 3600.0 * 120.0, rel=0.02)


def test_a_plume_leans_downwind_of_its_leak() -> None:
    world = World(Scenario(seed=8), START)
    (leak,) = world.layout.leaks
    means = np.zeros(72)
    circle = [math.radians(5.0 * k) for k in range(72)]
    ring = [(leak.position.x + 100 * math.sin(a), leak.position.y + 100 * math.cos(a), 3.0) for a in circle]
    directions = []
    for second in range(0, 600, 10):
        world.advance(START + timedelta(seconds=second))
        means += world.gas_many("ch4", np.array(ring))
        directions.append(math.radians(world.wind().direction_from))
    downwind = math.atan2(-np.mean(np.sin(directions)), -np.mean(np.cos(directions)))
    found = circle[int(means.argmax())]
    assert math.cos(found - downwind) > math.cos(math.radians(20.0))


def test_wind_stays_in_its_range_and_sweeps_directions() -> None:
    sweeps = []
    for seed in range(5):
        wind = Wind(seed, START.timestamp())
        east, speeds = [], []
        for step in range(5400):
            wind.step()
            if step % 30 == 0:
                speed, direction = wind.mean()
                speeds.append(speed)
                east.append(math.radians(direction))
        assert min(speeds) >= 1.5
        assert max(speeds) <= 7.0
        sweeps.append(1 - math.hypot(float(np.mean(np.sin(east))), float(np.mean(np.cos(east)))))
    # A constant wind has 0; a sector of 60 degrees about 0.05.
    assert float(np.median(sweeps)) > 0.05


def test_gas_counts_molecules_of_the_air_that_is_there() -> None:
    world = World(Scenario(seed=1), START)
    place = world.layout.boards[5]
    excess = world.gas("ch4", place) - world.background("ch4")
    density = world.pressure_Pa * 0.0160425 / (GAS_CONSTANT * world.temperature_K)
    assert 0.6 < density < 0.75
    assert excess >= 0.0


def test_sensor_errors_belong_to_sensor_and_moment() -> None:
    one, same, other = sensor_error(1, "board-01"), sensor_error(1, "board-01"), sensor_error(1, "board-02")
    assert one.reading(2.0, START) == same.reading(2.0, START)
    assert one.reading(2.0, START) != other.reading(2.0, START)
    readings = [one.reading(2.0, START + timedelta(seconds=30 * k)) for k in range(400)]
    assert 0.018 < float(np.std(readings)) < 0.033
    offsets = [sensor_error(1, f"board-{k}").offset for k in range(300)]
    assert float(np.std(offsets)) == pytest.approx(0.015, rel=0.15)


def test_the_stack_burns_within_the_ranges_of_its_instruments() -> None:
    world = World(Scenario(seed=1), START)
    gas = world.stack_gas()
    assert 0 < gas["so2"] < 100
    assert 0 < gas["o2"] < 21
    assert gas["differential_pressure"] > 0
