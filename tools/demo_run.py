#!/usr/bin/env python3
"""Three simulated stations, their agents, a broker and a centre on this machine, until Ctrl-C.

tools/demo                         runs with a page; type `truth` to be shown where the leak is
tools/demo --check [--json]        runs by itself, breaks things on purpose, compares, exits 0 if the line held
tools/demo --real [--check]        the recorded Picarro hour through driver, log and both uplinks
"""

import argparse
import json
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from demo_processes import Processes, StartError
from demo_setup import Run, free_port, set_up
from demo_verdict import judge

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
WORLD_START = 1781483280.0  # 2026-06-15 00:28 UTC: a morning, wind turns during the hours that follow
RATE = 120.0
CHECK_RUN_S = 184.0  # up to the attribution of the sixth world hour
# Shares of the run at which an agent is killed and the broker goes away.
KILL_AT = 0.25
OUTAGE_AT = 0.4
OUTAGE_S = 20.0


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="tools/demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="run by itself and judge the result")
    parser.add_argument("--json", action="store_true", help="with --check: print nothing but the JSON object")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another field, wind and leak")
    parser.add_argument("--no-leak", action="store_true", help="a field without a leak")
    parser.add_argument("--out", type=Path, help="folder for everything of the run (default: a new temporary one)")
    parser.add_argument("--rate", type=float, help="world seconds per wall second (default 120, with --real 60)")
    parser.add_argument("--seconds", type=float, default=CHECK_RUN_S, help="with --check: how long the line runs")
    parser.add_argument("--real", action="store_true", help="play the recorded analyzer instead of a simulated world")
    return parser.parse_args()


class Demo:
    """One run."""

    def __init__(self, options: argparse.Namespace, out: Path, say: Callable[[str], None]) -> None:
        self.options = options
        self.run = Run(out, free_port(), free_port(), free_port(), None if options.check else free_port())
        self.say = say
        self.stations: list[str] = []
        self.outages: list[tuple[float, float]] = []
        self.rate = options.rate or RATE
        self.clock = f"{time.time():.3f},{WORLD_START:.0f},{self.rate:g}"
        self.password = secrets.token_urlsafe(9)

    def start(self, processes: Processes) -> None:
        """Start everything in the order in which it is needed."""
        out = self.run.out
        self.say("starting the simulated instruments")
        leak = ["--no-leak"] if self.options.no_leak else []
        processes.start(
            "sim", BIN / "plumeline-sim", "field", "--out", out, "--seed", str(self.options.seed), *leak,
            "--clock", self.clock,
        )  # fmt: skip
        processes.wait_for("the simulation", (out / "wires" / "ports.json").exists)
        self.stations = set_up(self.run)
        self.say("starting broker, centre and stations")
        self.broker(processes)
        self.set_password()
        processes.start("central", BIN / "plumeline-central", "run", self.run.config("central"), "--clock", self.clock)
        for name in self.stations:
            self.agent(processes, name)
        processes.wait_for("the stations", self.all_answer, 60.0)

    def set_password(self) -> None:
        """Give the centre its first password, as an administrator would."""
        command = [BIN / "plumeline-central", "password", self.run.config("central")]
        subprocess.run(command, input=f"{self.password}\n".encode(), check=True, stdout=subprocess.DEVNULL)

    def broker(self, processes: Processes) -> None:
        """Start mosquitto."""
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        processes.start("broker", mosquitto, "-c", self.run.out / "config" / "mosquitto.conf")

    def agent(self, processes: Processes, name: str) -> None:
        """Start one station."""
        processes.start(name, BIN / "plumeline", "run", self.run.config(name), "--clock", self.clock)

    def all_answer(self) -> bool:
        """Whether every station's socket is there."""
        return all((self.run.out / "stations" / name / "control.sock").exists() for name in self.stations)

    def breakages(self, processes: Processes, length_s: float) -> None:
        """Kill an agent, take the broker away, and let the run end `length_s` wall seconds from now."""
        began = time.monotonic()

        def until(second: float) -> None:
            while time.monotonic() < began + second:
                processes.check()
                time.sleep(min(0.2, max(0.0, began + second - time.monotonic())))

        until(KILL_AT * length_s)
        self.say("SIGKILL to the field's agent, and start again")
        processes.kill("field-01")
        self.agent(processes, "field-01")
        until(OUTAGE_AT * length_s)
        self.say(f"the broker is gone for {OUTAGE_S:g} s")
        gone = time.time()
        processes.kill("broker")
        until(OUTAGE_AT * length_s + OUTAGE_S)
        self.broker(processes)
        self.outages.append((gone, time.time()))
        until(length_s)

    def finish(self, processes: Processes) -> None:
        """Stop in order: instruments first, so that nothing is answered that nobody can keep."""
        processes.stop("sim")
        processes.stop(*self.stations)
        processes.stop("central")
        processes.stop("broker")


