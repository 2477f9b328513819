from datetime import UTC, datetime, timedelta

import pytest

from calibration.correction import PREVIOUS_MAX, Coefficients, Term, apply, succeed
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def reading(value: float | None, hours: float = 0) -> Reading:
    return Reading("tower", "co2", value, "umol/mol", T0 + timedelta(hours=hours))


def coefficients(name: str, zero: float, slope: float, hours: float) -> Coefficients:
    return Coefficients(name, "tower.co2", zero, slope, T0 + timedelta(hours=hours))


def test_without_coefficients_the_reading_passes_as_it_came() -> None:
    measurement = apply(reading(412.5), None)
    assert (measurement.value, measurement.calibration) == (412.5, None)


def test_coefficients_correct_and_are_named() -> None:
    measurement = apply(reading(450.0), coefficients("run-1", 400 - 402 / 1.01, 1.01, 0))
    assert measurement.value == pytest.approx(452.5, abs=1e-9)
    assert measurement.calibration == "run-1"
    assert measurement.reading.value == 450.0


def test_a_missing_value_stays_missing() -> None:
    assert apply(reading(None), coefficients("run-1", 1, 2, 0)).value is None


def test_terms_follow_the_other_readings_of_the_same_scan() -> None:
    terms = (Term("board_temperature", 0.01, 25), Term("relative_humidity", -0.002, 50))
    one = Coefficients("t", "tower.co2", 0.1, 2.0, T0, terms=terms)
    warm = Reading("tower", "board_temperature", 35.0, "degC", T0)
    damp = Reading("tower", "relative_humidity", 80.0, "%", T0)
    assert apply(reading(2.1), one, (damp, warm)).value == pytest.approx(4.0 + 0.1 - 0.06, abs=1e-12)
    broken = Reading("tower", "relative_humidity", 80.0, "%", T0, Quality.of(Mark(Cause.FAULT, "sensor", T0)))
    for scan in ((warm,), (warm, broken)):
        missing = apply(reading(2.1), one, scan)
        assert (missing.value, missing.calibration) == (None, "t")
        assert [mark.origin for mark in missing.reading.quality.marks] == ["no relative_humidity to correct by"]
    assert apply(reading(None), one, ()).reading.quality.valid


def test_each_reading_gets_the_coefficients_of_its_own_time() -> None:
    newest = succeed([coefficients("b", 0, 3, 2), coefficients("a", 0, 2, 1)])
    assert [apply(reading(1.0, hours), newest).calibration for hours in (0.5, 1, 1.5, 2, 9)] == [
        None, "a", "a", "b", "b",
    ]  # fmt: skip


def test_the_chain_is_bounded() -> None:
    newest = succeed(coefficients(str(n), 0, 1, n) for n in range(100))
    known = []
    while newest is not None:
        known.append(newest.id)
        newest = newest.previous
    assert known == [str(n) for n in range(99, 99 - PREVIOUS_MAX - 1, -1)]
    assert succeed([]) is None
