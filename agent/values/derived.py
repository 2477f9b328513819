"""Stacks of a station: plans made of the configuration, and the derived scan that follows a scan of their inputs.

A derived scan is a scan of an instrument named after the stack, on record as it was computed: never corrected, never
in place of what it was made of. `status.kv` names the coefficient in force.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from agent.config import Config
from agent.config_stack import FiledKv, StackGas, StackInput
from agent.config_stack import Stack as Block
from agent.values.series import ranges_of, series_of
from metrology.measurand import catalogue
from metrology.periods import HOUR_S
from metrology.reading import Average, Measurement, Scan
from metrology.stack.derive import Stack
from metrology.stack.hourly import with_budget
from metrology.stack.plan import UNITS, GasSource, Plan, Source, StopRule
from metrology.stack.velocity_field import History, VelocityCoefficient
from metrology.units import STACK_DRY, convert

# Inputs whose error is a part of the full scale, and what they are called in the chain of the budget.
SCALED: Final = {
    "differential_pressure": "differential_pressure_Pa",
    "static_pressure": "static_pressure_Pa",
    "oxygen": "oxygen_percent",
}
Scales = Mapping[tuple[str, str | None], Mapping[str, float]]


def plan_of(name: str, block: Block, day_offset_h: float) -> Plan:
    """The plan of one stack. Raises FilingError where its coefficients cannot be filed in that order."""
    history = History()
    for filed in block.kv:
        history = history.file(_coefficient(filed, day_offset_h))
    oxygen = block.oxygen
    return Plan(
        name=name,
        area_m2=block.area_m2,
        kv=history,
        inputs={role: _source(one) for role, one in block.inputs.items()},
        gases={gas: _gas(one) for gas, one in block.gases.items()},
        pitot_coefficient=block.pitot_coefficient or 1.0,
        standard_density_kg_m3=block.standard_density_kg_m3,
        reference_oxygen_percent=oxygen.reference_percent if oxygen else None,
        **({"guard_percent": oxygen.guard_percent} if oxygen else {}),
        cut_off_m_s=block.cut_off_m_s,
        stopped=StopRule(**block.stopped.model_dump()) if block.stopped else None,
    )


def plans(config: Config) -> dict[str, Plan]:
    """Plans of all stacks by name."""
    return {name: plan_of(name, block, config.station.day_start_utc_offset_h) for name, block in config.stacks.items()}


def _coefficient(filed: FiledKv, day_offset_h: float) -> VelocityCoefficient:
    def start(day: date) -> datetime:
        return datetime.combine(day, time(), UTC) - timedelta(hours=day_offset_h)

    return VelocityCoefficient(
        id=filed.id,
        value=filed.value,
        repeatability=filed.repeatability,
        reference=filed.reference,
        determined=start(filed.determined),
        filed=start(filed.filed),
        valid_from=start(filed.valid_from),
        filed_by=filed.filed_by,
        authority=filed.authority,
        reason=filed.reason,
    )


def _source(one: StackInput) -> Source:
    return Source(one.series or "", one.max_age_s, one.value, one.unit or "")


def _gas(one: StackGas) -> GasSource:
    no2 = Source(one.no2, one.max_age_s) if one.no2 else None
    return GasSource(Source(one.series, one.max_age_s), one.basis == "wet", one.state == "actual", no2)


def _full_scales(plan: Plan, gas: str | None, known: Mapping[str, tuple[float, str]]) -> dict[str, float]:
    """Full scale of the inputs whose error is a part of it, by their names in the chain of the budget.

    `known`: greatest reading of each series, and its unit.
    """
    sources: list[tuple[str, Source | None, str, float | None]] = [
        (name, plan.inputs.get(role), UNITS[role], None) for role, name in SCALED.items()
    ]
    if gas is not None:
        molar_mass = catalogue()[f"{gas}_std"].molar_mass
        sources.append(("concentration", plan.gases[gas].source, "mg/m3", molar_mass))
    found = {}
    for name, source, unit, molar_mass in sources:
        if source and source.series:
            greatest, read = known[source.series]
            state = STACK_DRY if molar_mass else None
            found[name] = convert(greatest, read, unit, molar_mass=molar_mass, state=state)
    return found


def full_scales(config: Config) -> dict[tuple[str, str | None], dict[str, float]]:
    """Full scale of the inputs of each stack and gas (None: of what is no gas), by name in the budget's chain."""
    ranges = ranges_of(config)
    known = {one.series: (max(map(abs, ranges[one.series])), one.unit) for one in series_of(config)}
    return {
        (name, gas): _full_scales(plan, gas, known)
        for name, plan in plans(config).items()
        for gas in (None, *plan.gases)
    }


def weighed(plan: Plan, measurand: str, rows: Mapping[str, Average], scales: Scales) -> Average | None:
    """The average of a derived measurand among those of an hour, with its uncertainty; None where it has none."""
    row = rows.get(f"{plan.name}.{measurand}")
    gas = measurand.rpartition("_")[0]
    own = scales.get((plan.name, gas if gas in plan.gases else None))
    found = with_budget(plan, measurand, rows, own) if row and row.valid else None
    return replace(row, uncertainty=found[1].uncertainty) if row and found else None


class Derived:
    """All stacks of a running station."""

    def __init__(self, config: Config) -> None:
        self._stacks = [Stack(plan) for plan in plans(config).values()]
        self._scales = full_scales(config)

    def scans(self, measurements: Iterable[Measurement]) -> list[Scan]:
        """Derived scans that follow from what a scan brought."""
        taken = list(measurements)
        found = []
        for stack in self._stacks:
            if (at := stack.take(taken)) is not None:
                kv = stack.plan.kv.at(at)
                status = {"kv": kv.id if kv else None}
                found.append(Scan(stack.plan.name, at, stack.derive(at), status))
        return found

    def with_uncertainty(self, averages: list[Average]) -> list[Average]:
        """The averages of one period; of an hour the valid ones of stacks say what they are uncertain by (k = 1)."""
        if not self._stacks or not averages or averages[0].period_s != HOUR_S:
            return averages
        rows = {average.series: average for average in averages}
        for stack in self._stacks:
            for measurand in stack.plan.measurands:
                if (row := weighed(stack.plan, measurand, rows, self._scales)) is not None:
                    rows[row.series] = row
        return list(rows.values())

    def status(self) -> Mapping[str, Any]:
        """How often a velocity was cut off, and a value at reference oxygen meant nothing, since the start."""
        return {one.plan.name: {"cut_offs": one.cut_offs, "guarded": one.guarded} for one in self._stacks}