def check(options: argparse.Namespace, out: Path) -> int:
    """Run, break, stop, compare; exit code 0 where everything held."""
    began = time.monotonic()
    say: Callable[[str], None] = (lambda _: None) if options.json else (lambda text: print(text, flush=True))
    demo = Demo(options, out, say)
    with Processes(out / "logs") as processes:
        demo.start(processes)
        demo.breakages(processes, options.seconds)
        demo.finish(processes)
    result = judge(demo.run, demo.outages, leak=not options.no_leak)
    result["seconds"] = round(time.monotonic() - began, 1)
    result["out"] = str(out)
    print(json.dumps(result, ensure_ascii=False, indent=None if options.json else 1), flush=True)
    return 0 if result["ok"] else 1


def reveal(run: Run) -> str:
    """Say where the leak is, and lay it on the map as the extra layer."""
    leaks: list[dict[str, Any]] = json.loads((run.out / "truth.json").read_text())["leaks"]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [leak["longitude"], leak["latitude"]]},
            "properties": {
                "name_en": f"truth: {leak['rate_kg_h']:g} kg/h",
                "name_zh": f"真值：{leak['rate_kg_h']:g} kg/h",
            },
        }
        for leak in leaks
    ]
    layer = run.store.with_name("layer.geojson")
    whole = layer.with_suffix(".new")
    whole.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False))
    whole.replace(layer)
    lines = [
        f"  {leak['gas']} {leak['rate_kg_h']:g} kg/h at {leak['latitude']:.5f}, {leak['longitude']:.5f}"
        for leak in leaks
    ]
    return "\n".join(lines) or "  no leak"


def lines_from(source: TextIO) -> Iterator[str | None]:
    """Lines as they are typed, and None each second without one; after the end of the input only None."""
    open_ = True
    while True:
        ready = select.select([source], [], [], 1.0)[0] if open_ else time.sleep(1.0)
        line = source.readline() if ready else None
        open_ = open_ and line != ""
        yield line or None


def interactive(options: argparse.Namespace, out: Path) -> int:
    """Run with a page until Ctrl-C."""
    demo = Demo(options, out, lambda text: print(text, flush=True))
    with Processes(out / "logs") as processes:
        try:
            demo.start(processes)
            print(
                f"\n  map      http://127.0.0.1:{demo.run.http_port}/\n  password {demo.password}\n"
                f"  station  http://127.0.0.1:{demo.run.page_port}/ (set its password with the code in\n"
                f"           {out}/stations/{demo.stations[0]}/page-password.setup)\n"
                f"  the world runs {demo.rate:g} times as fast as the clock; a leak shows after some hours of wind\n"
                f"  everything of this run lies in {out}\n\n"
                "  type `truth` to be shown where the leak is; Ctrl-C ends everything\n",
                flush=True,
            )
            for line in lines_from(sys.stdin):
                processes.check()
                if line and line.strip() == "truth":
                    print(reveal(demo.run), flush=True)
        except KeyboardInterrupt:
            print("ending", flush=True)
            demo.finish(processes)
    return 0


def main() -> int:
    """Prepare the folder and run."""
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs deaf to the first
        signal.signal(number, signal.default_int_handler)
    out = (options.out or Path(tempfile.mkdtemp(prefix="plumeline-demo-"))).absolute()
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(out.iterdir()):
        print(f"{out} is not empty: give a new folder with --out", file=sys.stderr)
        return 2
    try:
        if options.real:
            from demo_real import real

            return real(options, out)
        return check(options, out) if options.check else interactive(options, out)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
