"""Standard gases of a station as its own records tell of them: the same fold as at the station."""

from datetime import timedelta
from typing import Any, Final

import apsw

from calibration.standards.register import WHAT, Register
from calibration.standards.summary import summary
from central.history import StoreSource
from host.history import History
from metrology.clock import Clock
from metrology.periods import EPOCH, iso

# A station's clock may run ahead of ours.
AHEAD: Final = timedelta(days=1)


def gases(db: apsw.Connection, clock: Clock, station: str) -> dict[str, Any]:
    """Every cylinder of a station's register, those in their places first; `db` is a reader's connection."""
    now = clock.now()
    records = History(StoreSource(db, station)).told("calibration", EPOCH, now + AHEAD, [WHAT])
    found = [summary(one, now) for one in Register(records).cylinders.values()]
    return {"now": iso(now), "cylinders": sorted(found, key=lambda one: (not one["in_use"], one["name"]))}
