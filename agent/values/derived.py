"""Stacks of a station: plans made of the configuration, and the derived scan that follows a scan of their inputs.

A derived scan is a scan of an instrument named after the stack, on record as it was computed: never corrected, never
in place of what it was made of. `status.kv` names the coefficient in force.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from agent.config import Config
from agent.config_stack import FiledKv, StackGas, StackInput
from agent.config_stack import Stack as Block
from metrology.reading import Measurement, Scan
from metrology.stack.derive import Stack
from metrology.stack.plan import GasSource, Plan, Source, StopRule
from metrology.stack.velocity_field import History, VelocityCoefficient


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


class Derived:
    """All stacks of a running station."""

    def __init__(self, config: Config) -> None:
        self._stacks = [Stack(plan) for plan in plans(config).values()]

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

    def status(self) -> Mapping[str, Any]:
        """How often a velocity was cut off, and a value at reference oxygen meant nothing, since the start."""
        return {one.plan.name: {"cut_offs": one.cut_offs, "guarded": one.guarded} for one in self._stacks}
