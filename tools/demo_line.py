"""One demo run: what is started, in which order, what is broken on purpose, and how it ends."""

import argparse
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from demo_processes import Processes
from demo_setup import Run, free_port, set_up

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
WORLD_START = 1781483280.0  # 2026-06-15 00:28 UTC: a morning, wind turns during the hours that follow
RATE = 120.0
# Shares of the run at which an agent is killed and the broker goes away.
KILL_AT = 0.25
OUTAGE_AT = 0.4
OUTAGE_S = 20.0


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
        """Give the centre its first account, as an administrator would."""
        command = [BIN / "plumeline-central", "user", "add", self.run.config("central"), "demo", "--role", "admin"]
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
