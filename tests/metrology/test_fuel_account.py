"""CO2 of fuel, and the account beside the measurement."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.budget import Budget, Term
from metrology.fuel.account import Account, Books, Measured, Options, Row, account
from metrology.fuel.co2 import FuelError, co2_of
from metrology.fuel.electricity import contradictions
from metrology.fuel.explain import Explanation
from metrology.fuel.records import FuelLot, Given, OtherCarbon, as_received, defaults, limestone_co2_t
from metrology.fuel.spread import shares
from metrology.stack.calendar import period_key
from metrology.stack.hours import Hour, HourState
from metrology.stack.substitution import substitute

# 00:00 of 1 January in UTC+8.
START = datetime(2025, 12, 31, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
V, M, S = HourState.VALID, HourState.MISSING, HourState.STOPPED


def lot(days: float = 1.0, amount: float = 1000.0, **values: Given) -> FuelLot:
    return FuelLot("1", "coal", START, START + days * DAY, Given(amount, 5.0), **values)  # type: ignore[arg-type]


def hours(states: list[HourState], kg: float = 100_000.0, u: float = 3_000.0, start: datetime = START) -> list[Hour]:
    budget = Budget(
        (
            Term("kv: reference velocity", 0.8 * u, "common", "t"),
            Term("concentration: span gas", 0.6 * u, "common", "t"),
        )
    )
    return [
        Hour(start + n * HOUR, s, kg, budget) if s is V else Hour(start + n * HOUR, s) for n, s in enumerate(states)
    ]


def total_row(result: Account) -> Row:
    (row,) = [row for row in result.rows if row.period == "total"]
    return row


def by_cause(row: Row) -> dict[str, Explanation]:
    return {one.cause: one for one in row.explanations}


def test_carbon_balance_by_hand() -> None:
    found = co2_of(lot(carbon_fraction=Given(0.55, 0.005), oxidation=Given(0.99, 0.002, "declared")))
    assert found.co2_t == pytest.approx(1000 * 0.55 * 0.99 * 44.01 / 12.011)
    assert found.form == "carbon"
    assert found.assumed == ()
    relative = math.hypot(5 / 1000, 0.005 / 0.55, 0.002 / 0.99)
    assert found.budget.total / found.co2_t == pytest.approx(relative)
    behaviours = {t.name: t.over_time for t in found.budget.terms}
    assert behaviours == {
        "amount: scale": "common", "carbon_fraction: measured": "independent", "oxidation: declared": "common"
    }  # fmt: skip
    rounded = co2_of(lot(carbon_fraction=Given(0.55), oxidation=Given(0.99)), "44/12")
    assert rounded.co2_t == pytest.approx(1000 * 0.55 * 0.99 * 44 / 12)


def test_what_the_laboratory_did_not_measure_is_a_default_and_says_so() -> None:
    measured_heat = co2_of(lot(ncv_GJ=Given(20.0, 0.1)), "44/12")
    assert measured_heat.co2_t == pytest.approx(1000 * 20.0 * 0.03085 * 0.99 * 44 / 12)
    assert (measured_heat.form, measured_heat.assumed) == ("heat-carbon", ("oxidation", "carbon_t_GJ"))
    assert not next(t for t in measured_heat.budget.terms if t.name == "carbon_t_GJ: default").verified
    nothing = co2_of(lot())
    assert set(nothing.assumed) == {"oxidation", "ncv_GJ", "carbon_t_GJ"}
    factor = co2_of(lot(ncv_GJ=Given(20.0), emission_factor_t_GJ=Given(0.095), oxidation=Given(1.0)))
    assert (factor.form, factor.co2_t) == ("heat-factor", pytest.approx(1900.0))


def test_wood_is_biogenic_and_a_share_may_be_declared() -> None:
    wood = co2_of(replace(lot(), fuel="wood_ipcc"))
    assert wood.co2_t == pytest.approx(1000 * 15.6 * 0.112)
    assert wood.biogenic_t == wood.co2_t
    mixed = co2_of(lot(carbon_fraction=Given(0.5), biomass_fraction=Given(0.2)))
    assert mixed.biogenic_t == pytest.approx(0.2 * mixed.co2_t)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replace(lot(), fuel="peat"), "oxidation"),
        (replace(lot(oxidation=Given(0.9)), fuel="peat"), "carbon"),
        (replace(lot(), fuel="natural_gas"), "1e4m3"),
        (lot(carbon_fraction=Given(55.0)), "bounds"),
        (lot(amount=-1.0), "bounds"),
        (lot(biomass_fraction=Given(1.5)), "biomass"),
        (lot(days=0.0), "times"),
    ],
)
def test_a_lot_that_makes_no_sense_is_refused(bad: FuelLot, message: str) -> None:
    with pytest.raises(FuelError, match=message):
        co2_of(bad)


def test_carbon_as_received_by_every_basis() -> None:
    assert as_received(60.0, "ar", 10.0, 2.0) == 60.0
    assert as_received(60.0, "ad", 10.0, 2.0) == pytest.approx(60 * 90 / 98)
    assert as_received(60.0, "d", 10.0, 0.0) == pytest.approx(54.0)
    with pytest.raises(ValueError, match="moisture"):
        as_received(60.0, "ad", 10.0, 100.0)


def test_limestone_gives_off_its_carbonate() -> None:
    assert limestone_co2_t(100.0, 0.9, 1.0) == pytest.approx(90 * 44.01 / 100.09)


def test_every_default_has_a_source_and_says_that_it_was_not_seen() -> None:
    for row in defaults().values():
        assert row.oxidation.source
        assert not row.oxidation.verified
        assert row.ncv_GJ is not None
        assert (row.carbon_t_GJ is None) != (row.emission_factor_t_GJ is None)


@given(st.integers(0, 5000), st.integers(1, 9000), st.sets(st.integers(0, 200)))
def test_the_parts_of_a_lot_are_the_lot(start_min: int, minutes: int, stopped: set[int]) -> None:
    start = START + timedelta(minutes=start_min)
    ran = {START + n * HOUR: n not in stopped for n in range(201)}
    parts = shares(start, start + timedelta(minutes=minutes), ran)
    assert math.fsum(parts.values()) == pytest.approx(1.0)
    assert all(share > 0 for share in parts.values())
    if any(ran.get(hour, True) for hour in parts):
        assert all(ran.get(hour, True) for hour in parts)


def test_periods_are_the_stations_own() -> None:
    assert period_key(START, "day") == "2026-01-01"
    assert period_key(START - HOUR, "day") == "2025-12-31"
    assert period_key(START - HOUR, "month") == "2025-12"
    assert period_key(START, "hour") == "2025-12-31T16:00:00.000Z"
    assert period_key(START, "day", timedelta(0)) == "2025-12-31"
    assert [period_key(START + n * 31 * DAY, "quarter") for n in (0, 3, 11)] == ["2026-Q1", "2026-Q2", "2026-Q4"]
    assert period_key(START, "year") == "2026"


def test_an_account_that_agrees() -> None:
    lots = [lot(days=1, carbon_fraction=Given(0.6612, 0.005), oxidation=Given(0.99, 0.002, "declared"))]
    result = account(Books(lots), {"1": Measured(hours([V] * 24))}, Options(("hour", "day", "total")))
    row = total_row(result)
    assert row.expected_t == pytest.approx(2398.5, abs=0.5)
    assert row.measured_t == pytest.approx(2400.0)
    assert row.measured_u_t == pytest.approx(72.0)
    assert row.difference_t == row.covered_t == pytest.approx(2400 - row.expected_t)
    u = math.hypot(72.0, row.expected_u_t)
    assert row.zeta == pytest.approx(row.covered_t / u)
    assert row.en == pytest.approx(row.covered_t / (2 * u))
    assert row.agrees
    assert not row.spread
    hourly = [r for r in result.rows if r.period == "hour"]
    assert len(hourly) == 24
    assert hourly[0].spread
    assert math.fsum(r.expected_t for r in hourly) == pytest.approx(row.expected_t)
    assert [r.key for r in result.rows if r.period == "day"] == ["2026-01-01"]


def test_missing_hours_are_downtime_and_the_comparison_stays_fair() -> None:
    lots = [lot(carbon_fraction=Given(0.6612, 0.005), oxidation=Given(0.99, 0.002))]
    row = total_row(account(Books(lots), {"1": Measured(hours([V] * 18 + [M] * 6))}, Options()))
    assert row.difference_t == pytest.approx(1800 - row.expected_t)
    assert row.covered_t == pytest.approx(1800 - row.expected_t * 0.75)
    assert row.agrees
    assert by_cause(row)["downtime"].amount_t == pytest.approx(-row.expected_t / 4)
    assert (row.hours.counted, row.hours.missing) == (18, 6)


def test_hours_that_nobody_measured_are_missing_and_not_forgotten() -> None:
    lots = [lot(days=2, amount=2000.0, carbon_fraction=Given(0.6612, 0.005), oxidation=Given(0.99, 0.002))]
    # The file of hours ends after the first day, and lacks two hours of it.
    measured = [hour for n, hour in enumerate(hours([V] * 24)) if n not in (4, 5)]
    row = total_row(account(Books(lots), {"1": Measured(measured)}, Options()))
    assert (row.hours.counted, row.hours.missing) == (22, 26)
    assert row.covered_t == pytest.approx(2200 - row.expected_t * 22 / 48)
    assert row.agrees


def test_substituted_hours_stand_apart_and_explain_their_part() -> None:
    measured = hours([V] * 23 + [M])
    filled = substitute(measured, "hj75")
    row = total_row(account(Books([lot(carbon_fraction=Given(0.6612))]), {"1": Measured(measured, filled)}, Options()))
    assert (row.measured_t, row.substituted_t, row.substituted_hours) == (pytest.approx(2300), pytest.approx(100), 1)
    assert row.difference_t == pytest.approx(2400 - row.expected_t)
    causes = by_cause(row)
    assert causes["substitution"].amount_t == pytest.approx(100 - row.expected_t / 24)
    assert "downtime" not in causes


def test_a_flow_that_is_off_is_found_by_what_it_would_need() -> None:
    lots = [lot(amount=1100.0, carbon_fraction=Given(0.6612, 0.001), oxidation=Given(0.99, 0.001))]
    measured = Measured(hours([V] * 24, u=1_000.0), moisture_fraction=0.09, co2_percent=12.0)
    row = total_row(account(Books(lots), {"1": measured}, Options()))
    assert row.agrees is False
    off = row.expected_t / 2400 - 1
    causes = by_cause(row)
    assert causes["flow"].needed == ("flow", pytest.approx(100 * off), "% relative")
    assert causes["flow"].amount_t == pytest.approx(2 * 0.8 * 24)
    assert not causes["flow"].enough
    assert causes["concentration"].needed == ("CO2", pytest.approx(12 * off), "% absolute")
    assert causes["flow"].amount_t > causes["concentration"].amount_t
    assert "unbooked-limestone" not in causes


def test_an_uncertainty_of_the_whole_is_put_down_to_no_part() -> None:
    bare = Budget((Term("hour: slow", 3_000.0, "slow", "average record"),))
    measured = [replace(hour, budget=bare) for hour in hours([V] * 24)]
    row = total_row(account(Books([lot(carbon_fraction=Given(0.66))]), {"1": Measured(measured)}, Options()))
    causes = by_cause(row)
    assert causes["measurement"].amount_t == pytest.approx(2 * row.measured_u_t)
    assert "flow" not in causes
    assert "humidity" not in causes


def test_co2_that_fuel_does_not_explain() -> None:
    lots = [lot(carbon_fraction=Given(0.6, 0.001), oxidation=Given(0.99, 0.001), biomass_fraction=Given(0.1))]
    bare = total_row(account(Books(lots), {"1": Measured(hours([V] * 24, u=500.0))}, Options()))
    needed = by_cause(bare)["unbooked-limestone"].needed
    assert needed is not None
    assert needed[1] == pytest.approx(bare.covered_t * 100.09 / 44.01)
    stone = OtherCarbon("1", "limestone", START, START + DAY, Given(bare.covered_t, 1.0, "declared"))
    passed = OtherCarbon("1", "bypass", START, START + DAY, Given(10.0, 1.0, "default"))
    row = total_row(account(Books(lots, [stone, passed]), {"1": Measured(hours([V] * 24, u=500.0))}, Options()))
    assert (row.process_t, row.bypass_t) == (pytest.approx(bare.covered_t), pytest.approx(10.0))
    assert row.expected_t == pytest.approx(row.fuel_t + row.process_t - 10.0)
    assert row.biogenic_t == pytest.approx(0.1 * row.fuel_t)
    assert row.assumed == ("bypass",)
    causes = by_cause(row)
    assert causes["limestone"].known
    assert causes["limestone"].amount_t == pytest.approx(bare.covered_t)
    assert causes["bypass"].amount_t == pytest.approx(-10.0)


def test_lots_of_many_days_add_up_by_what_they_share() -> None:
    value = Given(0.6, 0.006)
    lots = [replace(lot(carbon_fraction=value, oxidation=Given(1.0)), start=START + n * DAY, end=START + (n + 1) * DAY)
            for n in range(100)]  # fmt: skip
    row = total_row(account(Books(lots), {}, Options()))
    one = 1000 * 0.6 * 44.01 / 12.011
    # The scale's error is that of all days together, the laboratory's ones are not.
    assert row.expected_u_t == pytest.approx(math.hypot(100 * one * 0.005, math.sqrt(100) * one * 0.01))
    assert row.en is None
    assert row.agrees is None
    assert row.relative_percent == pytest.approx(-100.0)


def test_nothing_is_judged_without_uncertainty() -> None:
    bare = [Hour(START + n * HOUR, V, 100_000.0) for n in range(24)]
    row = total_row(account(Books([lot()]), {"1": Measured(bare)}, Options()))
    assert row.en is None
    assert row.zeta is None


def test_a_stopped_stack_with_a_running_meter_is_an_event() -> None:
    states = [V, S, S, S, V, S, V, V, V]
    energy = {START + n * HOUR: kwh for n, kwh in enumerate([900.0, 900.0, 900.0, 5.0, 900.0, 900.0, 5.0, 5.0])}
    found = contradictions(hours(states), energy, idle_kWh=50.0)
    assert [(c.what, c.start, c.hours, c.energy_kWh) for c in found] == [
        ("stack-stopped-meter-running", START + HOUR, 2, 1800.0),
        ("stack-running-meter-stopped", START + 6 * HOUR, 2, 10.0),
    ]
    assert len(contradictions(hours(states), energy, idle_kWh=50.0, least_hours=1)) == 3
    result = account(Books([]), {"1": Measured(hours(states), energy_kWh=energy)}, Options(idle_kWh=50.0))
    assert result.contradictions["1"] == tuple(found)
