"""Electricity beside the stack: a stopped stack with a running meter is an event, and so is the reverse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from metrology.stack.hours import Hour


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Consecutive hours in which stack and meter do not agree. `energy_kWh` is what the meter counted in them."""

    what: Literal["stack-stopped-meter-running", "stack-running-meter-stopped"]
    start: datetime
    end: datetime
    hours: int
    energy_kWh: float


def contradictions(
    hours: Sequence[Hour], energy_kWh: Mapping[datetime, float], idle_kWh: float, least_hours: int = 2
) -> list[Contradiction]:
    """Runs of at least `least_hours` hours where the stack stands still and the meter counts more than `idle_kWh` an
    hour, or the other way round.

    `idle_kWh` is what the plant uses at rest, and must be given: lights and pumps never stop. Hours without a meter
    reading agree with anything. One hour is no event by default: a start or a stop lies somewhere within it.
    """
    found: list[Contradiction] = []
    for hour in sorted(hours, key=lambda one: one.start):
        energy = energy_kWh.get(hour.start)
        if energy is None or hour.ran == (energy > idle_kWh):
            continue
        what: Literal["stack-stopped-meter-running", "stack-running-meter-stopped"] = (
            "stack-running-meter-stopped" if hour.ran else "stack-stopped-meter-running"
        )
        end = hour.start + timedelta(hours=1)
        last = found[-1] if found else None
        if last and last.what == what and last.end == hour.start:
            found[-1] = Contradiction(what, last.start, end, last.hours + 1, last.energy_kWh + energy)
        else:
            found.append(Contradiction(what, hour.start, end, 1, energy))
    return [one for one in found if one.hours >= least_hours]
