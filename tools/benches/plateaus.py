"""How well plateaus of tank gas are found: hit and false rates over simulated recordings, and the error of the means.

Usage: tools/bench plateaus [--seeds 30] [--json]
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

# A bench beside this one has the name of the package that is measured: this folder must not come first.
sys.path = [one for one in sys.path if Path(one or ".").resolve() != Path(__file__).resolve().parent]

from calibration.recorded.plateaus import Plateau, Plateaus  # noqa: E402
from metrology.recorded import Row  # noqa: E402
from simulation.plateau_truth import CASES, Case, Score, recording, score  # noqa: E402


def found(rows: list[Row]) -> list[tuple[float, float, float]]:
    """Plateaus of the CO2 of a recording: start, end, mean."""
    search = Plateaus()
    plateaus: list[Plateau] = [one for row in rows for one in search.add(row)]
    plateaus += search.end()
    return [(one.start / 1e6, one.end / 1e6, one.mean) for one in plateaus if one.species == "co2_dry"]


def measured(case: Case, seeds: int) -> dict[str, Any]:
    """Rates over all seeds of one case."""
    scores: list[Score] = []
    rows, took = 0, 0.0
    for seed in range(seeds):
        series, truth = recording(case, seed)
        begun = time.perf_counter()
        scores.append(score(truth, found(series)))
        took += time.perf_counter() - begun
        rows += len(series)
    bias = [one for each in scores for one in each.bias]
    return {
        "case": case.name,
        "tanks": sum(one.tanks for one in scores),
        "found": sum(one.found for one in scores),
        "false": sum(one.false for one in scores),
        "hours": seeds * case.hours,
        "bias": math.fsum(bias) / len(bias) if bias else None,
        "worst": max(map(abs, bias), default=None),
        "rows_per_s": round(rows / took),
    }


def main() -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    line = parser.parse_args()
    results = []
    for case in CASES:
        one = measured(case, line.seeds)
        results.append(one)
        if not line.json:
            print(
                f"{one['case']:34s} found {one['found']:4d} of {one['tanks']:4d}, false {one['false']:3d} in "
                f"{one['hours']:.0f} h, CO2 bias {one['bias']:+.4f}, worst {one['worst']:.3f} umol/mol, "
                f"{one['rows_per_s']} rows/s",
                flush=True,
            )
    if line.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
