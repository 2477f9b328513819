"""The load of data-acquisition gateways on the whole agent: 50 units of 20 registers, once a second, to a broker.

    tools/bench gateway [SCENARIO ...] [--seconds 20] [--peers] [--json]

Scenarios (all of them where none is named): `steady` (a TCP port for each unit), `bus` (one shared bus of 5 ms an
answer), `dead` (the same with 3 of the 50 silent, each try to one keeps the bus busy for 0.5 s; the window begins 10 s
after the start), `most` (250, 400, 600, then 750 units: points a second one process holds), `late` (100 units: how late
polls begin), `cut` (the uplink goes away and comes back), `kill` (SIGKILL and restart while it is away), `full` (the
disk under the store fills up while it is away). The simulated units and the gate are those of the side-by-side bench,
found by PLUMELINE_GATEWAY_BENCH or beside this project as `shared/bench`; docs/bench-gateway.md says how each read is
accounted for. Exit code 1 where a figure that is required is missed or a scenario did not come to its end.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from demo_processes import StartError
from footprint import compiled, machine
from gateway_figures import Figures, held, show, summary
from gateway_load import Bed, Load
from gateway_meter import spread
from gateway_peers import INSTALLED, installed, peers
from gateway_processes import Look, Wakes

SHARED = {"shared": True, "delay_s": 0.005}
WARM_S, DEAD_WARM_S, SETTLE_S, BETWEEN_S = 8.0, 10.0, 15.0, 0.9
MOST_UNITS = (250, 400, 600, 750)
MOST_WARM_S = 20.0


def window(bed: Bed, seconds: float, warm_s: float = WARM_S) -> Figures:
    """One undisturbed window after the start."""
    bed.start()
    bed.ready()
    bed.stay(warm_s)
    # Between the polls of one second and the next, so that a window of whole seconds holds whole rounds.
    time.sleep((BETWEEN_S - time.time()) % 1.0)
    before = bed.simulator.ask("mark")
    bed.meter.begin()
    look = Look(bed.pid)
    bed.stay(seconds)
    after = bed.simulator.ask("stats")
    found = {"began": before["t"]} | bed.meter.result(bed.load.healthy, bed.load.registers) | look.stop()
    found["requests_per_s"] = round((after["requests"] - before["requests"]) / (after["t"] - before["t"]), 1)
    found["poll_gap_ms"] = {name: after[f"gap_ms_{name}"] for name in ("p50", "p99", "max")}
    found["reads"] = sum(after["counters"]) - sum(before["counters"])
    found["lost"] = len(bed.meter.settled(before["counters"], after["counters"], SETTLE_S))
    return found


def steady(out: Path, seconds: float) -> Figures:
    """A port for each unit."""
    with Bed(out, Load()) as bed:
        return window(bed, seconds)


def bus(out: Path, seconds: float) -> Figures:
    """One bus for all."""
    with Bed(out, Load(**SHARED)) as bed:
        return window(bed, seconds)


def dead(out: Path, seconds: float) -> Figures:
    """Three units of the bus are silent from the start."""
    with Bed(out, Load(**SHARED, silent=(10, 25, 40))) as bed:
        return window(bed, seconds, DEAD_WARM_S)


def most(out: Path, seconds: float) -> Figures:
    """More and more units, as long as all of their readings come and no poll is left out."""
    found: Figures = {"points_per_s_max": 0}
    for units in MOST_UNITS:
        try:
            with Bed(out / str(units), Load(units=units)) as bed:
                step = window(bed, seconds, MOST_WARM_S)
        except StartError as error:
            found[f"{units} units"] = {"error": str(error)}
            break
        found[f"{units} units"] = step
        if not 99.0 <= step["healthy_share"] <= 101.0 or step["lost"] or step["age_ms"]["p95"] > 1000:
            break
        found["points_per_s_max"] = step["points_per_s"]
    return found


def late(out: Path, seconds: float) -> Figures:
    """How long after the instant a poll is due its answer leaves the unit; every poll of 100 units is looked at."""
    with Bed(out, Load(units=100, log_reads=True)) as bed:
        wakes = Wakes(WARM_S + seconds)
        found = window(bed, seconds)
        began = found["began"]
        reads: list[list[float]] = bed.simulator.ask("reads")["reads"]
        said = bed.pollers()
    # An answer a little before its instant, by the clocks' own quarrel, is early and not a second late.
    lates = [
        (at - said[unit]["offset_s"] + 0.5) % 1.0 - 0.5
        for unit, times in enumerate(reads, 1)
        for at in times
        if at > began
    ]
    return found | {
        "lateness_ms": spread([1000 * late for late in lates]),
        "wake_ms": spread(wakes.result()),
    }


def cut(out: Path, seconds: float) -> Figures:
    """The broker is away for so long, twice: it refuses, then nothing passes."""
    found: Figures = {}
    for how in ("refuse", "hang"):
        with Bed(out / how, Load(gate=True)) as bed:
            assert bed.gate
            bed.start()
            bed.ready()
            bed.stay(WARM_S)
            before = bed.simulator.ask("mark")
            bed.meter.begin()
            look = Look(bed.pid)
            bed.gate.ask(how)
            bed.stay(seconds)
            opened = time.time()
            bed.gate.ask("open")
            bed.stay(seconds)
            after = bed.simulator.ask("stats")
            lost = bed.meter.settled(before["counters"], after["counters"], SETTLE_S)
            counts = bed.meter.result(bed.load.healthy, bed.load.registers)
            found[how] = {
                "reads": sum(after["counters"]) - sum(before["counters"]), "lost": len(lost),
                "repeats": counts["repeats"], **bed.meter.drain(opened), **look.stop(),
            }  # fmt: skip
    return found


def kill(out: Path, seconds: float, kills: int = 3) -> Figures:
    """SIGKILL while the uplink is away; whatever was read more than a second before must still arrive."""
    with Bed(out, Load(gate=True, log_reads=True)) as bed:
        assert bed.gate
        bed.start()
        bed.ready()
        bed.stay(WARM_S)
        before = bed.simulator.ask("mark")
        bed.meter.begin()
        bed.gate.ask("refuse")
        killed, back = [], []
        for _ in range(kills):
            bed.stay(seconds / kills)
            bed.processes.kill("agent")
            killed.append(time.time())
            polled = sum(bed.simulator.ask("stats")["counters"])
            bed.start()
            bed.processes.wait_for(
                "polls after the kill",
                lambda polled=polled: sum(bed.simulator.ask("stats")["counters"]) > polled + bed.load.units,
            )
            back.append(round(time.time() - killed[-1], 1))
        bed.stay(3.0)
        opened, after = time.time(), bed.simulator.ask("stats")
        bed.gate.ask("open")
        lost = bed.meter.settled(before["counters"], after["counters"], SETTLE_S)
        reads = bed.simulator.ask("reads")["reads"]
        times = [reads[unit - 1][number - 1] for unit, number in lost]
        ago = [min((at - answered for at in killed if at >= answered), default=math.inf) for answered in times]
        return {
            "reads": sum(after["counters"]) - sum(before["counters"]), "kills": kills, "back_s": back,
            "lost_in_last_s": sum(age <= 1 for age in ago), "lost_older": sum(age > 1 for age in ago),
            **bed.meter.drain(opened),
        }  # fmt: skip


def full(out: Path, seconds: float) -> Figures:
    """The disk fills up while the uplink is away, stays full, and gets room again."""
    with Bed(out, Load(gate=True, log_reads=True, disk_kB=2048)) as bed:
        assert bed.gate
        bed.start()
        bed.ready()
        bed.stay(WARM_S)
        before = bed.simulator.ask("mark")
        bed.meter.begin()
        bed.gate.ask("refuse")
        bed.processes.wait_for("a full disk", lambda: any("full" in word for word in bed.words()), 90.0)
        filled = time.time()
        bed.stay(seconds)
        bed.grow(262144)
        room = time.time()
        bed.stay(5.0)
        opened, after = time.time(), bed.simulator.ask("stats")
        bed.gate.ask("open")
        lost = bed.meter.settled(before["counters"], after["counters"], SETTLE_S)
        reads = bed.simulator.ask("reads")["reads"]
        times = [reads[unit - 1][number - 1] for unit, number in lost]
        polled = sum(filled < at < room for one in reads for at in one)
        return {
            "reads": sum(after["counters"]) - sum(before["counters"]), "lost": len(lost),
            "lost_while_full": sum(filled < at <= room for at in times), "read_while_full": polled,
            "lost_after_room": sum(at > room for at in times),
            "said": [word for word in bed.words() if "full" in word][:2], **bed.meter.drain(opened),
        }  # fmt: skip


def last_words(out: Path, lines: int = 8) -> list[str]:
    """The end of what the agents of a scenario have logged."""
    logs = sorted(out.rglob("agent.log"))
    return [line for log in logs for line in log.read_text(errors="replace").splitlines()[-lines:]]


SCENARIOS: dict[str, Callable[[Path, float], Figures]] = {
    "steady": steady, "bus": bus, "dead": dead, "most": most, "late": late, "cut": cut, "kill": kill, "full": full,
}  # fmt: skip


def main() -> int:
    """Run the scenarios one after the other in a new temporary folder."""
    parser = argparse.ArgumentParser(
        prog="tools/bench gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a window, of a cut, of a full disk")
    parser.add_argument("--profile", type=Path, help="write a profile of the last agent here (cProfile)")
    parser.add_argument(
        "--peers", nargs="?", const="all", default="", metavar="NAME,...",
        help="run these of the installed peers, too; all of them where none is named",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if strangers := set(options.scenarios) - SCENARIOS.keys():
        parser.error(f"no scenario {', '.join(strangers)}; there are {', '.join(SCENARIOS)}")
    try:
        there = installed() if options.peers else {}
    except StartError as error:
        parser.error(str(error))
    wanted = list(there) if options.peers == "all" else [name for name in options.peers.split(",") if name]
    if strangers := set(wanted) - INSTALLED.keys():
        parser.error(f"no peer {', '.join(strangers)}; there are {', '.join(INSTALLED)}")
    if missing := set(wanted) - there.keys():
        parser.error(f"not installed: {', '.join(missing)}; docs/bench-gateway.md says how")
    os.environ["PATH"] += ":/usr/sbin"
    Bed.profile = options.profile
    compiled()
    rows: dict[str, Figures] = {}
    failed: list[str] = []
    names = options.scenarios or list(SCENARIOS)
    with tempfile.TemporaryDirectory(prefix="plumeline-gateway-") as folder:
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                rows[name] = SCENARIOS[name](Path(folder) / name, options.seconds) | {"load": machine()["load"]}
            except StartError as error:
                print(f"{name}: {error}", *last_words(Path(folder) / name), sep="\n", file=sys.stderr)
                failed.append(name)
                continue
            print(json.dumps({name: rows[name]}), file=sys.stderr, flush=True)
        others, seen = peers({name: there[name] for name in wanted}, set(names), options.seconds, Path(folder))
    figures = summary(rows)
    if options.json:
        print(json.dumps({"machine": machine(), **figures, **others, "scenarios": rows, "peers": seen}))
    else:
        show(figures, others, rows)
    return 0 if not failed and all(held(name, value) for name, value in figures.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
