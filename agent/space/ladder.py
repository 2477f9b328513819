"""How much room a store has, and which step of the ladder that is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

# A step is left only so many percent above where it is entered: at its edge it would come and go.
LEAVE_ABOVE_PERCENT: Final = 1.0
GB: Final = 1e9


class Step(IntEnum):
    """From well to worst; each includes what the ones before it do."""

    WELL = 0
    WARNING = 1
    ALARM = 2
    OPTIONAL_STOPPED = 3
    RESERVE_ONLY = 4

    @property
    def word(self) -> str:
        """As it stands in records."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes: `used` by the store without its ballast, `free` for records, `limit` the lesser of quota and disk."""

    used: int
    free: int
    limit: int

    @property
    def percent(self) -> float:
        """Free of what there is; below zero where the reserve is being used."""
        return 100 * self.free / self.limit


def measured(folder: Path, quota: int, ballast: int, ballast_on_disk: int) -> Room:
    """Quota or disk, whichever is worse; the ballast counts as taken, whether it lies there or not. Raises OSError."""
    used = used_by(folder) - ballast_on_disk
    disk = os.statvfs(folder)
    free = min(quota - used, disk.f_bavail * disk.f_frsize + ballast_on_disk) - ballast
    return Room(used, free, min(quota, disk.f_blocks * disk.f_frsize) or 1)


def used_by(folder: Path) -> int:
    """Bytes that all files under a folder take on the disk; one that goes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def step_of(percent: float, thresholds: Mapping[Step, float], before: Step) -> Step:
    """The step for a free share, coming from `before`."""
    entered = max((step for step, limit in thresholds.items() if percent <= limit), default=Step.WELL)
    held = max(
        (step for step, limit in thresholds.items() if percent <= limit + LEAVE_ABOVE_PERCENT), default=Step.WELL
    )
    return max(entered, min(before, held))
