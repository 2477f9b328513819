"""Units: published figures of HJ 212-2017 appendix D and of stack-gas practice; a state is never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.measurand import catalogue
from metrology.units import AMBIENT, STACK_DRY, UnitError, convert, to_standard_state, wet_to_dry


@pytest.mark.parametrize(("ppm", "molar_mass", "expected"), [(20, 64.06, 57.19643), (32, 46.01, 65.72857)])
def test_volume_to_mass_at_the_stack_gas_state(ppm: float, molar_mass: float, expected: float) -> None:
    # SO2 20 ppm and NOx 32 ppm; formula 20 with 22.4 L/mol.
    assert convert(ppm, "umol/mol", "mg/m3", molar_mass=molar_mass, state=STACK_DRY) == pytest.approx(
        expected, rel=1e-6
    )


def test_percent_of_co2_is_19647_mg_per_cubic_metre() -> None:
    found = convert(12.0, "%", "mg/m3", molar_mass=44.01, state=STACK_DRY)
    assert found == pytest.approx(235767.9, rel=1e-6)


def test_ambient_gas_refers_to_25_degrees() -> None:
    # 1.8 mg/m3 of CO2 per ppm at 298.15 K and 1013.25 hPa (density 1.79885 kg/m3 of CO2).
    found = convert(1.0, "umol/mol", "mg/m3", molar_mass=44.0095, state=AMBIENT)
    assert found == pytest.approx(1.79885, rel=1e-5)


def test_actual_to_standard_state_and_wet_to_dry() -> None:
    assert to_standard_state(10.0, 138.5, 100500 - 250) == pytest.approx(15.234894, rel=1e-6)
    assert wet_to_dry(10.0, 0.086) == pytest.approx(10.0 / 0.914)


@given(
    st.floats(-1e6, 1e6), st.sampled_from([("Pa", "kPa"), ("hPa", "kPa"), ("umol/mol", "nmol/mol"), ("%", "umol/mol")])
)
def test_there_and_back(value: float, units: tuple[str, str]) -> None:
    source, target = units
    assert convert(convert(value, source, target), target, source) == pytest.approx(value, rel=1e-12, abs=1e-9)


def test_a_conversion_without_a_state_or_without_a_meaning_is_an_error() -> None:
    with pytest.raises(UnitError, match="state"):
        convert(1.0, "umol/mol", "mg/m3", molar_mass=44.01)
    with pytest.raises(UnitError, match="no conversion"):
        convert(1.0, "degC", "mg/m3")
    with pytest.raises(UnitError, match="fraction"):
        wet_to_dry(1.0, 8.6)


def test_every_measurand_travels_in_a_unit_it_can_be_converted_to() -> None:
    for row in catalogue().values():
        assert row.minimum < row.maximum
        assert row.source
        for state in (STACK_DRY, AMBIENT):
            convert(1.0, row.unit, row.hj212_unit, molar_mass=row.molar_mass, state=state)
