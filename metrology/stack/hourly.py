"""What a stack's averages are uncertain by, and the hours of its emission with their uncertainty.

What is read enters by its mean over the period; the differential pressure by the one that gives the mean velocity, for
the mean of the roots is what the amount was made of. The budget is that of the chain at those means, scaled to the
value on record.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from metrology.budget import Budget
from metrology.reading import Average
from metrology.stack import flow, humidity
from metrology.stack.concentration import wet
from metrology.stack.emission_budget import chain, hourly_inputs
from metrology.stack.hours import Hour, hour_of
from metrology.stack.plan import UNITS, VELOCITY, Plan, Source
from metrology.stack.propagation import propagate
from metrology.units import convert

# Density of the moist gas where it follows from the composition: the differential pressure is reckoned back with it.
ANY_DENSITY_kg_m3 = 1.3


def with_budget(
    plan: Plan, measurand: str, averages: Mapping[str, Average], full_scales: Mapping[str, float] | None = None
) -> tuple[float, Budget] | None:
    """Mean of a derived measurand (`flow_dry`, `so2_rate`, ...) and its budget (k = 1) in the same unit.

    `averages` by series, all of one period. None where the stack does not give it, or an input has no mean.
    `full_scales`: by name of an input of `chain`, in the unit that name says.
    """
    mean = _series_mean(averages.get(f"{plan.name}.{measurand}"))
    gas, _, kind = measurand.rpartition("_")
    output = kind if gas in plan.gases else {"stack_velocity": "velocity"}.get(measurand, measurand)
    values = _values(plan, gas if gas in plan.gases else None, averages)
    if mean is None or values is None or (kind == "zs" and "oxygen_percent" not in values):
        return None
    wet = gas in plan.gases and plan.gases[gas].wet
    start = averages[f"{plan.name}.{measurand}"].start
    inputs = hourly_inputs(values, plan.kv.at(start), full_scales)
    value, budget = propagate(lambda v: chain(v, wet=wet)[output], inputs)
    # What does not enter has no share in it.
    terms = tuple(term for term in budget.terms if term.u > 0.0)
    return mean, Budget(terms).scaled(mean / value) if value else Budget(terms)


def emission_hour(
    plan: Plan,
    gas: str,
    averages: Mapping[str, Average],
    *,
    full_scales: Mapping[str, float] | None = None,
    suspect: bool = False,
    last_passed: datetime | None = None,
) -> Hour:
    """The hour of one gas of a stack, from the hourly averages by series. Raises KeyError without the gas's own rate.

    A valid hour has a budget (kg) where all its inputs have means.
    """
    rate = averages[f"{plan.name}.{gas}_rate"]
    hour = hour_of(rate, suspect=suspect, last_passed=last_passed)
    found = with_budget(plan, f"{gas}_rate", averages, full_scales) if hour.amount is not None else None
    # An hour's amount is its mean rate times one hour: kg as kg/h.
    return replace(hour, budget=found[1]) if found else hour


def _values(plan: Plan, gas: str | None, averages: Mapping[str, Average]) -> dict[str, float] | None:
    """Inputs of the chain as the period's means; None where one has none."""
    velocity = averages.get(f"{plan.name}.stack_velocity")
    kv = plan.kv.at(velocity.start) if velocity else None
    roles = {role: _mean(source, UNITS[role], averages) for role, source in plan.inputs.items()}
    roles["moisture"] = _moisture(roles)
    roles["velocity"] = _series_mean(velocity)
    needed = ["velocity", "moisture", "temperature", "barometer", "static_pressure"]
    if gas is not None:
        roles["standard"] = _series_mean(averages.get(f"{plan.name}.{gas}_std"))
        needed.append("standard")
    known = {name: value for name in needed if (value := roles.get(name)) is not None}
    if kv is None or len(known) < len(needed):
        return None
    values = _flow_values(plan, kv.value, known)
    if gas is not None:
        # An analyzer that reads wet owes nothing to the moisture: gas and flow are both with their water.
        standard = known["standard"]
        values["concentration"] = wet(standard, known["moisture"]) if plan.gases[gas].wet else standard
        if plan.reference_oxygen_percent is not None and (oxygen := roles.get("oxygen")) is not None:
            values |= {"oxygen_percent": oxygen, "reference_percent": plan.reference_oxygen_percent}
    return values


def _flow_values(plan: Plan, kv: float, known: Mapping[str, float]) -> dict[str, float]:
    """Inputs of the flow; a differential pressure as that of the mean velocity."""
    temperature, barometer, static = known["temperature"], known["barometer"], known["static_pressure"]
    values = {
        "area_m2": plan.area_m2,
        "kv": kv,
        "temperature_degC": temperature,
        "static_pressure_Pa": static,
        "barometer_Pa": barometer,
        "moisture_fraction": known["moisture"],
    }
    point = known["velocity"] / kv
    if VELOCITY in plan.inputs:
        return {**values, "point_velocity_m_s": point}
    standard = plan.standard_density_kg_m3 or ANY_DENSITY_kg_m3
    density = flow.stack_density_kg_m3(standard, temperature, barometer, static)
    root = point / plan.pitot_coefficient
    return {
        **values,
        "pitot_coefficient": plan.pitot_coefficient,
        "differential_pressure_Pa": density / 2.0 * root * abs(root),
        "standard_density_kg_m3": standard,
    }


def _moisture(roles: Mapping[str, float | None]) -> float | None:
    if roles.get("moisture") is not None:
        return (roles["moisture"] or 0.0) / 100.0
    wet, dry = roles.get("oxygen_wet"), roles.get("oxygen")
    if wet is None or dry is None or not 0.0 <= wet <= dry or dry == 0.0:
        return None
    return humidity.from_oxygen(wet, dry)


def _mean(source: Source, unit: str, averages: Mapping[str, Average]) -> float | None:
    if source.value is not None:
        return convert(source.value, source.unit, unit)
    average = averages.get(source.series)
    if average is None or average.mean is None:
        return None
    return convert(average.mean, average.unit, unit)


def _series_mean(average: Average | None) -> float | None:
    return average.mean if average else None
