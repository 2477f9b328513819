"""Which series are emission rates, and of what each is made: by the stacks a configuration declares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from calibration.reports.document import RecordId
from calibration.reports.hours import HourRow, Standings, State
from calibration.reports.terms import Terms
from metrology.layers import layer_of
from metrology.stack.hours import Hour, HourState

UNIT: Final = "kg/h"
_STATES: Final = {
    State.VALID: HourState.VALID, State.SUSPECT: HourState.VALID, State.OUT: HourState.OUT_OF_CONTROL,
    State.STOPPED: HourState.STOPPED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stacks:
    """Derived series with the series they are made of, and what their uncertainty is made of."""

    inputs: Mapping[str, tuple[str, ...]]
    terms: Terms

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Stacks":
        """From a configuration document."""
        found: dict[str, tuple[str, ...]] = {}
        for name, block in (document.get("stacks") or {}).items():
            common = [one["series"] for one in (block.get("inputs") or {}).values() if one.get("series")]
            for gas, one in (block.get("gases") or {}).items():
                own = [one["series"], *([one["no2"]] if one.get("no2") else [])]
                for derived in ("std", "zs", "rate"):
                    found[f"{name}.{gas}_{derived}"] = (*own, *common)
            for derived in ("stack_velocity", "flow_actual", "flow_wet", "flow_dry"):
                found[f"{name}.{derived}"] = tuple(common)
        # What is made again of a series is as good as the checks of the same inputs say.
        found |= {layer_of(series): inputs for series, inputs in found.items()}
        return cls(found, Terms(document))


def is_rate(series: str) -> bool:
    """Whether a series is an emission rate, by its measurand."""
    return series.endswith("_rate")


def gas_of(series: str) -> str:
    """The gas of an emission rate."""
    return series.partition(".")[2].removesuffix("_rate")


@dataclass(slots=True)
class Emitted:
    """One rate over time: hours in order, the record of each, and the mean rate (kg/h) where there is one.

    `revised`: hours that count as they were made again, not as first reported.
    """

    series: str
    hours: list[Hour] = field(default_factory=list)
    records: list[RecordId | None] = field(default_factory=list)
    revised: list[datetime] = field(default_factory=list)

    def take(self, one: HourRow, standings: Standings, terms: Terms) -> None:
        """Add one hour."""
        state = _STATES.get(one.state, HourState.MISSING)
        amount = budget = None
        if state is HourState.VALID:
            assert one.row is not None, "a valid hour has a row"
            # kg in the hour: the mean rate times an hour; `sum` where the station wrote it.
            amount = float(one.row["sum"] if one.row.get("sum") is not None else one.row["mean"])
            budget = terms.budget(self.series, one.start, one.row.get("unc"))
        passed = standings.last_good(self.series, one.start) if state is HourState.OUT_OF_CONTROL else None
        self.hours.append(Hour(one.start, state, amount, budget, one.state is State.SUSPECT, passed))
        self.records.append(one.record)
        if one.row is not None and one.row.get("rev", 0):
            self.revised.append(one.start)


def emitted(rows: Iterable[HourRow], standings: Standings, terms: Terms) -> dict[str, Emitted]:
    """Hours of every emission rate, kg."""
    found: dict[str, Emitted] = {}
    for one in rows:
        if one.row is None or one.row["u"] == UNIT:
            found.setdefault(one.series, Emitted(one.series)).take(one, standings, terms)
    return found
