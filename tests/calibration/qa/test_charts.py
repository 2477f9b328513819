"""Control charts against the reference's sequences, and their run lengths by simulation."""

import math
import random
import statistics
from collections.abc import Callable, Iterator

import pytest

from calibration.qa.charts import Cusum, cusum, ewma, western_electric, zone

SERIES = 4000
CHECKS_MAX = 3000


@pytest.mark.parametrize(
    ("deviations", "above", "below", "spread", "alarm", "adjustment"),
    [
        ([0.2, 1.0, 1.3, 0.9, 1.6, 1.2], (3.495, 5), (0.0, 0), 0.0, "drift", -0.840),
        ([-0.4, -1.5, -1.2, -1.8], (0.0, 0), (2.997, 3), 0.0, "drift", 1.050),
        ([0.0, 2.5, -2.0], (0.0, 0), (1.499, 1), 9.550, "precision", None),
    ],
)  # fmt: skip
def test_the_qal3_sequences(
    deviations: list[float], above: tuple[float, int], below: tuple[float, int], spread: float, alarm: str,
    adjustment: float | None,
) -> None:  # fmt: skip
    states = list(cusum(deviations, 1.0))
    last = states[-1]
    assert (last.above, last.above_n) == (pytest.approx(above[0], abs=1e-9), above[1])
    assert (last.below, last.below_n) == (pytest.approx(below[0], abs=1e-9), below[1])
    assert last.spread == pytest.approx(spread, abs=1e-9)
    assert [state.alarm for state in states] == [None] * (len(states) - 1) + [alarm]
    assert last.adjustment == (None if adjustment is None else pytest.approx(adjustment, abs=5e-4))
    assert last.adjusted() == Cusum(1.0)


@pytest.mark.parametrize("sd", [0.2, 3.0, 40.0])
def test_a_chart_does_not_depend_on_the_unit(sd: float) -> None:
    ours = list(cusum([sd * d for d in (0.2, 1.0, 1.3, 0.9, 1.6, 1.2)], sd))[-1]
    assert ours.alarm == "drift"
    assert ours.adjustment == pytest.approx(-0.840 * sd, abs=5e-4 * sd)


def run_length(deviations: Callable[[random.Random], Iterator[float]], alarmed: Callable[[Cusum], bool]) -> float:
    """Mean number of checks to the first alarm, standard normal noise around what is asked."""
    lengths = []
    for seed in range(SERIES):
        for count, state in enumerate(cusum(deviations(random.Random(seed)), 1.0), 1):
            if alarmed(state) or count == CHECKS_MAX:
                lengths.append(count)
                break
    return statistics.mean(lengths)


def noise(shift: float = 0.0, spread: float = 1.0) -> Callable[[random.Random], Iterator[float]]:
    def of(source: random.Random) -> Iterator[float]:
        while True:
            yield source.gauss(shift, spread)

    return of


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.0, 50.0), (0.5, 15.9), (1.0, 6.1), (1.5, 3.6), (2.0, 2.6), (3.0, 1.7)]
)
def test_run_lengths_of_the_drift_test(shift: float, expected: float) -> None:
    found = run_length(noise(shift), lambda state: max(state.above, state.below) > 2.85)
    assert found == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(("spread", "expected"), [(1.0, 105.0), (1.5, 14.1), (2.0, 7.0)])
def test_run_lengths_of_the_precision_test(spread: float, expected: float) -> None:
    assert run_length(noise(spread=spread), lambda state: state.spread > 6.90) == pytest.approx(expected, rel=0.08)


def test_both_tests_together_alarm_once_in_37_checks() -> None:
    assert run_length(noise(), lambda state: state.alarm is not None) == pytest.approx(37.0, rel=0.06)


@pytest.mark.parametrize(("beyond", "expected"), [("action", 370.0), ("warning", 22.0)])
def test_shewharts_run_lengths_are_those_of_the_normal_distribution(beyond: str, expected: float) -> None:
    source, checks, hits = random.Random(1), 400_000, 0
    for _ in range(checks):
        found = zone(source.gauss(0.0, 2.0), 2.0)
        hits += found == "action" or (beyond == "warning" and found == "warning")
    assert checks / hits == pytest.approx(expected, rel=0.08)


def test_a_chart_without_a_standard_deviation_is_refused() -> None:
    for make in (lambda: zone(1.0, 0.0), lambda: list(cusum([1.0], -1.0)), lambda: list(ewma([1.0], math.nan))):
        with pytest.raises(ValueError, match="above 0"):
            make()
    with pytest.raises(ValueError, match="weight"):
        list(ewma([1.0], 1.0, weight=0.0))


@pytest.mark.parametrize(("deviations", "rules"), [
    ([0.1, 3.1], (1,)),
    ([2.1, 0.0, 2.2], (2,)),
    ([2.1, 2.2, 0.0], ()),
    ([1.1, 1.2, 0.2, 1.3, 1.4], (3,)),
    ([-0.1] * 8, (4,)),
    ([-0.1] * 7 + [0.1], ()),
    ([2.5, 2.5, 3.5], (1, 2)),
])  # fmt: skip
def test_western_electric_rules_look_at_one_side_and_at_the_last_check(
    deviations: list[float], rules: tuple[int, ...]
) -> None:
    assert western_electric(deviations, 1.0) == rules
    assert western_electric([-d for d in deviations], 1.0) == rules


def test_the_ewma_of_a_constant_shift() -> None:
    """Weight 0.2: after n checks of 1 the mean is 1 - 0.8^n; the limit is exact for n."""
    states = list(ewma([1.0] * 5, 1.0))
    assert [state.value for state in states] == pytest.approx([1 - 0.8**n for n in range(1, 6)])
    assert states[0].limit == pytest.approx(2.86 * 0.2)
    assert states[4].limit == pytest.approx(2.86 * math.sqrt(0.2 / 1.8 * (1 - 0.8**10)))


def test_run_lengths_of_the_ewma() -> None:
    """About 370 checks in control with the defaults (Lucas and Saccucci), about 10 at a shift of 1 sd."""
    for shift, expected in ((0.0, 370.0), (1.0, 9.0)):
        lengths = []
        for seed in range(600):
            source = random.Random(seed)
            for count, state in enumerate(ewma((source.gauss(shift, 1.0) for _ in range(5000)), 1.0), 1):
                if state.alarm:
                    lengths.append(count)
                    break
        assert statistics.mean(lengths) == pytest.approx(expected, rel=0.15)
