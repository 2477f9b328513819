"""Formulas of stack gas against the worked values of one case, and against each other."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.stack import concentration, emission, flow, humidity, oxygen
from metrology.stack.gwp import co2_equivalent, potentials
from metrology.units import wet_to_dry

# One case worked by hand: temperature, barometer, static pressure, moisture, velocity, Kv, area, oxygen.
TS, BA, PS, XSW, VP, KV, AREA, O2, O2S = 138.5, 100500.0, -250.0, 0.086, 11.2, 1.05, 12.5, 6.8, 6.0


@pytest.fixture
def wet_flow() -> float:
    velocity = flow.section_velocity_m_s(VP, KV)
    return flow.standard_wet_flow_m3_h(flow.actual_flow_m3_h(AREA, velocity), TS, BA, PS)


def test_flow_of_the_worked_case(wet_flow: float) -> None:
    velocity = flow.section_velocity_m_s(VP, KV)
    assert velocity == pytest.approx(11.76, abs=1e-9)
    assert flow.actual_flow_m3_h(AREA, velocity) == pytest.approx(529200.00, abs=5e-3)
    assert wet_flow == pytest.approx(347360.48, abs=5e-3)
    dry = flow.dry_flow_m3_h(wet_flow, XSW)
    assert dry == pytest.approx(317487.48, abs=5e-3)
    assert dry / 3600 == pytest.approx(88.19097, abs=5e-6)
    assert flow.daily_flow_m3([dry] * 24) == pytest.approx(24 * dry)


def test_concentrations_of_the_worked_case(wet_flow: float) -> None:
    so2 = concentration.mass_mg_m3(20, "so2")
    assert so2 == pytest.approx(57.19643, abs=5e-6)
    assert oxygen.at_reference_oxygen(so2, O2, O2S) == oxygen.Converted(pytest.approx(60.41876, abs=5e-6), False)
    assert oxygen.excess_air(O2) == pytest.approx(1.478873, abs=5e-7)
    assert oxygen.excess_air(O2S) == pytest.approx(1.4)
    by_air = oxygen.at_reference_excess_air(so2, O2, 1.4).value
    assert by_air == pytest.approx(oxygen.at_reference_oxygen(so2, O2, O2S).value)
    assert concentration.nox_from_volume_mg_m3(30, 2) == pytest.approx(65.72857, abs=5e-6)
    by_mass = concentration.nox_from_mass_mg_m3(concentration.mass_mg_m3(30, "no"), concentration.mass_mg_m3(2, "no2"))
    assert by_mass == pytest.approx(concentration.nox_from_volume_mg_m3(30, 2))
    assert concentration.standard_state_mg_m3(10, TS, BA, PS) == pytest.approx(15.234894, abs=5e-7)
    assert concentration.percent_to_mg_m3(12.0, "co2") == pytest.approx(235767.9, abs=0.05)
    assert concentration.percent_to_mg_m3(1.0, "co2") == pytest.approx(19647, abs=0.5)


def test_emissions_of_the_worked_case(wet_flow: float) -> None:
    dry = flow.dry_flow_m3_h(wet_flow, XSW)
    assert emission.rate_kg_h(concentration.mass_mg_m3(20, "so2"), dry) == pytest.approx(18.159150, abs=5e-7)
    assert emission.co2_t_h(12.0, dry) == pytest.approx(74.853344, abs=5e-7)
    # An in-situ analyzer sees the same gas with its water.
    assert emission.co2_t_h(concentration.wet(12.0, XSW), wet_flow) == pytest.approx(emission.co2_t_h(12.0, dry))
    assert emission.amount_kg(18.0, 600) == pytest.approx(3.0)
    assert emission.daily_kg([1.5] * 20) == 30.0


def test_equation_f_11_agrees_with_the_molar_form() -> None:
    # Standard cubic feet are at 68 degF: 385.3 scf a lb-mol. The printed factor is 0.2 % below its derivation.
    scf_h = 1e6
    molar = 44.01 / 385.3 * 12.0 / 100 * scf_h / 2000
    assert emission.f11_short_ton_h(12.0, scf_h) == pytest.approx(molar, rel=0.0025)
    assert emission.f11_short_ton_h(12.0, scf_h) == pytest.approx(6.84)


def test_pitot_velocity_keeps_the_sign_and_needs_a_density() -> None:
    density = flow.stack_density_kg_m3(1.34, TS, BA, PS)
    assert density == pytest.approx(1.34 * 273 / 411.5 * 100250 / 101325)
    velocity = flow.pitot_velocity_m_s(120.0, density, 0.84)
    assert velocity == pytest.approx(0.84 * math.sqrt(240 / density))
    assert flow.pitot_velocity_m_s(-120.0, density, 0.84) == -velocity
    assert flow.pitot_velocity_m_s(0.0, density, 0.84) == 0.0
    with pytest.raises(ValueError, match="density"):
        flow.pitot_velocity_m_s(1.0, 0.0, 0.84)


def test_molar_mass_of_a_coal_flue_gas() -> None:
    mass = flow.stack_molar_mass_g_mol(co2_percent_dry=12.0, o2_percent_dry=6.8, moisture_fraction=0.086)
    dry = 0.12 * 44.01 + 0.068 * 32.0 + 0.812 * 28.014
    assert mass == pytest.approx(dry * 0.914 + 18.015 * 0.086)
    assert 1.28 < flow.standard_density_kg_m3(mass) < 1.34
    with pytest.raises(ValueError, match="composition"):
        flow.stack_molar_mass_g_mol(co2_percent_dry=90.0, o2_percent_dry=20.0, moisture_fraction=0.0)


def test_the_oxygen_of_air_never_makes_a_number_without_bound() -> None:
    held = oxygen.at_reference_oxygen(10.0, 20.99, 6.0)
    assert held == oxygen.Converted(pytest.approx(10 * 15 / 0.1), True)
    assert oxygen.at_reference_oxygen(10.0, 25.0, 6.0).guarded
    assert oxygen.at_reference_oxygen(10.0, 20.0, 6.0, guard_percent=19.0) == oxygen.Converted(75.0, True)
    assert not oxygen.at_reference_oxygen(10.0, 20.9, 6.0).guarded
    with pytest.raises(ValueError, match="oxygen of air"):
        oxygen.excess_air(21.0)
    with pytest.raises(ValueError, match="limit"):
        oxygen.at_reference_oxygen(1.0, 5.0, 6.0, guard_percent=21.0)


def test_saturation_pressure_is_that_of_the_steam_tables() -> None:
    # IAPWS: triple point to within its own uncertainty, 25 and 100 degC, 200 degC.
    for temperature, pressure in ((0.01, 611.66), (25.0, 3169.9), (100.0, 101418.0), (200.0, 1554900.0)):
        assert humidity.saturation_pressure(temperature) == pytest.approx(pressure, rel=1e-4)
    for outside in (-1.0, 374.0):
        with pytest.raises(ValueError, match="0 to 373"):
            humidity.saturation_pressure(outside)


def test_moisture_by_every_way_of_measuring_it() -> None:
    assert humidity.from_oxygen(6.8 * 0.914, 6.8) == pytest.approx(XSW)
    assert humidity.from_dew_point(45.0, 101325.0) == pytest.approx(
        humidity.from_relative_humidity(100.0, 45.0, 101325.0)
    )
    assert humidity.from_relative_humidity(50.0, 60.0, 101325.0) == pytest.approx(0.5 * 19946.4 / 101325, rel=1e-4)
    # Equal bulbs: the gas is saturated, whatever the coefficient.
    assert humidity.from_psychrometer(45.0, 45.0, 98000.0, 101325.0) == pytest.approx(
        humidity.from_dew_point(45.0, 101325.0)
    )
    drier = humidity.from_psychrometer(90.0, 45.0, 98000.0, 101325.0)
    assert drier == pytest.approx(humidity.from_dew_point(45.0, 101325.0) - 0.00067 * 45 * 98000 / 101325)
    for wrong in ((7.0, 6.0), (0.0, 0.0), (-1.0, 5.0)):
        with pytest.raises(ValueError, match="oxygen"):
            humidity.from_oxygen(*wrong)
    with pytest.raises(ValueError, match="wet bulb"):
        humidity.from_psychrometer(40.0, 45.0, 98000.0, 101325.0)
    with pytest.raises(ValueError, match="outside"):
        humidity.from_dew_point(150.0, 101325.0)


@given(st.floats(0.01, 1e5), st.floats(0.0, 0.6))
def test_wet_and_dry_are_inverse(dry: float, moisture: float) -> None:
    assert wet_to_dry(concentration.wet(dry, moisture), moisture) == pytest.approx(dry)


@given(
    st.floats(0, 20), st.floats(0.1, 1e6), st.floats(-20, 400), st.floats(60e3, 105e3), st.floats(-5e3, 5e3),
    st.floats(0, 0.5),
)  # fmt: skip
def test_dry_and_wet_co2_are_one_amount(
    percent: float, actual: float, ts: float, ba: float, ps: float, moisture: float
) -> None:
    wet_flow = flow.standard_wet_flow_m3_h(actual, ts, ba, ps)
    dry = emission.co2_t_h(percent, flow.dry_flow_m3_h(wet_flow, moisture))
    assert emission.co2_t_h(concentration.wet(percent, moisture), wet_flow) == pytest.approx(dry)


def test_greenhouse_gases_are_summed_by_a_named_report() -> None:
    masses = {"co2": 1000.0, "ch4": 2.0, "n2o": 1.0}
    assert co2_equivalent(masses, "AR4") == 1000 + 50 + 298
    assert co2_equivalent(masses, "AR5") == 1000 + 56 + 265
    assert co2_equivalent(masses, "AR6") == pytest.approx(1000 + 55.8 + 273)
    assert not potentials("AR5")["ch4"].verified
    assert all(row.source for report in ("AR4", "AR5", "AR6") for row in potentials(report).values())
    with pytest.raises(KeyError):
        co2_equivalent({"sf6": 1.0}, "AR6")
