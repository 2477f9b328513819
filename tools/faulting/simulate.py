"""A whole station and its centre in one process, under a seed, in simulated time, with faults drawn at random.

    tools/faults simulate [--seeds A-B] [--days D] [--minutes 5] [--state DIR]     many seeds, a slice at a time
    tools/faults simulate --seed N [--days D] [--faults 3,7] [--trace]             one seed again, all faults or some
    tools/faults simulate --prove                                                  bugs planted on purpose must be found
    tools/faults simulate --quick                                                  two short seeds

A seed that fails prints its faults, and the smallest list of them that still fails. Equal seeds give equal digests of
all that happened and of both stores. Exit code 1 where a rule was broken, or a planted bug not found.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

from campaign import COUNTS, SLICE_MINUTES_MAX, Campaign, Result, keep, lines, table, totals  # noqa: E402

DAYS = 365 / 200
GOAL_HOURS, GOAL_SEEDS = 365 * 24, 200
QUICK_SEEDS, QUICK = (1, 9), {"days": 0.02, "a_day": 200.0}
PROVE_SEEDS, TRIALS_MAX = 6, 60
SHOWN = 8

Request = dict[str, Any]


def carry_out(request: Request) -> Request:
    """One run in a process of its own, with its folder in memory where there is one. Gives the verdict's fields."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    tell = sys.stdout if request.get("trace") else subprocess.DEVNULL
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("sim_child.py")), str(write)],
            input=json.dumps(request), stdout=tell, stderr=subprocess.PIPE, text=True, env=environment,
            check=False, pass_fds=(write,),
        )  # fmt: skip
    finally:
        os.close(write)
        with os.fdopen(read) as file:
            said = file.read()
    if not said:
        kind = "endless" if done.returncode == -signal.SIGPROF else "harness"
        broke = f"{kind} {done.stderr.strip()[-1500:]}"
        return {**request, "faults": [], "violations": [broke], "figures": {}, "digest": ""}
    return dict(json.loads(said))


def rules(verdict: Request) -> set[str]:
    """The rules that were broken."""
    return {text.partition(" ")[0] for text in verdict["violations"]}


