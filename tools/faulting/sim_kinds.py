"""Which faults there are, how often each comes, and what a seed draws: each fault independent of the others.

So any of them may be left out of a replay.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim_field import CRDS, PLC
from sim_station import PLATFORM

A_DAY = 40.0
PORTS = (PLC, CRDS, PLATFORM)
HOW = ("dead", "nonsense", "wrong", "stuck", "slow")


@dataclass(frozen=True)
class Fault:
    """`at`: seconds after the start. `seed`: of whatever it draws."""

    number: int
    at: float
    kind: str
    lasts: float
    more: dict[str, Any] = field(default_factory=dict)
    seed: str = ""

    def __str__(self) -> str:
        more = "".join(f" {name}={value}" for name, value in self.more.items())
        return f"#{self.number} {self.at:.1f} s {self.kind} for {self.lasts:.1f} s{more}"


Draw = Callable[[random.Random], tuple[float, dict[str, Any]]]


def _short(dice: random.Random) -> float:
    """Mostly seconds to minutes, at times hours."""
    return min(10 ** dice.uniform(0.3, 4.0), 6 * 3600)


def _again(dice: random.Random) -> int:
    return dice.choice((0, 0, dice.randrange(1, 60)))


def _sync_error(dice: random.Random) -> dict[str, Any]:
    return {"share": dice.choice((0.05, 0.3, 1.0)), "forgets": dice.random() < 0.5}


def _slow(dice: random.Random) -> dict[str, Any]:
    return {"extra_s": round(10 ** dice.uniform(-2, 0.5), 3), "bytes_per_s": round(10 ** dice.uniform(2, 5))}


# Kind, how often beside the others, and what else is drawn.
KINDS: dict[str, tuple[int, Draw]] = {
    "kill": (4, lambda d: (d.uniform(0.5, 120), {})),
    "power-cut": (4, lambda d: (d.uniform(0.5, 600), {})),
    "outage": (1, lambda d: (d.uniform(2.2, 5) * 3600, {})),
    "power-cut-at-write": (8, lambda d: (0, {"write": d.randrange(1, 400), "again": _again(d)})),
    "power-cut-in-calibration": (3, lambda d: (d.uniform(1, 200), {"after": round(d.uniform(5, 170), 1)})),
    "disk-full": (3, lambda d: (_short(d), {})),
    "disk-read-only": (1, lambda d: (min(_short(d), 900), {})),
    "disk-write-error": (2, lambda d: (min(_short(d), 1800), {"share": d.choice((0.02, 0.3, 1.0))})),
    "disk-sync-error": (3, lambda d: (min(_short(d), 1800), _sync_error(d))),
    "disk-slow": (2, lambda d: (_short(d), {"seconds": round(10 ** d.uniform(-2, 0.3), 3)})),
    "instrument": (5, lambda d: (_short(d), {"port": d.choice((PLC, CRDS)), "how": d.choice(HOW)})),
    "line-cut": (3, lambda d: (0, {"port": d.choice(PORTS)})),
    "line-half-closed": (2, lambda d: (0, {"port": d.choice(PORTS)})),
    "line-refused": (3, lambda d: (_short(d), {"port": d.choice(PORTS)})),
    "line-silent": (3, lambda d: (min(_short(d), 1200), {"port": d.choice(PORTS)})),
    "line-slow": (3, lambda d: (_short(d), {"port": d.choice(PORTS), **_slow(d)})),
    "broker-disconnects": (3, lambda d: (0, {})),
    "broker-forgets": (3, lambda d: (_short(d), {"share": d.choice((0.05, 0.5, 1.0)), "all": d.random() < 0.5})),
    "broker-repeats": (2, lambda d: (_short(d), {"share": 0.5})),
    "broker-reorders": (2, lambda d: (_short(d), {"late_s": round(10 ** d.uniform(0, 2), 1)})),
    "broker-denies": (2, lambda d: (_short(d), {})),
    "broker-hangs": (2, lambda d: (_short(d), {})),
    "broker-away": (4, lambda d: (_short(d), {})),
    "centre-killed": (4, lambda d: (d.uniform(0.5, 600), {})),
    "clock-step": (4, lambda d: (_short(d), {"seconds": round(d.choice((-1, 1)) * 10 ** d.uniform(-0.2, 3.6), 3)})),
    "clock-left-wrong": (2, lambda d: (0, {"seconds": round(d.choice((-1, 0, 1)) * 10 ** d.uniform(1, 5.2), 3)})),
    "clock-lost": (2, lambda d: (d.uniform(0.5, 600), {"right_after_s": round(_short(d), 3)})),
    "key-rotated": (1, lambda d: (0, {})),
    "all-away": (2, lambda d: (d.uniform(600, 4 * 3600), {})),
}  # fmt: skip


def drawn(seed: int, days: float, per_day: float = A_DAY, only: Sequence[str] = ()) -> list[Fault]:
    """The faults of a seed, in the order of their time; `only` of some kinds, where given."""
    dice = random.Random(f"{seed}/faults")
    kinds = [kind for kind in KINDS if kind in only or not only]
    weights = [KINDS[kind][0] for kind in kinds]
    times = sorted(
        dice.uniform(120, days * 86400) for _ in range(max(1, round(days * per_day * dice.uniform(0.4, 1.6))))
    )
    found = []
    for number, at in enumerate(times):
        kind = dice.choices(kinds, weights)[0]
        lasts, more = KINDS[kind][1](dice)
        found.append(Fault(number, round(at, 3), kind, round(lasts, 3), more, f"{seed}/{number}"))
    return found
