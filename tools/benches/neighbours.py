"""How often the neighbours' check finds a drift and how often it accuses a sound board, over simulated weeks.

    tools/bench neighbours [--seeds COUNT] [--days DAYS] [--json]

Eight boards, hourly means of CH4, sources beside them; a difference of 0.1 umol/mol matters. `found` is the share of
seeds in which the board that drifts is said to; `accused` the share of sound boards that are not `ok`; `error` the
median error of the difference that is taken off, in umol/mol.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace

from calibration.neighbours import LIMITS, survey
from calibration.robust import median
from simulation.drifting import Weeks, hourly, name

CASES = {
    "no source": Weeks(0),
    "a weak source, 0.5 umol/mol": Weeks(0, plume=0.5),
    "a source, 2 umol/mol": Weeks(0, plume=2.0),
    "a strong source, 5 umol/mol, in a quarter of all winds": Weeks(0, plume=5.0, plume_sector_deg=90.0),
    "a strong source, 5 umol/mol, in a third of all winds": Weeks(0, plume=5.0, plume_sector_deg=120.0),
    "drift 0.05 a week": Weeks(0, plume=2.0, drift={name(0): 0.05}),
    "drift 0.1 a week": Weeks(0, plume=2.0, drift={name(0): 0.1}),
    "drift -0.1 a week": Weeks(0, plume=2.0, drift={name(0): -0.1}),
    "drift 0.2 a week": Weeks(0, plume=2.0, drift={name(0): 0.2}),
    "drift 0.1 a week, three boards": Weeks(0, boards=3, plume=2.0, drift={name(0): 0.1}),
    "two drift by 0.1 and -0.1 a week": Weeks(0, plume=2.0, drift={name(0): 0.1, name(1): -0.1}),
    "slope 1.5": Weeks(0, plume=2.0, gain={name(0): 1.5}),
    "slope 0.7": Weeks(0, plume=2.0, gain={name(0): 0.7}),
}


@dataclass(frozen=True)
class Row:
    case: str
    found: float | None
    accused: float
    error: float | None
    doubtful: float
    ms: float


def row(case: str, weeks: Weeks, seeds: int, limit: float) -> Row:
    changed = {*weeks.drift, *weeks.gain}
    found = accused = doubtful = told = 0
    errors, spent = [], 0.0
    for seed in range(seeds):
        boards, _ = hourly(replace(weeks, seed=seed))
        began = time.process_time()
        result = survey(boards, limit, 24 * weeks.days)
        spent += time.process_time() - began
        doubtful += result.doubt is not None
        told += result.doubt is None
        for one in result.findings if result.doubt is None else ():
            if one.board not in changed:
                accused += one.verdict != "ok"
                continue
            found += one.verdict == "drifting"
            if one.proposal and one.board in weeks.drift:
                errors.append(abs((one.offset or 0.0) - weeks.drift[one.board] * weeks.days / 7))
    share = found / (seeds * len(changed)) if changed else None
    sound = max(1, told * (weeks.boards - len(changed)))
    error = median(errors) if errors else None
    return Row(case, share, accused / sound, error, doubtful / seeds, 1000 * spent / seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--json", action="store_true")
    line = parser.parse_args()
    rows = [row(case, replace(weeks, days=line.days), line.seeds, LIMITS["ch4"]) for case, weeks in CASES.items()]
    if line.json:
        print(json.dumps([asdict(one) for one in rows]))
        return
    print(f"{'case':56}{'found':>8}{'accused':>9}{'error':>8}{'doubtful':>10}{'ms':>6}")
    for one in rows:
        found = "-" if one.found is None else f"{one.found:.1%}"
        error = "-" if one.error is None else f"{one.error:.3f}"
        print(f"{one.case:56}{found:>8}{one.accused:>9.2%}{error:>8}{one.doubtful:>10.1%}{one.ms:>6.1f}")


if __name__ == "__main__":
    main()
