"""Hours of emission with their budget, from hourly averages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average
from metrology.stack.derive import GasSource, Plan, Source
from metrology.stack.hourly import emission_hour
from metrology.stack.hours import HourState
from metrology.stack.velocity_field import History, VelocityCoefficient

START = datetime(2026, 3, 1, tzinfo=UTC)
KV = VelocityCoefficient(
    "kv-1", 1.05, 0.0105, "on-site", START, START, START - timedelta(days=1), "Li Wei", "operator", "RATA"
)
PLAN = Plan(
    "main",
    12.5,
    History((KV,)),
    {
        "differential_pressure": Source("cems.differential_pressure"),
        "temperature": Source("cems.stack_temperature"),
        "static_pressure": Source("cems.static_pressure"),
        "barometer": Source(value=100.5, unit="kPa"),
        "moisture": Source("cems.stack_humidity"),
    },
    {"co2": GasSource(Source("cems.co2_percent"))},
    pitot_coefficient=0.84,
    standard_density_kg_m3=1.31,
)


def averages(**changes: float | None) -> dict[str, Average]:
    rows = {
        "cems.differential_pressure": (90.0, "Pa"), "cems.stack_temperature": (138.5, "degC"),
        "cems.static_pressure": (-0.25, "kPa"), "cems.stack_humidity": (8.6, "%"),
        "main.stack_velocity": (11.76, "m/s"), "main.co2_std": (235767.9, "mg/m3"),
        "main.co2_rate": (74853.344, "kg/h"),
    }  # fmt: skip
    found = {}
    for series, (mean, unit) in rows.items():
        value = changes.get(series.partition(".")[2], mean)
        amount = value if unit == "kg/h" else None
        found[series] = Average(series, unit, START, 3600, 60, 1.0, value, value, value, 0.0, "hj-stack", sum=amount)
    return found


def test_the_budget_is_that_of_the_chain_at_the_means() -> None:
    hour = emission_hour(PLAN, "co2", averages())
    assert (hour.state, hour.amount) == (HourState.VALID, 74853.344)
    assert hour.budget is not None
    parts = {term.name: term.u / 74853.344 for term in hour.budget.terms}
    assert parts["kv: determination kv-1"] == pytest.approx(0.01, rel=1e-6)
    assert parts["kv: reference velocity"] == pytest.approx(0.025, rel=1e-6)
    # Half of what the tube's differential pressure is off; the amount needs no root of a mean.
    assert parts["differential_pressure_Pa: noise"] == pytest.approx(0.005, rel=1e-5)
    assert parts["area_m2: dimensions"] == pytest.approx(0.005, rel=1e-6)


def test_an_analyzer_that_reads_wet_owes_nothing_to_the_moisture() -> None:
    wet = replace(PLAN, gases={"co2": GasSource(Source("cems.co2_percent"), wet=True)})
    budgets = [emission_hour(plan, "co2", averages()).budget for plan in (PLAN, wet)]
    of_moisture = [{t.name: t.u for t in b.terms}["moisture_fraction: method"] for b in budgets if b]
    assert of_moisture[0] > 0.0
    assert of_moisture[1] == 0.0


def test_a_range_makes_a_transmitter_worse_at_low_flow() -> None:
    narrow = emission_hour(PLAN, "co2", averages(), full_scales={"differential_pressure_Pa": 100.0}).budget
    wide = emission_hour(PLAN, "co2", averages(), full_scales={"differential_pressure_Pa": 1000.0}).budget
    assert narrow is not None
    assert wide is not None
    assert wide.total > narrow.total


def test_an_hour_without_an_amount_or_an_input_has_no_budget() -> None:
    rows = averages()
    mark = Mark(Cause.INCOMPLETE, "averaging", START)
    rows["main.co2_rate"] = replace(rows["main.co2_rate"], quality=Quality.of(mark), sum=None)
    assert emission_hour(PLAN, "co2", rows).state is HourState.MISSING
    assert emission_hour(PLAN, "co2", averages(stack_temperature=None)).budget is None
    late = replace(PLAN, kv=History((replace(KV, valid_from=START + timedelta(days=1)),)))
    assert emission_hour(late, "co2", averages()).budget is None
    with pytest.raises(KeyError):
        emission_hour(PLAN, "so2", averages())


def test_moisture_may_come_from_two_oxygens() -> None:
    inputs = {k: v for k, v in PLAN.inputs.items() if k != "moisture"}
    oxygens = replace(PLAN, inputs={**inputs, "oxygen": Source("cems.o2"), "oxygen_wet": Source("cems.o2_wet")})
    rows = averages()
    template = rows["cems.stack_humidity"]
    rows["cems.o2"] = replace(template, mean=6.8)
    rows["cems.o2_wet"] = replace(template, mean=6.8 * 0.914)
    plain, made = emission_hour(PLAN, "co2", averages()).budget, emission_hour(oxygens, "co2", rows).budget
    assert plain is not None
    assert made is not None
    assert made.total == pytest.approx(plain.total)
    rows["cems.o2_wet"] = replace(template, mean=7.5)
    assert emission_hour(oxygens, "co2", rows).budget is None
