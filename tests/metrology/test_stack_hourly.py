"""Hours of emission with their budget, from hourly averages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average
from metrology.stack.hourly import emission_hour, with_budget
from metrology.stack.hours import HourState
from metrology.stack.plan import GasSource, Plan, Source
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
    of_moisture = [{t.name: t.u for t in b.terms}.get("moisture_fraction: method", 0.0) for b in budgets if b]
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


@pytest.mark.parametrize(
    ("measurand", "value", "entering", "absent"),
    [
        ("stack_velocity", 11.76, "kv: determination kv-1", "area_m2: dimensions"),
        ("flow_actual", 529200.0, "area_m2: dimensions", "moisture_fraction: method"),
        ("flow_wet", 347360.0, "temperature_degC: sensor", "moisture_fraction: method"),
        ("flow_dry", 317487.0, "moisture_fraction: method", "concentration: span gas"),
        ("so2_std", 57.2, "concentration: span gas", "kv: determination kv-1"),
        ("so2_zs", 60.4, "oxygen_percent: drift", "area_m2: dimensions"),
        ("so2_rate", 18.16, "area_m2: dimensions", "oxygen_percent: drift"),
    ],
)
def test_every_derived_mean_has_its_budget(measurand: str, value: float, entering: str, absent: str) -> None:
    inputs = {**PLAN.inputs, "oxygen": Source("cems.o2")}
    plan = replace(PLAN, inputs=inputs, gases={"so2": GasSource(Source("cems.so2"))}, reference_oxygen_percent=6.0)
    rows = averages()
    template = rows["cems.stack_humidity"]
    rows["cems.o2"] = replace(template, mean=6.8)
    for name, mean in (("so2_std", 57.19643), ("so2_zs", 60.41876), ("so2_rate", 18.15915), ("flow_actual", 529200.0),
                       ("flow_wet", 347360.48), ("flow_dry", 317487.48)):  # fmt: skip
        rows[f"main.{name}"] = replace(template, series=f"main.{name}", mean=mean)
    found = with_budget(plan, measurand, rows)
    assert found is not None
    assert found[0] == pytest.approx(value, rel=1e-3)
    names = {term.name for term in found[1].terms}
    assert entering in names
    assert absent not in names
    assert 0.001 < found[1].total / found[0] < 0.2


def test_a_velocity_that_is_read_itself_owes_nothing_to_tube_and_density() -> None:
    inputs = {k: v for k, v in PLAN.inputs.items() if k != "differential_pressure"}
    plan = replace(PLAN, inputs={**inputs, "velocity": Source("meter.stack_velocity")}, pitot_coefficient=1.0)
    found = with_budget(plan, "co2_rate", averages())
    assert found is not None
    parts = {term.name: term.u / 74853.344 for term in found[1].terms}
    assert not [name for name in parts if name.startswith(("pitot", "differential", "standard_density"))]
    assert parts["point_velocity_m_s: instrument"] == pytest.approx(0.01, rel=1e-6)
    # The temperature enters by the state alone, not by half of it through the root of the density.
    assert parts["temperature_degC: sensor"] == pytest.approx(3 / 3**0.5 / 411.5, rel=1e-5)


def test_what_the_stack_does_not_give_has_no_budget() -> None:
    assert with_budget(PLAN, "so2_rate", averages()) is None
    assert with_budget(PLAN, "co2_zs", averages()) is None
