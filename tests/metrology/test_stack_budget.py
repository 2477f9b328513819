"""Uncertainty of hourly emissions and of their sums; the history of Kv."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from metrology.budget import Budget, Term
from metrology.stack.emission_budget import (
    Summed,
    default_terms,
    emission_kg_h,
    hourly_emission,
    hourly_inputs,
    sum_over_time,
)
from metrology.stack.propagation import Input, propagate, sensitivity
from metrology.stack.velocity_field import FilingError, History, VelocityCoefficient, determine

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VALUES = {
    "area_m2": 12.5,
    "kv": 1.05,
    "pitot_coefficient": 0.84,
    "differential_pressure_Pa": 80.0,
    "standard_density_kg_m3": 1.32,
    "temperature_degC": 138.5,
    "static_pressure_Pa": -250.0,
    "barometer_Pa": 100500.0,
    "moisture_fraction": 0.086,
    "concentration": 235767.9,
}


def term(name: str, u: float, over_time: str = "independent") -> Term:
    return Term(name, u, over_time, "test")  # type: ignore[arg-type]


def coefficient(id_: str, value: float, valid_from: datetime, **changes: object) -> VelocityCoefficient:
    fields = {
        "id": id_, "value": value, "repeatability": 0.01, "reference": "on-site", "determined": valid_from,
        "filed": valid_from, "valid_from": valid_from, "filed_by": "Li Wei", "authority": "operator", "reason": "RATA",
    } | changes  # fmt: skip
    return VelocityCoefficient(**fields)  # type: ignore[arg-type]


def test_sensitivities_are_the_derivatives() -> None:
    def model(v: "object") -> float:
        values = dict(v)  # type: ignore[call-overload]
        return float(values["a"] ** 2 * math.sqrt(values["b"]) + values["c"])

    values = {"a": 3.0, "b": 4.0, "c": 0.0}
    assert sensitivity(model, values, "a") == pytest.approx(12.0, rel=1e-8)
    assert sensitivity(model, values, "b") == pytest.approx(9 / 4, rel=1e-8)
    assert sensitivity(model, values, "c") == pytest.approx(1.0, rel=1e-8)


def test_a_cause_that_two_inputs_share_adds_with_its_sign() -> None:
    inputs = {"a": Input(5.0, (term("gas", 0.3), term("noise", 0.4))), "b": Input(2.0, (term("gas", 0.3),))}
    difference, apart = propagate(lambda v: v["a"] - v["b"], inputs)
    assert difference == 3.0
    assert apart.total == pytest.approx(math.hypot(0.3, 0.4, 0.3))
    _, shared = propagate(lambda v: v["a"] - v["b"], inputs, common_causes={"gas"})
    assert shared.total == pytest.approx(0.4)
    assert [t.name for t in shared.terms] == ["a: noise", "gas"]


def test_an_hour_is_the_plain_formula_and_its_relative_sensitivities_are_those_of_the_algebra() -> None:
    # E = const C A Kv Kp sqrt(dp T0/T P / rho): the state enters by its root, once.
    single = {name: Input(value, (term("x", 0.01 * value),)) for name, value in VALUES.items() if value > 0}
    single["static_pressure_Pa"] = Input(-250.0)
    value, budget = hourly_emission(single)
    assert value == pytest.approx(emission_kg_h(VALUES))
    relative = {t.name: t.u / value / 0.01 for t in budget.terms}
    for name in ("area_m2", "kv", "pitot_coefficient", "concentration"):
        assert relative[f"{name}: x"] == pytest.approx(1.0, rel=1e-6)
    for name in ("differential_pressure_Pa", "standard_density_kg_m3"):
        assert relative[f"{name}: x"] == pytest.approx(0.5, rel=1e-6)
    assert relative["temperature_degC: x"] == pytest.approx(0.5 * 138.5 / 411.5, rel=1e-6)
    assert relative["barometer_Pa: x"] == pytest.approx(0.5 * 100500 / 100250, rel=1e-6)
    assert relative["moisture_fraction: x"] == pytest.approx(0.086 / 0.914, rel=1e-6)


def test_a_wet_analyzer_owes_nothing_to_the_moisture() -> None:
    _, budget = hourly_emission(hourly_inputs(VALUES), wet=True)
    assert {t.name: t.u for t in budget.terms}["moisture_fraction: method"] == 0.0


def test_the_tables_terms_say_where_they_are_from() -> None:
    value, budget = hourly_emission(hourly_inputs(VALUES, full_scales={"differential_pressure_Pa": 500.0}))
    assert 0.02 < budget.total / value < 0.10
    assert all(t.source for t in budget.terms)
    assert not any(t.verified for t in budget.terms)
    wide = {t.name: t.u for t in default_terms("differential_pressure_Pa", 80.0, 500.0)}
    assert wide["transmitter"] == pytest.approx(2.5 / math.sqrt(3))
    filed = coefficient("kv-1", 1.05, START, reference="national-facility", repeatability=0.002)
    _, better = hourly_emission(hourly_inputs(VALUES, kv=filed))
    kv = {t.name: t.u for t in better.terms if t.name.startswith("kv")}
    assert kv["kv: determination kv-1"] == pytest.approx(value * 0.002 / 1.05)
    assert kv["kv: reference velocity"] == pytest.approx(value * 0.003)


def test_the_propagated_uncertainty_is_that_of_many_draws() -> None:
    inputs = hourly_inputs(VALUES)
    value, budget = hourly_emission(inputs)
    draw = random.Random(5)
    results = [
        emission_kg_h({n: i.value + math.fsum(draw.gauss(0, t.u) for t in i.terms) for n, i in inputs.items()})
        for _ in range(4000)
    ]
    mean = math.fsum(results) / len(results)
    sd = math.sqrt(math.fsum((r - mean) ** 2 for r in results) / (len(results) - 1))
    assert mean == pytest.approx(value, rel=0.005)
    assert sd == pytest.approx(budget.total, rel=0.05)


def year(behaviour: str, hours: int = 8760) -> Summed:
    return sum_over_time((START + n * HOUR, 100.0, Budget((term("x", 5.0, behaviour),))) for n in range(hours))


def test_a_years_uncertainty_is_not_falsely_small() -> None:
    assert year("independent").total_u == pytest.approx(5 * math.sqrt(8760))
    assert year("common").total_u == pytest.approx(5 * 8760)
    # A year holds some six spans of 2 x 30 days: a slow part shrinks by about their root and no more.
    slow = year("slow")
    assert slow.total_u / (5 * 8760) == pytest.approx(math.sqrt(2 * (12.17 - 1) / 12.17**2), rel=0.01)
    assert slow.uncertainty.slow == slow.total_u
    assert slow.value == 876000.0
    assert slow.hours == 8760


def test_the_sum_over_time_is_that_of_the_full_covariance() -> None:
    draw = random.Random(2)
    at = sorted({draw.randrange(3000) for _ in range(60)})
    us = [draw.uniform(0.5, 2.0) for _ in at]
    tau = timedelta(hours=200)
    summed = sum_over_time(
        ((START + n * HOUR, 1.0, Budget((term("x", u, "slow"),))) for n, u in zip(at, us, strict=True)), tau
    )
    full = math.fsum(
        u * v * math.exp(-abs(n - m) / 200) for n, u in zip(at, us, strict=True) for m, v in zip(at, us, strict=True)
    )
    assert summed.total_u == pytest.approx(math.sqrt(full))


def test_two_determinations_of_kv_are_independent_and_what_they_share_is_not() -> None:
    first, second = coefficient("a", 1.0, START), coefficient("b", 1.0, START + 100 * HOUR)
    hours = [
        (START + n * HOUR, *hourly_emission(hourly_inputs(VALUES, kv=first if n < 100 else second))) for n in range(200)
    ]
    parts = {t.name: t.u for t in sum_over_time(hours).budget.terms}
    emission = hours[0][1]
    assert parts["kv: determination a"] == pytest.approx(100 * emission * 0.01)
    assert parts["kv: determination b"] == pytest.approx(100 * emission * 0.01)
    assert parts["kv: reference velocity"] == pytest.approx(200 * emission * 0.025)


def test_a_filed_coefficient_holds_forward_only_and_bears_a_name() -> None:
    history = History().file(coefficient("a", 1.02, START))
    later = START + timedelta(days=90)
    history = history.file(coefficient("b", 1.05, later))
    assert history.at(START - HOUR) is None
    assert [getattr(history.at(at), "id", None) for at in (START, later - HOUR, later)] == ["a", "a", "b"]
    with pytest.raises(FilingError, match="before"):
        history.file(coefficient("c", 1.0, later + HOUR, filed=later + 2 * HOUR))
    with pytest.raises(FilingError, match="begins later"):
        history.file(coefficient("c", 1.0, later))
    with pytest.raises(FilingError, match="who"):
        history.file(coefficient("c", 1.0, later + HOUR, filed_by=" "))
    with pytest.raises(FilingError, match="positive"):
        history.file(coefficient("c", -1.0, later + HOUR))


def test_kv_from_a_comparison() -> None:
    found = determine([10.5, 11.6, 12.7], [10.0, 11.0, 12.0])
    ratios = [1.05, 11.6 / 11, 12.7 / 12]
    assert found.value == pytest.approx(sum(ratios) / 3)
    sd = math.sqrt(sum((r - found.value) ** 2 for r in ratios) / 2)
    assert found.u == pytest.approx(sd / math.sqrt(3))
    assert found.relative_sd_percent == pytest.approx(100 * sd / found.value)
    for wrong in (([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, 0.0], [1.0, 1.0])):
        with pytest.raises(ValueError, match="pairs"):
            determine(*wrong)
