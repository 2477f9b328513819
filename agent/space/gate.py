"""Which raw is written when space ends; what is not is counted, and named in `gap` records."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from metrology.periods import iso

FULL: Final = "disk full"
FAILING: Final = "disk failing"


@dataclass(slots=True)
class _Missing:
    since: datetime
    until: datetime
    scans: int
    reason: str


class Gate:
    """Stands before the log. `crowded` tells that so much waits for the disk that no more raw can wait.

    `instruments` are all of the station, `optional` those whose raw stops before the others'.
    """

    def __init__(self, instruments: Iterable[str], optional: Iterable[str], crowded: Callable[[], bool]) -> None:
        self._all = frozenset(instruments)
        self._optional = frozenset(optional)
        self._crowded = crowded
        self._missing: dict[str, _Missing] = {}
        self._reason = FULL
        self.stopped: frozenset[str] = frozenset()

    def stop(self, *, everything: bool, optional: bool, reason: str = FULL) -> None:
        """Say whose raw is not written from now on."""
        self.stopped = self._all if everything else self._optional if optional else frozenset()
        self._reason = reason

    def takes(self, instrument: str, at: datetime) -> bool:
        """Whether a scan is written; one that is not will be in a gap."""
        if instrument in self.stopped or (self.stopped and self.stopped == self._all):
            reason = self._reason
        elif self._crowded():
            reason = FAILING if self._reason != FULL or not self.stopped else FULL
        else:
            return True
        known = self._missing.setdefault(instrument, _Missing(at, at, 0, reason))
        known.since, known.until = min(known.since, at), max(known.until, at)
        known.scans += 1
        return False

    @property
    def missing(self) -> dict[str, int]:
        """Scans of each instrument that no gap names yet."""
        return {name: one.scans for name, one in self._missing.items()}

    def told(self) -> list[dict[str, Any]]:
        """Gap records for what was left out since the last call, one of each instrument, or one for all alike."""
        missing, self._missing = self._missing, {}
        if missing and set(missing) == self._all and len({one.reason for one in missing.values()}) == 1:
            return [_gap(None, list(missing.values()))]
        return [_gap(name, [one]) for name, one in sorted(missing.items())]


def _gap(instrument: str | None, rows: list[_Missing]) -> dict[str, Any]:
    gap: dict[str, Any] = {
        "from": iso(min(one.since for one in rows)),
        "to": iso(max(one.until for one in rows)),
        "reason": rows[0].reason,
        "scans": sum(one.scans for one in rows),
    }
    return gap if instrument is None else {**gap, "instrument": instrument}
