"""What a station with boards runs beside their lines: their tables, and the daily look at their drift."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.firmware.calibration import BoardCalibration
from agent.firmware.colocation import ColocationDesk
from agent.firmware.drift import DriftDesk
from agent.firmware.hours import Hours

if TYPE_CHECKING:
    from agent.daemon import Daemon


@dataclass(frozen=True, slots=True)
class BoardParts:
    """All three, as the daemon runs them and requests reach them."""

    calibration: BoardCalibration
    drift: DriftDesk
    colocation: ColocationDesk

    @property
    def runs(self) -> list[Callable[[], Awaitable[None]]]:
        """What runs until the station stops."""
        return [self.calibration.run, self.drift.run]


def board_parts(daemon: "Daemon") -> BoardParts:
    """Made from the log, with the tables in force before the first reading comes."""
    assert daemon.index is not None, "made with the daemon"
    config, lines, log, clock = daemon.config, daemon.sources.lines, daemon.log, daemon.clock
    calibration = BoardCalibration(
        config, lines, daemon.intake, log, daemon.index, daemon.live, clock, daemon.event
    )  # fmt: skip
    drift = DriftDesk(config, calibration, log, daemon.index, clock, daemon.event)
    return BoardParts(calibration, drift, ColocationDesk(calibration, Hours(log, daemon.index), clock))
