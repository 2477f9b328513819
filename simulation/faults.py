"""Rare faults of instruments, drawn once from the seed and declared with the truth."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from metrology.periods import iso

_DECLARED_H: Final = 24
# kind: mean seconds between two, how long one lasts
_KINDS: Final = {
    "cems-fault": (6 * 3600.0, 60.0),
    "senseair-silence": (2 * 3600.0, 20.0),
    "board-restart": (3 * 3600.0, 1.0),
}
BAD_CRC_SHARE: Final = 1 / 400


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, from `start` until before `end`."""

    kind: str
    start: datetime
    end: datetime


class Faults:
    """The faults of the first day."""

    def __init__(self, seed: int, start: datetime) -> None:
        rng = np.random.default_rng([seed, 7])
        self.bad_crc_share = BAD_CRC_SHARE
        self._faults: list[Fault] = []
        for kind, (mean_s, length_s) in _KINDS.items():
            at = start + timedelta(seconds=float(rng.uniform(0.05, 0.5)) * mean_s)
            while at < start + timedelta(hours=_DECLARED_H):
                self._faults.append(Fault(kind, at, at + timedelta(seconds=length_s)))
                at += timedelta(seconds=float(rng.uniform(0.5, 1.5)) * mean_s)

    def active(self, kind: str, at: datetime) -> bool:
        """Whether a fault of this kind holds now."""
        return any(fault.kind == kind and fault.start <= at < fault.end for fault in self._faults)

    def begun(self, kind: str, since: datetime, until: datetime) -> int:
        """How many began after `since` and not after `until`."""
        return sum(fault.kind == kind and since < fault.start <= until for fault in self._faults)

    def truth(self) -> dict[str, Any]:
        """What is declared."""
        listed = [{"kind": f.kind, "from": iso(f.start), "to": iso(f.end)} for f in self._faults]
        return {"listed": listed, "bad_crc_share": self.bad_crc_share}
