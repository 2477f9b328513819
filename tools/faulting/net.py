"""The network between station and centre cut, blackened and throttled, each side in a network namespace of its own.

    tools/faults net [--minutes 5] [--state DIR] [--seed N] [--quick]

Faults: the line is down at one end (nothing comes, nobody is told), at the other, 8 to 64 kbit/s by a token bucket, an
address that is gone for a while. Needs root and `ip`; without them it is skipped.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import line as line_module
from campaign import Campaign, Result, SkippedError, main
from line import Line, Shape
from line_storm import storm

FAULTS, QUICK_FAULTS = 10, 3
CALM_S = (1.0, 3.0)
CUT_S, QUICK_CUT_S = (0.5, 25.0), (0.5, 2.0)
RATES = ("8kbit", "16kbit", "64kbit")


def needs() -> None:
    """Root, `ip` and `tc`, and a kernel that makes a namespace."""
    line_module.needs()
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        raise SkippedError("root, ip and tc are needed")
    name = f"faults-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        raise SkippedError("network namespaces are not allowed here")
    subprocess.run(["ip", "netns", "del", name], check=True)


def run(*command: str) -> None:
    """A command that must not fail."""
    subprocess.run(command, check=True, capture_output=True)


@dataclass(frozen=True)
class Ends:
    """Two namespaces and a pair of interfaces between them."""

    station: str
    centre: str

    def inside(self, end: str, *command: str) -> None:
        """A command in one of them."""
        run("ip", "netns", "exec", end, *command)


ADDRESS = {"station": "10.99.0.1/30", "centre": "10.99.0.2/30"}


@contextmanager
def ends() -> Iterator[Ends]:
    """Both, and their end."""
    made = Ends(f"faults-s-{os.getpid()}", f"faults-c-{os.getpid()}")
    with ExitStack() as undo:
        for name in (made.station, made.centre):
            run("ip", "netns", "add", name)
            undo.callback(run, "ip", "netns", "del", name)
            made.inside(name, "ip", "link", "set", "lo", "up")
        made.inside(made.station, "ip", "link", "add", "up0", "type", "veth", "peer", "name", "up0",
                    "netns", made.centre)  # fmt: skip
        for name, address in ((made.station, ADDRESS["station"]), (made.centre, ADDRESS["centre"])):
            made.inside(name, "ip", "address", "add", address, "dev", "up0")
            made.inside(name, "ip", "link", "set", "up0", "up")
        yield made


def one_end_down(made: Ends, name: str, address: str, seconds: float) -> None:
    """Nothing passes, and nobody refuses."""
    made.inside(name, "ip", "link", "set", "up0", "down")
    time.sleep(seconds)
    made.inside(name, "ip", "link", "set", "up0", "up")


def address_gone(made: Ends, name: str, address: str, seconds: float) -> None:
    """Connections of before are half open."""
    made.inside(name, "ip", "address", "del", address, "dev", "up0")
    time.sleep(seconds)
    made.inside(name, "ip", "address", "add", address, "dev", "up0")


def slow(made: Ends, name: str, address: str, seconds: float) -> None:
    """A line far too thin for what is measured."""
    rate = random.Random(seconds).choice(RATES)
    made.inside(
        name, "tc", "qdisc", "add", "dev", "up0", "root", "tbf", "rate", rate, "burst", "4kb", "latency", "400ms"
    )
    time.sleep(seconds)
    made.inside(name, "tc", "qdisc", "del", "dev", "up0", "root")


KINDS: tuple[Callable[[Ends, str, str, float], None], ...] = (one_end_down, slow, address_gone)


def one(seed: int, folder: Path, quick: bool) -> Result:
    """A line in two namespaces."""
    turn = iter(range(1000))
    with ends() as made:

        def fault(line: Line, dice: random.Random) -> None:
            end = dice.choice(("station", "centre"))
            seconds = dice.uniform(*(QUICK_CUT_S if quick else CUT_S))
            KINDS[next(turn) % len(KINDS)](made, getattr(made, end), ADDRESS[end], seconds)
            line.back()

        def inside(name: str) -> tuple[str, ...]:
            return ("ip", "netns", "exec", name)

        shape = Shape(units=20 if quick else 50, station=inside(made.station), centre=inside(made.centre),
                      host=ADDRESS["centre"].split("/")[0])  # fmt: skip
        return storm(fault, seed, folder, QUICK_FAULTS if quick else FAULTS, shape, CALM_S)


if __name__ == "__main__":
    sys.exit(main(Campaign("net", "faults", 100, one, needs), __doc__))
