"""Whether the machine's clock is kept, and whether a platform's order to set it can be carried out."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.clock.state import BUILT
from agent.config_hj212 import Hj212Uplink
from agent.inspection.finding import Finding, Subject
from host.clock import RealClock
from host.timesync import Machine

SET_CLOCK: Final = "1012"
ASKED_MAX: Final = 3
ANSWER_WALL_S: Final = 0.1


def clock_rows(subject: Subject) -> Iterator[Finding]:
    """An unsynchronised clock, one that is not believable, and a helper that is not there."""
    config = subject.config
    reference = None if config.clock.trusted or config.station.simulated else Machine(RealClock())
    if datetime.now(UTC) < BUILT:
        yield Finding("clock-not-believable")
    elif reference is not None:
        found = reference()
        for _ in range(ASKED_MAX):
            if found is not None and found.synced:
                break
            # Chrony's answer is that to the question before.
            time.sleep(ANSWER_WALL_S)
            found = reference()
        if found is None or not found.synced:
            yield Finding("clock-unsynced", {"source": found.source if found else "-"})
    allowed = [u for u in config.uplinks.values() if isinstance(u, Hj212Uplink) and SET_CLOCK in u.allow]
    if allowed and not Path(config.clock.helper).is_socket():
        yield Finding("clock-no-helper", {"path": config.clock.helper})
