"""Whose outlet an MN is, what its codes stand for, and which times its uploads can have."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from central.config import Outlet, Station
from metrology.periods import MINUTE_S, period_start
from protocols.hj212.factors import Factor

# Clocks of stations run ahead by minutes, not by more.
FUTURE: Final = timedelta(minutes=10)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Route:
    """An outlet by its MN."""

    station_id: str
    name: str
    outlet: Outlet
    factors: Mapping[str, Factor]

    def period_s(self, period_s: int) -> int:
        """Length of a period: a "minute" of HJ 212 is as long as the outlet's minute interval."""
        return self.outlet.minute_min * MINUTE_S if period_s == MINUTE_S else period_s


def routes(stations: Mapping[str, Station]) -> dict[str, Route]:
    """Outlets by MN."""
    return {
        outlet.mn: Route(station_id, name, outlet, outlet.wire_factors())
        for station_id, station in stations.items()
        for name, outlet in station.outlets.items()
    }


def impossible(at: datetime, period_s: int | None, now: datetime) -> str:
    """Why a DataTime cannot be that of a sample or of a period's start; '' where it can."""
    if at > now + FUTURE:
        return "future"
    if at < EARLIEST:
        return "past"
    return "off-grid" if period_s is not None and period_start(at, period_s) != at else ""
