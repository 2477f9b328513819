"""A whole line of real processes for the fault campaigns: instruments, daemon, a broker that keeps nothing, centre.

The centre takes both ways: MQTT, and HJ 212 as a platform. What the daemon says it has taken is asked over its socket
all the time, so that a kill can be held against the last answer before it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benches"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from campaign import ROOT, SkippedError
from demo_keys import random_seed
from demo_processes import Processes, StartError
from demo_setup import free_port
from gateway_driver import NAME
from line_config import PORTS, STATION, central_of, station_of
from warm import Warm

from host.control import RequestError, ask

TOOLS = ROOT / "tools"
ASK_S, START_S = 0.2, 40.0


def needs() -> None:
    """A broker must be installed."""
    if not shutil.which("mosquitto"):
        raise SkippedError("mosquitto is not installed")


@dataclass(frozen=True)
class Shape:
    """`station`, `centre`: what stands before the commands of either side (a network namespace), and where it listens.

    `before` is called before anything of the product is started. `warm`: the daemon is forked from a process that has
    its modules, which makes a start several times shorter. `rate`: seconds of station and centre in one of the wall.
    """

    units: int = 50
    poll_s: float = 1.0
    store: Path | None = None
    station: tuple[str, ...] = ()
    centre: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    hj212: bool = True
    quota_GB: float = 10_000
    warm: bool = True
    rate: float = 1.0
    before: "Callable[[Line], None] | None" = None


class Line:
    """Used as a context: everything runs inside it; leaving ends what still does."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder, self.shape = folder, shape
        self.processes = Processes(folder / "logs")
        self.store = shape.store or folder / "store"
        self.journal, self.central = folder / "answers", folder / "central" / "store.sqlite"
        self.socket, self.config = folder / "socket", folder / "station.hjson"
        self._began = time.time()
        self.told: dict[int, int] = {}
        # (from, to) in unix time within which an answer may come to nothing without a word: the daemon stood still.
        self.excused: list[tuple[float, float]] = []
        self._asking = threading.Event()
        self._warm: Warm | None = None

    @contextlib.contextmanager
    def instruments(self) -> Iterator[None]:
        """The instruments alone, and the configurations of all."""
        self._prepare()
        try:
            yield
        finally:
            self.silence()

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = {"mqtt": free_port(), "hj212": free_port()}
        self._units = self._spoken()
        self._write()

    def __enter__(self) -> "Line":
        self._prepare()
        if self.shape.before:
            self.shape.before(self)
        if self.shape.warm:
            self._warm = Warm((*self.shape.station, *self._environment(), sys.executable))
        self.start("broker")
        self.start("centre")
        self.start("agent")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.until("the first record", lambda: self.through > 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._asking.set()
        for name in ("agent", "centre", "broker"):
            with contextlib.suppress(KeyError, ProcessLookupError):
                os.kill(self.processes.pid(name), signal.SIGCONT)
        self.processes.stop("agent")
        self.processes.stop("centre", "broker")
        if self._warm:
            self._warm.close()
        self.silence()

    def _spoken(self) -> "subprocess.Popen[str]":
        command = [*self.shape.station, sys.executable, str(TOOLS / "faulting" / "line_units.py"), str(self.journal)]
        units = subprocess.Popen([*command, str(PORTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert units.stdout is not None
        self.unit_ports: list[int] = json.loads(units.stdout.readline())
        return units

    def silence(self) -> None:
        """No instrument answers any more."""
        if self._units.stdin and not self._units.stdin.closed:
            self._units.stdin.close()
            self._units.wait(10)
            assert self._units.stdout is not None
            self._units.stdout.close()

    # -- configuration

    def _write(self) -> None:
        site = self.folder / "site" / "faults_unit-1.dist-info"
        site.mkdir(parents=True)
        (site / "METADATA").write_text("Metadata-Version: 2.1\nName: faults-unit\nVersion: 1\n")
        (site / "entry_points.txt").write_text(f"[plumeline.drivers]\n{NAME} = gateway_driver:ENTRY\n")
        shutil.copy(TOOLS / "benches" / "gateway_driver.py", site.parent)
        seed = random_seed(self.folder / "key")
        (self.folder / "pw").write_text("123456")
        (self.folder / "pw").chmod(0o600)
        self.store.mkdir(parents=True, exist_ok=True)
        self.central.parent.mkdir(mode=0o700)
        self.config.write_text(json.dumps(station_of(self), indent=1))
        (self.folder / "central.hjson").write_text(json.dumps(central_of(self, seed), indent=1))
        (self.folder / "broker.conf").write_text(
            f"listener {self.ports['mqtt']} {self.shape.host}\nallow_anonymous true\npersistence false\n"
            "log_type error\nmax_queued_messages 0\nmax_inflight_messages 50\n"
            + ("user root\n" if os.geteuid() == 0 else "")
        )

    # -- processes

    def _environment(self) -> tuple[str, ...]:
        return ("env", f"PYTHONPATH={ROOT}:{self.folder / 'site'}", "MALLOC_ARENA_MAX=1")

    def _clock(self) -> tuple[str, ...]:
        return ("--clock", f"{self._began},{self._began},{self.shape.rate}") if self.shape.rate != 1 else ()

    def world(self, wall: float) -> float:
        """Station's time (unix seconds) at a moment of the wall."""
        return self._began + (wall - self._began) * self.shape.rate

    def start(self, name: str) -> None:
        """Start the broker, the centre or the agent, or start it again."""
        run = ("run", str(self.config), *self._clock())
        if name == "agent" and self._warm:
            self.processes.take(name, self._warm.start(run, self.folder / "logs" / "agent.log"))
            return
        environment = self._environment()
        commands: dict[str, tuple[str | Path, ...]] = {
            "broker": (*self.shape.centre, "mosquitto", "-c", self.folder / "broker.conf"),
            "centre": (*self.shape.centre, *environment, sys.executable, "-m", "central", "run",
                       self.folder / "central.hjson", *self._clock()),
            "agent": (*self.shape.station, *environment, sys.executable, "-m", "agent", *run),
        }  # fmt: skip
        self.processes.start(name, *commands[name])

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.processes.kill(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Another signal."""
        os.kill(self.processes.pid(name), number)

    def excuse(self, since: float) -> None:
        """Answers of the time since then may have come to nothing."""
        self.excused.append((since, time.time()))

    def until(self, what: str, ready: Callable[[], bool], timeout_s: float = START_S) -> None:
        """Wait. Raises StartError at the time-out or when a process ends by itself."""
        self.processes.wait_for(what, ready, timeout_s)

    def back(self) -> None:
        """Wait until the daemon says that it has taken more than ever before."""
        before = self.through
        self.until("records after the restart", lambda: self.through > before)

    # -- what it says

    def status(self) -> dict[str, Any] | None:
        """The daemon's own words; None while it does not speak."""

        async def told() -> dict[str, Any]:
            async with asyncio.timeout(2):
                return await anext(ask(str(self.socket), {"do": "status"}))

        with contextlib.suppress(RequestError, OSError, TimeoutError, StopAsyncIteration, ValueError):
            return asyncio.run(told())
        return None

    @property
    def through(self) -> int:
        """How many records the daemon has said to be taken, over all epochs."""
        return sum(self.told.values())

    def _listen(self) -> None:
        while not self._asking.wait(ASK_S):
            if (said := self.status()) is not None:
                log = said["log"]
                self.told[log["epoch"]] = max(log["records"], self.told.get(log["epoch"], 0))

    def drained(self) -> bool:
        """Whether nothing waits for an acknowledgement of the centre."""
        said = self.status()
        mqtt = said["uplinks"]["centre"] if said else {}
        return bool(said) and not mqtt.get("backlog", 1) and not mqtt.get("unacknowledged", 1)

    def settle(self, timeout_s: float = 120.0) -> None:
        """Instruments fall silent, everything is delivered, the daemon ends in order."""
        self.silence()
        self.until("the end of the backlog", self.drained, timeout_s)
        self._asking.set()
        self._thread.join()
        self.processes.stop("agent")

    def words(self, name: str = "agent") -> list[str]:
        """What a process has logged."""
        path = self.folder / "logs" / f"{name}.log"
        return path.read_text(errors="replace").splitlines() if path.exists() else []


def last_words(line: Line, names: Iterable[str] = ("agent", "centre", "broker")) -> list[str]:
    """Ends of the logs, for a failure."""
    return [f"{name}: {word}" for name in names for word in line.words(name)[-4:]]


__all__ = ["STATION", "Line", "Shape", "StartError", "last_words", "needs"]
