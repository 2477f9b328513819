"""Derived readings of a stack, scan by scan."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Measurement, Reading
from metrology.stack.derive import Stack
from metrology.stack.plan import GasSource, Plan, Source, StopRule
from metrology.stack.velocity_field import History, VelocityCoefficient

AT = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KV = VelocityCoefficient("kv-1", 1.05, 0.01, "on-site", AT, AT, AT - SECOND * 3600, "Li Wei", "operator", "RATA")
PLAN = Plan(
    name="stack1",
    area_m2=12.5,
    kv=History((KV,)),
    inputs={
        "velocity": Source("cems.stack_velocity"),
        "temperature": Source("cems.stack_temperature"),
        "static_pressure": Source("cems.static_pressure"),
        "barometer": Source("met.air_pressure", max_age_s=120.0),
        "moisture": Source("cems.stack_humidity"),
        "oxygen": Source("cems.o2"),
    },
    gases={
        "so2": GasSource(Source("cems.so2_fraction")),
        "co2": GasSource(Source("cems.co2_percent")),
        "dust": GasSource(Source("dust.dust"), wet=True, actual=True),
        "nox": GasSource(Source("cems.no"), no2=Source("cems.no2")),
    },
    reference_oxygen_percent=6.0,
)
# The worked case: 20 ppm SO2, 30 ppm NO, 2 ppm NO2, 12 % CO2, 6.8 % O2.
CEMS = {
    "stack_velocity": (11.2, "m/s"), "stack_temperature": (138.5, "degC"), "static_pressure": (-0.25, "kPa"),
    "stack_humidity": (8.6, "%"), "o2": (6.8, "%"), "so2_fraction": (20_000.0, "nmol/mol"),
    "co2_percent": (12.0, "%"), "no": (30 * 30.006 / 22.4, "mg/m3"), "no2": (2 * 46.006 / 22.4, "mg/m3"),
}  # fmt: skip


def measured(instrument: str, values: dict[str, tuple[float | None, str]], at: datetime = AT,
             marks: dict[str, Mark] | None = None) -> list[Measurement]:  # fmt: skip
    found = []
    for name, (value, unit) in values.items():
        quality = Quality.of(*([marks[name]] if marks and name in marks else []))
        found.append(Measurement(Reading(instrument, name, value, unit, at, quality), value))
    return found


def ready(plan: Plan = PLAN, **changes: tuple[float | None, str]) -> Stack:
    stack = Stack(plan)
    stack.take(measured("met", {"air_pressure": (1005.0, "hPa")}, AT - 60 * SECOND))
    stack.take(measured("dust", {"dust": (10.0, "mg/m3")}))
    stack.take(measured("cems", {**CEMS, **changes}))
    return stack


def values(stack: Stack, at: datetime = AT) -> dict[str, Reading]:
    return {reading.measurand: reading for reading in stack.derive(at)}


def test_the_worked_case_comes_out_of_a_scan() -> None:
    found = values(ready())
    assert found["stack_velocity"].value == pytest.approx(11.76)
    assert found["flow_actual"].value == pytest.approx(529200.0)
    assert found["flow_wet"].value == pytest.approx(347360.48, abs=0.01)
    assert found["flow_dry"].value == pytest.approx(317487.48, abs=0.01)
    assert found["so2_std"].value == pytest.approx(57.19643, abs=1e-5)
    assert found["so2_zs"].value == pytest.approx(60.41876, abs=1e-5)
    assert found["so2_rate"].value == pytest.approx(18.159150, abs=1e-6)
    assert found["co2_rate"].value == pytest.approx(74853.344, abs=1e-3)
    assert found["nox_std"].value == pytest.approx(65.72857, rel=2e-4)
    assert found["dust_std"].value == pytest.approx(15.234894 / 0.914, rel=1e-6)
    assert "co2_zs" not in found
    assert {reading.instrument for reading in found.values()} == {"stack1"}
    assert all(reading.quality.valid for reading in found.values())
    assert {name: reading.unit for name, reading in found.items()} == PLAN.measurands


def test_only_a_new_flow_reading_makes_derived_ones() -> None:
    stack = ready()
    assert stack.take(measured("cems", {"o2": (7.0, "%")}, AT + SECOND)) is None
    assert stack.take(measured("cems", {"stack_velocity": (11.0, "m/s")}, AT + SECOND)) == AT + SECOND
    held = {"stack_velocity": Mark(Cause.STALE, "repeated", AT)}
    assert stack.take(measured("cems", {"stack_velocity": (11.0, "m/s")}, AT + 2 * SECOND, held)) is None


def test_marks_of_every_input_are_on_what_is_made_of_it_and_on_nothing_else() -> None:
    stack = ready()
    mark = Mark(Cause.CALIBRATION, "daily", AT)
    stack.take(measured("cems", {"so2_fraction": (80_000.0, "nmol/mol")}, AT, {"so2_fraction": mark}))
    found = values(stack)
    bearing = {name for name, reading in found.items() if mark in reading.quality.marks}
    assert bearing == {"so2_std", "so2_zs", "so2_rate"}
    assert found["so2_rate"].value is not None
    assert not found["so2_rate"].quality.valid
    hot = Mark(Cause.FAULT, "probe", AT)
    stack.take(measured("cems", {"stack_temperature": (138.5, "degC")}, AT, {"stack_temperature": hot}))
    found = values(stack)
    assert {name for name, reading in found.items() if hot in reading.quality.marks} == {
        "flow_wet", "flow_dry", "so2_rate", "co2_rate", "nox_rate", "dust_rate", "dust_std", "dust_zs"
    }  # fmt: skip


def test_an_input_that_is_missing_or_too_old_gives_no_value() -> None:
    stack = ready(o2=(None, "%"))
    found = values(stack)
    assert found["so2_zs"].value is None
    assert found["so2_zs"].quality.causes == {Cause.FAULT}
    assert found["so2_rate"].value is not None
    later = AT + 6 * SECOND
    stack.take(measured("cems", {name: pair for name, pair in CEMS.items() if name != "stack_humidity"}, later))
    found = values(stack, later)
    assert found["flow_wet"].value is not None
    assert found["flow_dry"].value is None
    assert found["flow_dry"].quality.causes == {Cause.COMMUNICATION}
    assert next(iter(found["flow_dry"].quality.marks)).origin == "no cems.stack_humidity within 5 s"
    assert values(Stack(PLAN))["stack_velocity"].quality.causes == {Cause.COMMUNICATION}


def test_a_held_input_is_not_renewed_by_its_repeats() -> None:
    stack = ready()
    later = AT + 6 * SECOND
    repeats = {"o2": Mark(Cause.STALE, "repeated", later)}
    stack.take(measured("cems", CEMS, later, repeats))
    assert values(stack, later)["so2_zs"].value is None


def test_the_velocity_is_that_of_the_root_of_each_reading() -> None:
    plan = replace(
        PLAN, pitot_coefficient=0.84, standard_density_kg_m3=1.34, cut_off_m_s=2.0,
        inputs={**{k: v for k, v in PLAN.inputs.items() if k != "velocity"},
                "differential_pressure": Source("cems.differential_pressure")},
    )  # fmt: skip
    stack = ready(plan)
    velocities = []
    for second, dp in enumerate((40.0, 160.0)):
        at = AT + second * SECOND
        assert stack.take(measured("cems", {"differential_pressure": (dp, "Pa")}, at)) == at
        velocities.append(values(stack, at)["stack_velocity"].value or 0.0)
    assert velocities[1] == pytest.approx(2 * velocities[0])
    density = 1.34 * 273 / 411.5 * 100250 / 101325
    assert velocities[0] == pytest.approx(1.05 * 0.84 * (80 / density) ** 0.5)
    stack.take(measured("cems", {"differential_pressure": (-1.0, "Pa")}))
    assert values(stack)["flow_dry"].value == 0.0
    assert stack.cut_offs == 1


def test_the_density_follows_the_composition_where_none_is_declared() -> None:
    inputs = {**{k: v for k, v in PLAN.inputs.items() if k != "velocity"},
              "differential_pressure": Source("cems.differential_pressure")}  # fmt: skip
    stack = ready(replace(PLAN, inputs=inputs))
    stack.take(measured("cems", {"differential_pressure": (80.0, "Pa")}))
    thin = values(stack)["stack_velocity"].value or 0.0
    stack.take(measured("cems", {"co2_percent": (2.0, "%"), "o2": (17.0, "%"), "stack_humidity": (20.0, "%")}))
    assert (values(stack)["stack_velocity"].value or 0.0) > thin


def test_moisture_from_wet_and_dry_oxygen_and_declared_constants() -> None:
    inputs = {**{k: v for k, v in PLAN.inputs.items() if k != "moisture"},
              "oxygen_wet": Source("cems.o2_wet"), "barometer": Source(value=100.5, unit="kPa")}  # fmt: skip
    stack = ready(replace(PLAN, inputs=inputs))
    stack.take(measured("cems", {"o2_wet": (6.8 * 0.914, "%")}))
    assert values(stack)["flow_dry"].value == pytest.approx(317487.48, abs=0.01)
    stack.take(measured("cems", {"o2_wet": (7.5, "%")}))
    found = values(stack)["flow_dry"]
    assert found.value is None
    assert found.quality.causes == {Cause.FAULT}


def test_near_the_oxygen_of_air_a_converted_value_is_not_valid() -> None:
    stack = ready(o2=(20.95, "%"))
    found = values(stack)
    assert found["so2_zs"].value == pytest.approx(57.19643 * 15 / 0.1, abs=1e-2)
    assert found["so2_zs"].quality.causes == {Cause.OUT_OF_RANGE}
    assert found["so2_std"].quality.valid
    assert found["so2_rate"].quality.valid
    # SO2, NOx and dust.
    assert stack.guarded == 3


def test_without_a_coefficient_in_force_there_is_no_velocity() -> None:
    late = replace(KV, valid_from=AT + SECOND)
    found = values(ready(replace(PLAN, kv=History((late,)))))
    assert found["stack_velocity"].value is None
    assert found["co2_rate"].quality.causes == {Cause.FAULT}
    assert found["co2_std"].value is not None


def test_moisture_that_is_none_gives_no_dry_flow() -> None:
    found = values(ready(stack_humidity=(120.0, "%")))
    assert found["flow_dry"].value is None
    assert found["flow_wet"].value is not None


def test_a_stopped_plant_is_marked_while_every_bound_holds() -> None:
    rule = StopRule(velocity_below_m_s=2.0, temperature_below_degC=60.0, oxygen_above_percent=19.0)
    still = {"stack_velocity": (1.0, "m/s"), "stack_temperature": (35.0, "degC"), "o2": (20.5, "%")}
    stack = ready(replace(PLAN, stopped=rule), **still)  # type: ignore[arg-type]
    found = values(stack)
    assert all(reading.quality.causes == {Cause.STOPPED} for reading in found.values())
    later = AT + SECOND
    again = next(iter(values(stack, later)["flow_dry"].quality.marks))
    assert again.since == AT
    for name, pair in (("o2", (8.0, "%")), ("stack_temperature", (120.0, "degC")), ("stack_velocity", (9.0, "m/s"))):
        runs = ready(replace(PLAN, stopped=rule), **{**still, name: pair})  # type: ignore[arg-type]
        assert Cause.STOPPED not in values(runs)["flow_dry"].quality.causes
    unknown = ready(replace(PLAN, stopped=rule), **{**still, "o2": (None, "%")})  # type: ignore[arg-type]
    assert Cause.STOPPED not in values(unknown)["flow_dry"].quality.causes
    assert not StopRule().holds(0.0, 0.0, 21.0)
