"""Score source attribution against the simulated truth, in memory: world -> observations -> sources, per seed.

    tools/bench attribution --seeds 1-10 [--hours 6] [--leaks 1] [--json]

Prints per seed the distance of the nearest found source, the error of its rate, whether the 95 % interval holds the
truth, false sources, and the CPU seconds of the attribution. Exit code 1 where a leak is missed (farther than 50 m or
more than 30 % off) or a source is found without one.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from inversion.attribute import attribute
from inversion.data import MetRow, Observation, Result, Settings
from inversion.geo import around
from inversion.met import mean_direction, yamartino
from simulation.layout import Scenario, points
from simulation.sensor_error import sensor_error
from simulation.world import World

_START = datetime(2025, 6, 1, tzinfo=UTC)
_WIND_S, _READING_S = 10, 30
_FOUND_M, _FOUND_RATE = 50.0, 0.3


@dataclass(frozen=True)
class Score:
    """One leak of one seed."""

    seed: int
    true_rate_kg_h: float
    found_rate_kg_h: float | None
    error_m: float | None
    rate_error: float | None
    in_interval: bool | None
    held: bool


def observe(world: World, start: datetime, hours: float) -> tuple[list[Observation], list[MetRow]]:
    """One-minute averages of every board (a reading each 30 s) and of the mast (a reading each 10 s)."""
    boards = world.layout.boards
    errors = [sensor_error(world.scenario.seed, board.name) for board in boards]
    degrees = [world.scenario.to_degrees(board.x, board.y) for board in boards]
    observations, met = [], []
    for minute in range(int(hours * 60)):
        at = start + timedelta(minutes=minute)
        winds, readings = [], []
        for second in range(0, 60, _WIND_S):
            moment = at + timedelta(seconds=second)
            world.advance(moment)
            winds.append(world.wind())
            if second % _READING_S == 0:
                truths = world.gas_many("ch4", points(boards)).tolist()
                readings.append([error.reading(truth, moment) for error, truth in zip(errors, truths, strict=True)])
        means, spread = np.mean(readings, axis=0).tolist(), np.std(readings, axis=0).tolist()
        for board, place, mean, sd in zip(boards, degrees, means, spread, strict=True):
            observations.append(Observation(board.name, *place, board.height_m, at, 60.0, mean, sd, len(readings)))
        met.append(_met_row(world, at, [(wind.speed, wind.direction_from) for wind in winds]))
    return observations, met


def _met_row(world: World, at: datetime, winds: list[tuple[float, float]]) -> MetRow:
    directions = [direction for _, direction in winds]
    speed = sum(speed for speed, _ in winds) / len(winds)
    return MetRow(
        at, 60.0, speed, mean_direction(directions), yamartino(directions), world.temperature_K, world.pressure_Pa
    )


def score(world: World, result: Result) -> tuple[list[Score], int]:
    """Each leak against the nearest found source, and how many found sources are nearest to no leak."""
    scores, used = [], set()
    for leak in world.truth()["leaks"]:
        apart = [math.hypot(source.x - leak["x"], source.y - leak["y"]) for source in result.sources]
        if not apart or min(apart) > 4 * _FOUND_M:
            scores.append(Score(world.scenario.seed, leak["rate_kg_h"], None, None, None, None, False))
            continue
        nearest = apart.index(min(apart))
        used.add(nearest)
        source, rate = result.sources[nearest], leak["rate_kg_h"]
        off = source.rate_kg_h / rate - 1
        inside = source.interval95[0] <= rate <= source.interval95[1]
        held = apart[nearest] <= _FOUND_M and abs(off) <= _FOUND_RATE
        scores.append(Score(world.scenario.seed, rate, source.rate_kg_h, apart[nearest], off, inside, held))
    return scores, len(result.sources) - len(used)


def run(seed: int, hours: float, leaks: int) -> dict[str, Any]:
    """One seed from world to score."""
    world = World(Scenario(seed, leaks), _START)
    observations, met = observe(world, _START, hours)
    domain = around(observations, world.scenario.latitude, world.scenario.longitude)
    before = time.process_time()
    result = attribute(observations, met, domain, Settings())
    seconds = time.process_time() - before
    scores, false = score(world, result)
    states = [cell.state for cell in result.cells]
    return {
        "seed": seed,
        "leaks": [asdict(one) for one in scores],
        "false": false,
        "covered": round(states.count("covered") / len(states), 2),
        "none": round(states.count("none") / len(states), 2),
        "cpu_s": round(seconds, 2),
    }


def _line(outcome: dict[str, Any]) -> str:
    parts = []
    for leak in outcome["leaks"]:
        if leak["error_m"] is None:
            parts.append(f"{leak['true_rate_kg_h']:.1f} kg/h missed")
        else:
            parts.append(
                f"{leak['true_rate_kg_h']:.1f} kg/h: error_m {leak['error_m']:.1f} rate_error {leak['rate_error']:+.2f}"
                f" in_interval {leak['in_interval']}"
            )
    tail = f"false {outcome['false']} covered {outcome['covered']:.2f} cpu_s {outcome['cpu_s']:.1f}"
    return f"seed {outcome['seed']:4d}  " + "; ".join([*parts, tail])


def main() -> int:
    """Run the seeds asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-10", help="FIRST-LAST")
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--leaks", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    first, _, last = asked.seeds.partition("-")
    outcomes = []
    for seed in range(int(first), int(last or first) + 1):
        outcomes.append(run(seed, asked.hours, asked.leaks))
        if not asked.json:
            print(_line(outcomes[-1]), flush=True)
    if asked.json:
        print(json.dumps(outcomes))
    held = sum(leak["held"] for outcome in outcomes for leak in outcome["leaks"])
    total = sum(len(outcome["leaks"]) for outcome in outcomes)
    false = sum(outcome["false"] for outcome in outcomes)
    print(f"held {held} of {total}, false {false}", file=sys.stderr)
    return 0 if held == total and false == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
