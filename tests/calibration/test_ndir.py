"""NDIR: density, zero and span, and a budget that covers."""

import random

import pytest

from calibration.ndir import Density, Gas, Sensors, calibrate
from calibration.sequence import Assigned

SCALE = "WMO CO2 X2019"


def gas(value: float, reading: float, u: float = 0.0, u_reading: float = 0.0) -> Gas:
    return Gas(Assigned(value, "umol/mol", u, SCALE), reading, u_reading)


def test_an_ideal_gas_reads_the_same_anywhere_once_brought_to_one_density() -> None:
    density = Density()
    molecules = 400.0 * (90.0 / 101.325) * (298.15 / 283.15)
    assert density.bring(molecules, 90.0, 10.0) == pytest.approx(400.0)
    assert Density(pressure_exponent=0.0, temperature_exponent=0.0).bring(400.0, 90.0, 10.0) == 400.0
    with pytest.raises(ValueError, match="no state"):
        density.bring(400.0, 0.0, 20.0)


def test_both_gases_come_out_as_assigned() -> None:
    model = calibrate(Density(), gas(0.0, 2.0), gas(800.0, 790.0))
    assert model.correct(2.0, 101.325, 25.0) == pytest.approx(0.0)
    assert model.correct(790.0, 101.325, 25.0) == pytest.approx(800.0)


@pytest.mark.parametrize(
    ("zero", "span"),
    [
        (gas(0, 1), gas(0, 5)),
        (gas(0, 5), gas(800, 5)),
        (gas(0, 1), Gas(Assigned(800, "%", 0, SCALE), 5, 0)),
    ],
)
def test_gases_that_give_no_line_are_refused(zero: Gas, span: Gas) -> None:
    with pytest.raises(ValueError, match=r"differ|gas in"):
        calibrate(Density(), zero, span)


def test_stated_intervals_cover_the_truth() -> None:
    rng, inside = random.Random(5), 0
    for _ in range(2000):
        true_zero, true_span = rng.gauss(0, 0.2), rng.gauss(800, 2.0)
        sensors = Sensors(0.2, 0.5)
        pressure, temperature, truth = rng.uniform(80, 103), rng.uniform(5, 40), rng.uniform(350, 700)
        zero = gas(0.0, true_zero / 1.02 + 3 + rng.gauss(0, 0.3), 0.2, 0.3)
        span = gas(800.0, true_span / 1.02 + 3 + rng.gauss(0, 0.5), 2.0, 0.5)
        model = calibrate(Density(), zero, span, sensors)
        factor = Density().bring(1.0, pressure, temperature)
        indication = (truth / 1.02 + 3) / factor + rng.gauss(0, 1.0)
        seen = (pressure + rng.gauss(0, 0.2), temperature + rng.gauss(0, 0.5))
        error = model.correct(indication, *seen) - truth
        inside += abs(error) <= 1.96 * model.budget(indication, *seen, noise=1.0).total
    assert 0.93 <= inside / 2000 <= 0.97
