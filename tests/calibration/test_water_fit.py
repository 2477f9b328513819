import math
import random

import pytest

from calibration.fit.linear import FitError
from calibration.models.water import WATER_MODELS, Droplet, fit_water

TRUE = (-0.0122, -2.5e-4)


def experiment(seed: int, noise: float) -> list[Droplet]:
    dice = random.Random(seed)
    waters = [3.0 * math.exp(-0.05 * i) for i in range(80)]
    return [Droplet(400 * (1 + TRUE[0] * h + TRUE[1] * h * h) + dice.gauss(0, noise), h, noise) for h in waters]


def test_own_coefficients_come_back_within_their_uncertainty() -> None:
    misses = []
    for seed in range(40):
        dice = random.Random(1000 + seed)
        found = fit_water(experiment(seed, 0.02), 400 + dice.gauss(0, 0.004), 0.004)
        dry = found.dry(400 * (1 + TRUE[0] * 1.5 + TRUE[1] * 2.25), 1.5)
        misses.append((dry - 400) / found.uncertainty(400, 1.5))
    assert 0.6 < math.sqrt(sum(m * m for m in misses) / len(misses)) < 1.4
    assert found.source == "own experiment"


def test_published_coefficients_give_published_values_and_say_what_is_not_verified() -> None:
    assert WATER_MODELS["rella-co2"].dry(400, 2.0) == pytest.approx(410.285698, abs=5e-7)
    assert WATER_MODELS["rella-ch4"].dry(2.0, 3.0) == pytest.approx(2.065292, abs=5e-7)
    assert not WATER_MODELS["rella-co2"].verified
    assert WATER_MODELS["rella-co2"].uncertainty(400, 0.0) == 0.0


@pytest.mark.parametrize("rows", [[], [Droplet(400, 1.0, 0.1)] * 10])
def test_an_experiment_without_span_gives_nothing(rows: list[Droplet]) -> None:
    with pytest.raises(FitError, match=r"at least 3 over 0\.3 %"):
        fit_water(rows, 400, 0.01)
