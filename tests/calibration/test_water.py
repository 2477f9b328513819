import pytest

from calibration.water import dilution, dry_ch4, dry_co2, h2o_column


@pytest.mark.parametrize(
    ("h", "co2", "ch4"),
    [
        (0.0, 400.0, 2.0),
        (0.5, 402.441553, 2.009989),
        (1.0, 404.967903, 2.020323),
        (2.0, 410.285698, 2.042061),
        (3.0, 415.976233, 2.065292),
    ],
)
def test_dry_mole_fractions_of_the_published_quadratic(h: float, co2: float, ch4: float) -> None:
    assert dry_co2(400.0, h) == pytest.approx(co2, abs=5e-7)
    assert dry_ch4(2.0, h) == pytest.approx(ch4, abs=5e-7)


def test_the_column_shown_as_h2o_is_another_quantity() -> None:
    assert h2o_column(1.0) == pytest.approx(0.791490, abs=1e-6)
    assert h2o_column(2.0) == pytest.approx(1.621960, abs=1e-6)


def test_dilution_is_exact_and_wants_a_fraction() -> None:
    assert dilution(400.0, 0.01) == pytest.approx(404.040404, abs=1e-6)
    with pytest.raises(ValueError, match="mol/mol, not percent"):
        dilution(400.0, 1.2)
