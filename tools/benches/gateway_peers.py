"""Other gateways under the same load, run by the side-by-side bench itself where they are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway_figures import REQUIRED, Figures
from gateway_load import folder
from gateway_meter import spread

INSTALLED = {"modpoll": "modpoll", "thingsboard-sqlite": "thingsboard", "node-red": "nodered"}
RUN_S = 900.0
LATE_UNITS = 100
# Steps above the 50 units of `steady`. Who has all units on one bus can have no more than there are addresses.
MOST_UNITS = (100, 200, 400, 600, 750)
ON_ONE_BUS_MAX = {"modpoll": 247}


def installed() -> dict[str, Path]:
    """Peers that are there, with their folders; they lie in PEERS, or beside the bench's `run.py`."""
    place = Path(os.environ.get("PEERS", folder() / "peers"))
    return {name: place / part for name, part in INSTALLED.items() if (place / part).is_dir()}


class Peer:
    """One of them. `out` takes what it and its bench write."""

    def __init__(self, name: str, place: Path, out: Path, seconds: float) -> None:
        self._name = name
        self._python = place / "bench" / "bin" / "python"
        self._environ = {**os.environ, "PEERS": str(place)}
        self._out = out
        self._seconds = seconds
        self.seen: dict[str, Figures] = {}

    def figures(self, scenarios: set[str]) -> Figures:
        """The figures of the same names as ours, None where it gave none; all that was seen is in `seen`."""
        calm = self._row("steady", "steady") if scenarios & {"steady", "most"} else {}
        bus = self._row("bus", "steady", "--mode", "bus", "--delay", "0.005") if "bus" in scenarios else {}
        dead = self._row("dead", "dead") if "dead" in scenarios else {}
        found: Figures = {
            "cpu_percent": calm.get("cpu_pct"),
            "rss_mb": calm.get("rss_mb_max"),
            "age_p95_ms": (calm.get("age_ms") or {}).get("p95"),
            "requests_per_s": calm.get("modbus_req_s"),
            "bus_share": bus.get("pct_of_healthy"),
            "healthy_share_3_dead": dead.get("pct_of_healthy"),
            "points_per_s_max": self._most(calm) if "most" in scenarios else None,
            "lateness_p99_ms": self._late() if "late" in scenarios else None,
        }
        return {name: found[name] for name in REQUIRED}

    def _most(self, row: Figures) -> float:
        """Values a second of the last step that held, beginning with `steady`."""
        held = 0.0
        for units in MOST_UNITS:
            if not _holds(row):
                break
            held = row["target_points_s"]
            if units > ON_ONE_BUS_MAX.get(self._name, units):
                break
            row = self._row(f"{units} units", "steady", "--units", str(units))
        return held

    def _late(self) -> float | None:
        """By the simulator's clock. A peer tells no instants: a unit's most punctual poll counts as on time."""
        script = Path(__file__).with_name("gateway_peer_reads.py")
        done = self._run(script, folder(), self._name, LATE_UNITS, f"{self._seconds:g}", self._out)
        if not done:
            return None
        lates = [1000 * late for times in json.loads(done) for late in _behind(times)]
        found = spread(lates)
        self.seen["late"] = {"lateness_ms": found}
        return found["p99"]

    def _row(self, title: str, scenario: str, *options: str) -> Figures:
        seconds = f"{self._seconds:g}"
        done = self._run(
            folder() / "run.py", scenario, "--candidates", self._name, "--seconds", seconds, "--work", self._out,
            "--json", *options,
        )  # fmt: skip
        row: Figures = json.loads(done) if done else {"error": "run.py gave no answer"}
        self.seen[title] = row
        return row

    def _run(self, *words: object) -> str:
        """Last line of what a program of the bench says, nothing where it said nothing in time."""
        command = [str(word) for word in (self._python, *words)]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, timeout=RUN_S, env=self._environ, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{self._name}: no end within {RUN_S:g} s", file=sys.stderr)
            return ""
        return (done.stdout.splitlines() or [""])[-1]


def _holds(row: Figures) -> bool:
    """Nothing lost, nothing late, and no round missing but one at the edge of the window."""
    if not row.get("age_ms"):
        return False
    share = 99.0 - 100.0 / row["seconds"]
    return row["pct_of_healthy"] >= share and not row["not_delivered"] and row["age_ms"]["p95"] <= 1000.0


def _behind(times: list[float]) -> list[float]:
    """Seconds by which polls of one unit, due once a second, came after the most punctual of them."""
    phases = [(at - times[0] + 0.5) % 1.0 - 0.5 for at in times]
    return [phase - min(phases) for phase in phases]


def peers(
    wanted: dict[str, Path], scenarios: set[str], seconds: float, out: Path
) -> tuple[dict[str, Figures], dict[str, Any]]:
    """The figures of each peer, by name and folder, as far as the scenarios give them, and all that was seen of it."""
    found, seen = {}, {}
    for name, place in wanted.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        peer = Peer(name, place.parent, out, seconds)
        found[name] = peer.figures(scenarios)
        seen[name] = peer.seen
        print(json.dumps({name: found[name]}), file=sys.stderr, flush=True)
    return found, seen
