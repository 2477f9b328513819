"""How far the wall clock is believed: synced, hold-over, unsynced, or not believable."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from host.timesync import DRIFT, Reference
from metrology.clock import Clock
from metrology.periods import iso
from metrology.quality import Cause, Mark
from metrology.reading import Scan

State = Literal["S", "H", "U", "R"]
SYNCED_S: Final = 1.0
HOLDOVER_S: Final = 5.0
# No machine that runs this program shows an earlier time and is right.
BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)
# A start so far before the last record: the clock of the machine lost its time.
BEFORE_MAX: Final = timedelta(hours=1)
LOOK_WALL_S: Final = 1.0
# A platform's or a person's time has whole seconds and was a while on its way.
SET_ERROR_S: Final = 2.0
DOUBT: Final = "clock unsynchronised"


def boot_id() -> str:
    """This start of the machine (random(4)); the unit gives it where /proc is not to be seen."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    except OSError:
        return os.environ.get("PLUMELINE_BOOT_ID", "unknown").replace("-", "")


def micros(clock: Clock) -> int:
    """Microseconds of the scale that never steps, as records carry them (`mono`)."""
    return round(clock.monotonic() * 1e6)


def doubted(scan: Scan, mark: Mark) -> Scan:
    """A scan whose readings say of which clock their stamps are."""
    return replace(scan, readings=tuple(replace(one, quality=one.quality.plus({mark})) for one in scan.readings))


@dataclass(frozen=True, slots=True)
class Change:
    """From one state to another."""

    former: State
    state: State


class ClockState:
    """Of one run. `last` is when the last record before it was written; `wait_s` how long unsynced data wait to leave.

    `reference` is asked at most once a second. S: it follows a reference, error below SYNCED_S. H: it did, and by its
    age the error is below HOLDOVER_S. R: earlier than the program, or, at the start, than the log; else U.
    """

    def __init__(
        self,
        clock: Clock,
        reference: Callable[[], Reference | None],
        last: datetime | None = None,
        wait_s: float | None = 600.0,
    ) -> None:
        self._clock = clock
        self._reference = reference
        self._wait_s = wait_s
        self.last = last
        self._begun = clock.monotonic()
        self._looked = clock.wall_monotonic()
        self._known: tuple[float, Reference] | None = None
        self._doubted = last is not None
        self._told = False
        self.boot = boot_id()
        self.state: State = "U"
        self.state = self._found()

    def look(self) -> Change | None:
        """Find the state anew; a change is given once. What is said of the clock by others holds at the next look."""
        due = self._clock.wall_monotonic() - self._looked >= LOOK_WALL_S
        if not due and self._clock.now() >= BUILT:
            return None
        self._looked = self._clock.wall_monotonic()
        former, self.state = self.state, self._found()
        return Change(former, self.state) if former != self.state else None

    def _found(self) -> State:
        now, reference = self._clock.now(), self._reference()
        if reference is not None and reference.synced:
            self._known, self._doubted = (self._clock.monotonic(), reference), False
            if reference.error_s < SYNCED_S:
                return "S"
        if now < BUILT:
            self._known = None
            return "R"
        if self.error_s is not None and self.error_s < HOLDOVER_S:
            return "H"
        self._doubted = self._doubted and self.last is not None and now < self.last - BEFORE_MAX
        return "R" if self._doubted else "U"

    @property
    def error_s(self) -> float | None:
        """Estimated: the error at the last synchronisation and what the clock drifted since; None where unknown."""
        if self._known is None:
            return None
        at, reference = self._known
        return round(reference.error_s + (self._clock.monotonic() - at) * DRIFT, 6)

    @property
    def synced(self) -> bool:
        """Whether a time server keeps the clock now: nobody else shall set it."""
        return self.state == "S"

    def stepped(self) -> None:
        """The clock was stepped; unless `was_set` told of it, what was known of it no longer holds."""
        if not self._told:
            self._known = None
        self._told = False
        self._looked = float("-inf")

    def was_set(self, by: str, *, stepped: bool) -> None:
        """Somebody who knows the time set it, or found it right."""
        self._told = stepped
        if self.state == "S":
            return
        self._doubted = False
        self._known = self._clock.monotonic(), Reference(synced=False, error_s=SET_ERROR_S, source=by)
        self._looked = float("-inf")

    @property
    def mark(self) -> Mark | None:
        """What a period carries whose readings were stamped by an unsynchronised clock."""
        return Mark(Cause.CLOCK_DOUBTFUL, DOUBT, self._clock.now()) if self.state == "U" else None

    @property
    def believed(self) -> bool:
        """Whether stamps stand as they are: under R no period is made of them until they are mapped."""
        return self.state != "R"

    @property
    def dated(self) -> bool:
        """Whether it is known what time it is: nothing is judged by its age alone else."""
        return self.state in ("S", "H")

    @property
    def held(self) -> bool:
        """Whether what names a time only by its stamp (HJ 212) waits."""
        if self.dated:
            return False
        waited = self._clock.monotonic() - self._begun
        return self.state == "R" or self._wait_s is None or waited < self._wait_s

    def members(self) -> dict[str, Any]:
        """What each record says of the clock: nothing while it is synced."""
        if self.state == "S":
            return {}
        return {"clk": self.state} if self.state != "R" else {"clk": "R", "mono": micros(self._clock)}

    def now(self) -> dict[str, Any]:
        """For an event: the state with what maps one scale to the other."""
        source = self._known[1].source if self._known else None
        return {
            "state": self.state, "error_s": self.error_s, "source": source, "boot": self.boot,
            "mono": micros(self._clock), "wall": iso(self._clock.now()),
        }  # fmt: skip

    def status(self) -> dict[str, Any]:
        """For people."""
        return {**self.now(), "held": self.held}
