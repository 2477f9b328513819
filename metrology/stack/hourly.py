"""The hours of a stack's emission with their uncertainty, from the hourly averages of its series.

What is read enters by its mean over the hour; the differential pressure by the one that gives the mean velocity, for
the mean of the roots is what the amount was made of. The budget is that of the chain at those means, scaled to the
amount on record.
"""

from collections.abc import Mapping
from datetime import datetime

from metrology.reading import Average
from metrology.stack import flow, humidity
from metrology.stack.concentration import wet
from metrology.stack.derive import UNITS, Plan, Source
from metrology.stack.emission_budget import hourly_emission, hourly_inputs
from metrology.stack.hours import Hour, hour_of
from metrology.units import convert

# Density of the moist gas where a stack measures its velocity and has no need of it: it scales nothing then.
ANY_DENSITY_kg_m3 = 1.3


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

    A valid hour has a budget (k = 1, kg) where all its inputs have means. `full_scales`: by name of an input of
    `emission_kg_h`, in the unit that name says.
    """
    rate = averages[f"{plan.name}.{gas}_rate"]
    hour = hour_of(rate, suspect=suspect, last_passed=last_passed)
    values = _values(plan, gas, averages) if hour.amount is not None else None
    if values is None or hour.amount is None:
        return hour
    inputs = hourly_inputs(values, plan.kv.at(rate.start), full_scales)
    amount, budget = hourly_emission(inputs, wet=plan.gases[gas].wet)
    scaled = budget.scaled(hour.amount / amount) if amount else None
    return Hour(hour.start, hour.state, hour.amount, scaled, hour.suspect)


def _values(plan: Plan, gas: str, averages: Mapping[str, Average]) -> dict[str, float] | None:
    """Inputs of the chain as the hour's means; None where one has none."""
    kv = plan.kv.at(averages[f"{plan.name}.{gas}_rate"].start)
    roles = {role: _mean(source, UNITS[role], averages) for role, source in plan.inputs.items()}
    roles["moisture"] = _moisture(roles)
    roles["velocity"] = _series_mean(averages.get(f"{plan.name}.stack_velocity"))
    roles["standard"] = _series_mean(averages.get(f"{plan.name}.{gas}_std"))
    needed = ("velocity", "standard", "moisture", "temperature", "barometer", "static_pressure")
    known = {name: value for name in needed if (value := roles.get(name)) is not None}
    if kv is None or len(known) < len(needed):
        return None
    temperature, barometer, static = known["temperature"], known["barometer"], known["static_pressure"]
    density = plan.standard_density_kg_m3 or ANY_DENSITY_kg_m3
    in_stack = flow.stack_density_kg_m3(density, temperature, barometer, static)
    point = known["velocity"] / kv.value / plan.pitot_coefficient
    return {
        "area_m2": plan.area_m2,
        "kv": kv.value,
        "pitot_coefficient": plan.pitot_coefficient,
        "differential_pressure_Pa": in_stack / 2.0 * point * abs(point),
        "standard_density_kg_m3": density,
        "temperature_degC": temperature,
        "static_pressure_Pa": static,
        "barometer_Pa": barometer,
        "moisture_fraction": known["moisture"],
        # An analyzer that reads wet owes nothing to the moisture: its gas and the flow are both with their water.
        "concentration": wet(known["standard"], known["moisture"]) if plan.gases[gas].wet else known["standard"],
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
