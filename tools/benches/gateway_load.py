"""One test bed of the gateway bench: broker, gate, simulated units, the agent, and a look at the agent from outside.

Simulator and gate are those of the side-by-side bench (`modsim.py`, `gate.py`), started as they are.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_keys import random_seed
from demo_processes import Processes, StartError
from demo_setup import free_port
from gateway_driver import MEASURANDS, NAME
from gateway_meter import Meter
from gateway_processes import Spoken

from host.control import ask

ROOT = Path(__file__).resolve().parent.parent.parent
AGENT = ROOT / ".venv" / "bin" / "plumeline"
FIRST_S = 30.0


def folder() -> Path:
    """Where the side-by-side bench lies."""
    found = Path(os.environ.get("PLUMELINE_GATEWAY_BENCH", ROOT.parent / "shared" / "bench"))
    if not (found / "modsim.py").is_file():
        raise StartError(
            f"no simulator at {found}: set PLUMELINE_GATEWAY_BENCH to the folder of the side-by-side bench"
        )
    return found


@dataclass(frozen=True)
class Load:
    """What is asked of the agent. `hold_s` is how long a silent unit keeps the shared bus."""

    units: int = 50
    registers: int = len(MEASURANDS)
    shared: bool = False
    delay_s: float = 0.0
    silent: tuple[int, ...] = ()
    hold_s: float = 0.5
    gate: bool = False
    log_reads: bool = False
    disk_kB: int = 0

    @property
    def healthy(self) -> list[int]:
        """Units that answer."""
        return [unit for unit in range(1, self.units + 1) if unit not in self.silent]


class Bed:
    """Everything of one scenario. Used as a context; `start` starts the agent, or starts it again."""

    # Where to a profile of the agent goes; None for none. A profiled agent is about half as fast.
    profile: Path | None = None

    def __init__(self, out: Path, load: Load) -> None:
        self.load = load
        self.out = out
        self.processes = Processes(out / "logs")
        self._spoken: list[Spoken] = []
        self.data = out / "data"
        self.data.mkdir(parents=True)

    def __enter__(self) -> "Bed":
        load, bench = self.load, folder()
        port = free_port()
        conf = self.out / "broker.conf"
        conf.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n"
            f"user {os.environ.get('USER', 'root')}\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        )
        self.processes.start("broker", "mosquitto", "-c", conf)
        self.simulator = self._speak(
            bench / "modsim.py", "--control", "--mode", "bus" if load.shared else "tcp50", "--units", str(load.units),
            "--registers", str(load.registers), "--delay", str(load.delay_s), "--hold", str(load.hold_s),
            "--silent", ",".join(map(str, load.silent)), *["--log-reads"] * load.log_reads,
        )  # fmt: skip
        self.gate = self._speak(bench / "gate.py", "--target", str(port)) if load.gate else None
        self.processes.wait_for("the broker", lambda: _meets(port))
        self.meter = Meter(port)
        self._prepare(self.gate.port if self.gate else port)
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop("agent")
        self.meter.close()
        self.processes.stop("broker")
        for one in self._spoken:
            one.stop()

    def _speak(self, script: Path, *arguments: str) -> Spoken:
        one = Spoken(self.out / "logs" / f"{script.stem}.log", script, *arguments)
        self._spoken.append(one)
        return one

    def _prepare(self, broker_port: int) -> None:
        """Configuration, key, and the driver as an installed package would bring it."""
        site = self.out / "site" / "bench_unit-1.dist-info"
        site.mkdir(parents=True)
        (site / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-unit\nVersion: 1\n")
        (site / "entry_points.txt").write_text(f"[plumeline.drivers]\n{NAME} = gateway_driver:ENTRY\n")
        random_seed(self.out / "key")
        self.config = self.out / "station.hjson"
        self.config.write_text(json.dumps(self._document(broker_port), indent=1))
        shutil.copy(Path(__file__).with_name("gateway_driver.py"), site.parent)
        self.env = f"PYTHONPATH={site.parent}"

    def _document(self, broker_port: int) -> dict[str, Any]:
        load, first = self.load, self.simulator.port
        ports = {"bus": first} if load.shared else {f"bus{unit:03d}": first + unit - 1 for unit in self._units}
        return {
            "station": {
                "id": "bench", "network": "bench", "name_zh": "测试", "name_en": "Bench", "simulated": True,
                "position": {"latitude": 31.2, "longitude": 121.5, "height_m": 10, "datum": "WGS-84"},
            },
            "store": {"path": str(self.data), "commit_ms": 50, "quota_GB": 10000},
            "ledger": {"key": {"file": str(self.out / "key")}},
            "buses": {
                name: {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": port}, "protocol": "modbus-tcp"}
                for name, port in ports.items()
            },
            "instruments": {
                f"dev{unit:03d}": {
                    "driver": NAME, "bus": "bus" if load.shared else f"bus{unit:03d}", "unit": (unit - 1) % 247 + 1,
                    "poll_s": 1, "kind": "regulated", "rule": "hj-stack",
                }
                for unit in self._units
            },
            "uplinks": {"centre": {"kind": "mqtt", "host": "127.0.0.1", "port": broker_port}},
            "socket": str(self.out / "socket"),
        }  # fmt: skip

    @property
    def _units(self) -> range:
        return range(1, self.load.units + 1)

    def start(self) -> None:
        """Start the agent; on a disk of its own where the load says so."""
        wrapped: list[str | Path] = []
        if self.load.disk_kB:
            mount = f'mount -t tmpfs -o size={self.load.disk_kB}k bench "{self.data}" && exec "$@"'
            wrapped = ["unshare", *(["-m"] if os.geteuid() == 0 else ["-Urm"]), "--", "sh", "-c", mount, "sh"]
        profiler: list[str | Path] = [sys.executable, "-m", "cProfile", "-o", self.profile] if self.profile else []
        # The service manager gives the agent this environment, too.
        env = ["env", self.env, "MALLOC_ARENA_MAX=1"]
        self.processes.start("agent", *wrapped, *env, *profiler, AGENT, "run", self.config)

    def ready(self) -> None:
        """Wait for the first record."""
        self.processes.wait_for("the first record", lambda: self.meter.first_at is not None, FIRST_S)

    def stay(self, seconds: float) -> None:
        """Let it run."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.processes.check()
            time.sleep(min(0.5, left))

    @property
    def pid(self) -> int:
        """The agent's process."""
        return self.processes.pid("agent")

    def grow(self, size_kB: int) -> None:
        """Give the agent's disk more room."""
        enter = ["-m"] if os.geteuid() == 0 else ["-U", "--preserve-credentials", "-m"]
        mount = ["mount", "-t", "tmpfs", "-o", f"remount,size={size_kB}k", "bench", str(self.data)]
        subprocess.run(["nsenter", "-t", str(self.pid), *enter, *mount], check=True)

    def pollers(self) -> dict[int, dict[str, Any]]:
        """What the agent says of its polls of each unit."""

        async def told() -> dict[str, Any]:
            return await anext(ask(str(self.out / "socket"), {"do": "status"}))

        status = asyncio.run(told())
        return {unit: status["instruments"][f"dev{unit:03d}"] for unit in self._units}

    def words(self) -> list[str]:
        """What the agent has logged."""
        return (self.out / "logs" / "agent.log").read_text(errors="replace").splitlines()


def _meets(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
