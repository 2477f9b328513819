"""`tools/demo --real`: the recorded Picarro hour through driver, agent, log and both uplinks to the centre."""

import argparse
import contextlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo_keys import Authority
from demo_line import BIN, ROOT, Demo
from demo_processes import Processes
from demo_setup import broker_config, central_config, station_config

FILE = Path("picarro_g2301") / "CFADS2283-20150831-171845Z-DataLog_User.dat"
FIRST_ROW = 1441041520.0  # 2015-08-31 17:18:40 UTC
HOURS_END_S = 6080.0  # 19:00:00 UTC: the second hour has ended
# The analyzer keeps 512 rows: the station must be there before the world has moved on by as many.
LEAD_WALL_S = 10.0
CLOSE_WALL_S = 5.0  # then the hour is closed and sent
RATE = 60.0
COLUMNS = ("ALARM_STATUS", "INST_STATUS", "species", "MPVPosition", "solenoid_valves", "CH4", "CH4_dry", "CO2",
           "CO2_dry", "H2O", "h2o_reported")  # fmt: skip
PLACE = {"latitude": 37.5, "longitude": -77.5, "height_m": 1.0, "datum": "WGS-84"}
STATION = "tower-01"


def layout(port: int, decimals: int) -> dict[str, Any]:
    """One station with one analyzer, in the shape the simulation gives."""
    crds = {"what": "picarro-crds", "bus": "crds", "kind": "research", "rule": "ghg", "columns": list(COLUMNS),
            "decimals": decimals, "row_s": 1.3, "poll_s": 10, "position": PLACE}  # fmt: skip
    bus = {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": port}, "protocol": "text"}
    return {
        "stations": {
            STATION: {
                "network": "demo", "name_en": "Recorded analyzer", "name_zh": "实测记录回放", "simulated": True,
                "position": PLACE, "buses": {"crds": bus}, "instruments": {"crds": crds}, "valves": {},
            }
        }
    }  # fmt: skip


def recorded_file() -> Path:
    """The recording; ends the program with a clear word where it is absent."""
    folder = Path(os.environ.get("PLUMELINE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / FILE).is_file():
        raise SystemExit(f"no recording at {folder / FILE}: set PLUMELINE_DATA to the folder of recorded data")
    return folder / FILE


class RealDemo(Demo):
    """The recorded run."""

    def __init__(self, options: argparse.Namespace, out: Path, say: Callable[[str], None]) -> None:
        super().__init__(options, out, say)
        self.rate = options.rate or RATE
        self.clock = f"{time.time():.3f},{FIRST_ROW - LEAD_WALL_S * self.rate:.0f},{self.rate:g}"
        self.length_s = LEAD_WALL_S + HOURS_END_S / self.rate + CLOSE_WALL_S
        self.ends = time.monotonic() + self.length_s

    def start(self, processes: Processes) -> None:
        """Start player, broker, centre and station."""
        out, ports = self.run.out, self.run.out / "wires" / "ports.json"
        processes.start(
            "sim", BIN / "plumeline-sim", "play", recorded_file(), "--out", out, "--name", f"{STATION}.crds",
            "--columns", ",".join(COLUMNS), "--clock", self.clock,
        )  # fmt: skip
        processes.wait_for("the player", ports.exists)
        described = layout(json.loads(ports.read_text())[f"{STATION}.crds"], 10)
        (out / "secrets").mkdir(mode=0o700)
        authority = Authority(out / "secrets" / "tls")
        vkey = station_config(self.run, STATION, described["stations"][STATION], {}, authority)
        central_config(self.run, described, {STATION: vkey}, authority)
        broker_config(self.run, authority)
        self.stations = [STATION]
        self.broker(processes)
        self.set_password()
        processes.start("central", BIN / "plumeline-central", "run", self.run.config("central"), "--clock", self.clock)
        self.agent(processes, STATION)
        processes.wait_for("the station", self.all_answer, 60.0)


def real(options: argparse.Namespace, out: Path) -> int:
    """Play the hour, then judge; without `--check` the page stays until Ctrl-C."""
    say: Callable[[str], None] = (lambda _: None) if options.json else (lambda text: print(text, flush=True))
    demo = RealDemo(options, out, say)
    with Processes(out / "logs") as processes:
        demo.start(processes)
        say(f"map http://127.0.0.1:{demo.run.http_port}/  sign in as demo, password {demo.password}")
        say(f"playing one recorded hour {demo.rate:g} times as fast; ends in {demo.length_s:.0f} s")
        with contextlib.suppress(KeyboardInterrupt):
            while time.monotonic() < demo.ends or not options.check:
                processes.check()
                time.sleep(0.2)
        processes.stop(STATION, "sim")
        processes.stop("central", "broker")
    from compare_recording import compare

    with sqlite3.connect(f"{demo.run.store.resolve().as_uri()}?mode=ro", uri=True) as store:
        result = compare(recorded_file(), store)
    print(json.dumps(result, indent=None if options.json else 1), file=sys.stdout, flush=True)
    return 0 if result["ok"] else 1