def shrink(request: Request, verdict: Request, say: Callable[[str], None], ends: float = float("inf")) -> Request:
    """Leave faults out as long as one of the same rules breaks (delta debugging); gives the smallest failing run.

    No replay begins after `ends` (of the monotonic clock).
    """
    wanted, best = rules(verdict), verdict
    numbers = [fault["number"] for fault in verdict["faults"]]
    parts, trials = 2, 0
    while len(numbers) > 1 and trials < TRIALS_MAX and time.monotonic() < ends:
        size = -(-len(numbers) // parts)
        pieces = [numbers[at : at + size] for at in range(0, len(numbers), size)]
        for piece in pieces:
            fewer = [number for number in numbers if number not in piece]
            trials += 1
            tried = carry_out({**request, "only": fewer, "trace": False})
            if rules(tried) & wanted:
                numbers, best, parts = fewer, tried, max(parts - 1, 2)
                say(f"  {len(numbers)} faults left after {trials} replays")
                break
        else:
            if parts >= len(numbers):
                break
            parts = min(len(numbers), parts * 2)
    return best


def result_of(verdict: Request) -> Result:
    """As the campaigns' common file has it; points are simulated hours."""
    kinds = {"I1": "lost", "I2": "lost", "I3": "doubled", "I5": "periods_missing", "I8": "left_on_gas"}
    counts = dict.fromkeys(COUNTS[1:], 0)
    for text in verdict["violations"]:
        name = kinds.get(text.partition(" ")[0])
        if name:
            counts["doubled" if "twice" in text else name] += 1
    figures = {**verdict["figures"], "days": verdict["days"], "digest": verdict["digest"]}
    return Result(points=round(verdict["days"] * 24), **counts, failures=verdict["violations"], figures=figures)


def one(seed: int, folder: Path, quick: bool) -> Result:
    """One seed, for who runs all campaigns."""
    return result_of(carry_out({"seed": seed, **(QUICK if quick else {"days": DAYS})}))


SIMULATE = Campaign("simulate", "simulated hours", GOAL_HOURS, one)


def report(verdict: Request, seconds: float) -> None:
    """One line, and what broke."""
    figures = verdict["figures"]
    told = ", ".join(f"{figures.get(name, 0)} {name}" for name in ("records", "boots", "checkpoints", "minutes"))
    state = "BROKEN" if verdict["violations"] else "held"
    size = f"{verdict['days']:.2f} days, {len(verdict['faults'])} faults"
    print(f"seed {verdict['seed']}: {size}, {told} in {seconds:.1f} s: {state} {verdict['digest'][:16]}", flush=True)
    for text in verdict["violations"][:SHOWN]:
        print(f"  {text}", flush=True)


def _smallest(request: Request, verdict: Request, ends: float = float("inf")) -> None:
    small = shrink(request, verdict, lambda text: print(text, flush=True), ends)
    numbers = ",".join(str(fault["number"]) for fault in small["faults"])
    how = f"--days {request['days']:g}" + (f" --a-day {request['a_day']:g}" if "a_day" in request else "")
    command = f"tools/faults simulate --seed {request['seed']} {how} --faults {numbers} --trace"
    print(f"  smallest list: {len(small['faults'])} of {len(verdict['faults'])} faults")
    for fault in small["faults"]:
        print(f"    #{fault['number']} at {fault['at']} s: {fault['kind']} for {fault['lasts']} s {fault['more']}")
    for text in small["violations"][:3]:
        print(f"  then: {text}")
    print(f"  again: {command}", flush=True)


def prove() -> int:
    """Plant each bug and look whether it is found within a few seeds; gives the exit code."""
    from sim_bugs import BUGS

    missed = 0
    for name, bug in BUGS.items():
        request = {"days": bug.days, "a_day": bug.faults / bug.days, "bug": name, "kinds": bug.kinds}
        for seed in range(1, PROVE_SEEDS + 1):
            verdict = carry_out({"seed": seed, **request})
            found = next((text for text in verdict["violations"] if text.partition(" ")[0] in bug.rules), None)
            if found is not None:
                print(f"found   {name} ({bug.meaning}): seed {seed}: {found[:160]}", flush=True)
                break
        else:
            missed += 1
            print(f"MISSED  {name} ({bug.meaning}), the last: {verdict['violations'][:1]}", flush=True)
    return 1 if missed else 0


def campaign(seeds: Iterable[int], how: Request, state: Path | None, minutes: float, jobs: int, *, small: bool) -> int:
    """Run seeds that have no result yet until the slice ends; gives the exit code."""
    before = [line for line in lines(state) if line["campaign"] == "simulate"] if state else []
    done = {(line["seed"], line["figures"].get("days")) for line in before}
    ends, broken, made = time.monotonic() + 60 * minutes, False, []
    waiting = iter([seed for seed in seeds if (seed, how["days"]) not in done])

    def work(_: int) -> None:
        nonlocal broken
        for seed in waiting:
            began, request = time.monotonic(), {"seed": seed, **how}
            verdict = carry_out(request)
            seconds = time.monotonic() - began
            made.append(keep(state, "simulate", seed, seconds, result_of(verdict)))
            report(verdict, seconds)
            if verdict["violations"]:
                broken = True
                if small and not rules(verdict) & {"harness"}:
                    _smallest(request, verdict, ends)
            if time.monotonic() > ends:
                return

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(jobs)))
    print(table(totals(made)))
    print(f"{sum(line['points'] for line in [*before, *made])} of {GOAL_HOURS} simulated hours")
    return 1 if broken else 0


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="tools/faults simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default=f"1-{GOAL_SEEDS}", help="A-B, both included; those done are passed over")
    parser.add_argument("--days", type=float, default=DAYS, help="simulated days of a seed")
    parser.add_argument("--minutes", type=float, default=5.0, help="length of this slice, at most 30")
    parser.add_argument("--state", type=Path, help="folder of the cumulative results")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at once")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--faults", help="only these of its faults, by number, with commas; none: no fault at all")
    parser.add_argument("--bug", help="plant one of the bugs of --prove")
    parser.add_argument("--a-day", type=float, help="faults a day, on average")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--no-shrink", action="store_true", help="print a failing list as it is")
    parser.add_argument("--prove", action="store_true", help="plant bugs, and find them")
    parser.add_argument("--quick", action="store_true", help="two short seeds")
    chosen = parser.parse_args()
    if not 0 < chosen.minutes <= SLICE_MINUTES_MAX:
        parser.error(f"--minutes: more than 0, at most {SLICE_MINUTES_MAX:g}")
    return chosen


def main() -> int:
    """The command."""
    chosen = options()
    if chosen.prove:
        return prove()
    if chosen.quick:
        return campaign(QUICK_SEEDS, QUICK, chosen.state, 1.0, max(2, chosen.jobs), small=False)
    if chosen.seed is None:
        first, _, last = chosen.seeds.partition("-")
        how: Request = {"days": chosen.days, **({"a_day": chosen.a_day} if chosen.a_day else {})}
        seeds = range(int(first), int(last or first) + 1)
        return campaign(seeds, how, chosen.state, chosen.minutes, chosen.jobs, small=not chosen.no_shrink)
    request: Request = {"seed": chosen.seed, "days": chosen.days, "bug": chosen.bug, "trace": chosen.trace}
    if chosen.a_day:
        request["a_day"] = chosen.a_day
    if chosen.faults is not None:
        request["only"] = [] if chosen.faults == "none" else [int(number) for number in chosen.faults.split(",")]
    began = time.monotonic()
    verdict = carry_out(request)
    report(verdict, time.monotonic() - began)
    if verdict["violations"] and chosen.faults is None and not chosen.no_shrink:
        _smallest(request, verdict)
    return 1 if verdict["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
