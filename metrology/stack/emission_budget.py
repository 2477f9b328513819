"""The uncertainty of an hourly emission, and of the sum of many hours.

The model is the whole chain in one function of what is read, so that an input that enters twice (the temperature by
the density and by the flow) is counted once, with the sign it has.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from metrology.budget import Budget, Term, TimeBehaviour
from metrology.reading import Uncertainty
from metrology.stack.emission import rate_kg_h
from metrology.stack.flow import (
    actual_flow_m3_h,
    dry_flow_m3_h,
    pitot_velocity_m_s,
    section_velocity_m_s,
    stack_density_kg_m3,
    standard_wet_flow_m3_h,
)
from metrology.stack.oxygen import at_reference_oxygen
from metrology.stack.propagation import Input, propagate, relative
from metrology.stack.tables import rows
from metrology.stack.velocity_field import VelocityCoefficient
from metrology.units import wet_to_dry

# A half width and what it says: a limit (rectangular), two standard uncertainties, or one.
DIVISOR: Final = {"rectangular": math.sqrt(3.0), "normal2": 2.0, "normal": 1.0}
# How long a slow error keeps its size and sign: the time between adjustments of a CEMS, as a rule of ours.
SLOW: Final = timedelta(days=30)


def chain(values: Mapping[str, float], *, wet: bool = False) -> dict[str, float]:
    """Everything that is derived, from everything that is read: velocity, flow_actual, flow_wet, flow_dry, std, rate.

    `values`: area_m2, kv, pitot_coefficient, differential_pressure_Pa, standard_density_kg_m3 (of the moist gas),
    temperature_degC, static_pressure_Pa, barometer_Pa, moisture_fraction. A stack whose velocity is read itself gives
    point_velocity_m_s in place of differential pressure, tube and density. For std (mg/m3) and rate (kg/h) also
    concentration (mg/m3 at the standard state, dry, or `wet` for an in-situ analyzer: then no moisture enters the
    rate); for zs also oxygen_percent and reference_percent.
    """
    state = (values["temperature_degC"], values["barometer_Pa"], values["static_pressure_Pa"])
    found = {"velocity": section_velocity_m_s(_point_velocity_m_s(values), values["kv"])}
    found["flow_actual"] = actual_flow_m3_h(values["area_m2"], found["velocity"])
    found["flow_wet"] = standard_wet_flow_m3_h(found["flow_actual"], *state)
    found["flow_dry"] = dry_flow_m3_h(found["flow_wet"], values["moisture_fraction"])
    if "concentration" in values:
        read = values["concentration"]
        found["std"] = wet_to_dry(read, values["moisture_fraction"]) if wet else read
        found["rate"] = rate_kg_h(read, found["flow_wet" if wet else "flow_dry"])
        if "oxygen_percent" in values:
            found["zs"] = at_reference_oxygen(found["std"], values["oxygen_percent"], values["reference_percent"]).value
    return found


def _point_velocity_m_s(values: Mapping[str, float]) -> float:
    if "point_velocity_m_s" in values:
        return values["point_velocity_m_s"]
    density = stack_density_kg_m3(
        values["standard_density_kg_m3"],
        values["temperature_degC"],
        values["barometer_Pa"],
        values["static_pressure_Pa"],
    )
    return pitot_velocity_m_s(values["differential_pressure_Pa"], density, values["pitot_coefficient"])


def emission_kg_h(values: Mapping[str, float], *, wet: bool = False) -> float:
    """Emission rate, kg/h: `rate` of `chain`."""
    return chain(values, wet=wet)["rate"]


def default_terms(name: str, value: float, full_scale: float | None = None) -> tuple[Term, ...]:
    """Terms of an input by the table beside this module, for where no certificate says better.

    `full_scale`, in the unit of the value, is needed for terms of the range; without it those are of the value.
    """
    found = []
    for row in rows("uncertainty"):
        if row["input"] == name:
            scale = {"percent": value / 100, "percent_range": (full_scale or value) / 100, "absolute": 1.0}[row["unit"]]
            u = abs(float(row["half_width"]) * scale) / DIVISOR[row["form"]]
            found.append(Term(row["term"], u, _behaviour(row["over_time"]), row["source"], row["verified"] == "yes"))
    return tuple(found)


def _behaviour(text: str) -> TimeBehaviour:
    known: dict[str, TimeBehaviour] = {"independent": "independent", "slow": "slow", "common": "common"}
    return known[text]


def hourly_inputs(
    values: Mapping[str, float], kv: VelocityCoefficient | None = None, full_scales: Mapping[str, float] | None = None
) -> dict[str, Input]:
    """Inputs of `emission_kg_h` with the table's uncertainties, and those of the filed Kv where one is given."""
    scales = full_scales or {}
    inputs = {name: Input(value, default_terms(name, value, scales.get(name))) for name, value in values.items()}
    if kv is not None:
        inputs["kv"] = Input(kv.value, kv.terms())
    elif "kv" in inputs:
        on_site = relative(values["kv"], 2.5, "no filed determination", "common", "on-site target, k = 2", False)
        inputs["kv"] = Input(values["kv"], (on_site,))
    return inputs


def hourly_emission(inputs: Mapping[str, Input], *, wet: bool = False) -> tuple[float, Budget]:
    """Emission of an hour, kg, and its budget in kg (k = 1)."""
    return propagate(lambda values: emission_kg_h(values, wet=wet), inputs)


@dataclass(frozen=True, slots=True)
class Summed:
    """A sum over hours with its standard uncertainty by behaviour over time, and the terms by name."""

    value: float
    hours: int
    uncertainty: Uncertainty
    budget: Budget

    @property
    def total_u(self) -> float:
        """Combined standard uncertainty of the sum."""
        return self.budget.total


def sum_over_time(hours: Iterable[tuple[datetime, float, Budget]], slow: timedelta = SLOW) -> Summed:
    """Sum of hourly amounts in order of time.

    By term: what is independent adds in quadrature; what is common adds as it is; what is slow is correlated between
    two hours by exp(-dt / `slow`), so that over a year it shrinks only as its own months do. Terms of different names
    are independent of each other. Runs through the hours once.
    """
    values: list[float] = []
    terms: dict[tuple[str, TimeBehaviour], _Running] = {}
    for start, value, budget in hours:
        values.append(value)
        for term in budget.terms:
            running = terms.setdefault((term.name, term.over_time), _Running(term))
            running.add(start, term.u, slow)
    budget = Budget(tuple(running.term() for running in terms.values()))
    return Summed(math.fsum(values), len(values), budget.uncertainty, budget)


class _Running:
    """One term over many hours."""

    def __init__(self, first: Term) -> None:
        self._first = first
        self._plain = self._squares = self._cross = self._memory = 0.0
        self._last: datetime | None = None

    def add(self, start: datetime, u: float, slow: timedelta) -> None:
        """Take the term of one more hour."""
        if self._first.over_time == "slow":
            # Sum of all earlier hours, each faded by its distance from this one.
            faded = math.exp(-((start - self._last) / slow)) if self._last else 0.0
            self._memory *= faded
            self._cross += u * self._memory
            self._memory += u
        self._last = start
        self._plain += u
        self._squares += u * u

    def term(self) -> Term:
        """The term of the sum."""
        variances = {
            "independent": self._squares,
            "slow": self._squares + 2.0 * self._cross,
            "common": self._plain**2,
        }
        first = self._first
        return Term(first.name, math.sqrt(variances[first.over_time]), first.over_time, first.source, first.verified)
