"""Treatment units of an outlet: their state now (2021) and how long each ran in a day (2041)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from agent.config_hj212 import Unit
from agent.uplinks.hj212_past import Past
from metrology.quality import Cause
from metrology.reading import Measurement
from protocols.hj212.information import UnitState, run_time_items, state_items
from protocols.hj212.message import Item
from protocols.hj212.profile import Edition

_STATES: Final = (
    (UnitState.MAINTENANCE, frozenset({Cause.MAINTENANCE, Cause.FLUSH, Cause.WARM_UP})),
    (UnitState.BLOWBACK, frozenset({Cause.BLOWBACK})),
    (UnitState.CALIBRATING, frozenset({Cause.CALIBRATION, Cause.RECOVERY})),
    (UnitState.ALARM, frozenset({Cause.FAULT, Cause.OUT_OF_RANGE})),
    (UnitState.OFF, frozenset({Cause.STOPPED})),
)
# A unit whose series is older than this, or broken, is left out: nobody knows whether it runs.
SILENT_S: Final = 900.0


class Treatment:
    """The units that one platform is told of."""

    def __init__(self, units: Mapping[str, Unit], edition: Edition) -> None:
        self._units = {int(number): unit for number, unit in units.items()}
        self._edition = edition

    def states(self, latest: Mapping[str, Measurement], now: datetime) -> tuple[Item, ...]:
        """Items of 2021, empty where no state is known."""
        oldest = now - timedelta(seconds=SILENT_S)
        found = {}
        for number, unit in self._units.items():
            measurement = latest.get(unit.series)
            if measurement is not None and measurement.reading.at >= oldest:
                state = _state(unit, measurement)
                if state is not None:
                    found[number] = state
        return state_items(found, self._edition)

    async def run_time(self, past: Past, start: datetime) -> tuple[Item, ...]:
        """Items of 2041 of the day that starts then, empty where nothing is on record."""
        if not self._units:
            return ()
        bounds = {str(number): (unit.series, unit.running_above) for number, unit in self._units.items()}
        hours = await past.hours_above(bounds, start, start + timedelta(days=1))
        return run_time_items({int(number): found for number, found in hours.items()})


def _state(unit: Unit, measurement: Measurement) -> int | None:
    causes = measurement.reading.quality.causes
    if Cause.COMMUNICATION in causes:
        return None
    found = next((state for state, its in _STATES if causes & its), None)
    if found is not None:
        return found
    if unit.running_above is None:
        return UnitState.RUNNING
    return None if measurement.value is None else int(measurement.value > unit.running_above)
