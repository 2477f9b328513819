"""The register as a fold: any order, any repeats, nothing certified is lost; what holds is what was written last."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.standards.cautions import cautions, mismatch
from calibration.standards.register import Register
from calibration.standards.scale import ScaleError, family, traceable

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def value(amount: float, u: float = 0.05, scale: str = "WMO CO2 X2019", **more: Any) -> dict[str, Any]:
    return {"value": amount, "unit": "umol/mol", "uncertainty": u, "scale": scale, **more}


def certificate(
    number: str, certified: str | None, amount: float, expires: str = "2030-01-01", u: float = 0.01
) -> dict[str, Any]:
    return {"number": number, "certified": certified, "expires": expires, "assigned": {"co2": value(amount, u)}}


def record(seq: int, act: str, name: str = "span", number: str = "CB1", **row: Any) -> dict[str, Any]:
    at = BEGIN + timedelta(days=seq)
    return {
        "epoch": 1, "seq": seq, "t": at.isoformat().replace("+00:00", ".000Z"), "kind": "calibration",
        "what": "cylinder", "act": act, "who": "li", "reason": "r", "name": name,
        "row": {"name": name, "number": number, **row},
    }  # fmt: skip


acts = st.sampled_from(["declared", "added", "revalued", "pressure", "installed", "removed", "retired", "assigned"])
rows = st.fixed_dictionaries(
    {},
    optional={
        "fill": st.sampled_from(["A", "B"]),
        "certificate": st.builds(
            certificate, st.sampled_from(["C1", "C2", "C3"]), st.sampled_from([None, "2025-01-01", "2026-01-01"]),
            st.sampled_from([400.0, 401.0, 402.0]),
        ),
        "pressure": st.sampled_from([{"at": "2026-02-01T00:00:00.000Z", "bar": bar} for bar in (80.0, 90.0)]),
    },
)  # fmt: skip
histories = st.lists(
    st.tuples(acts, st.sampled_from(["zero", "span"]), st.sampled_from(["N1", "N2"]), rows), max_size=12
)


@given(histories, st.randoms(use_true_random=False))
def test_order_and_repeats_make_no_difference_and_nothing_is_lost(drawn: list[Any], random: Any) -> None:
    records = [record(seq, act, name, number, **row) for seq, (act, name, number, row) in enumerate(drawn)]
    told = Register(records)
    shuffled = [*records, *random.choices(records, k=len(records))] if records else []
    random.shuffle(shuffled)
    other = Register()
    for one in shuffled:
        other.take(one)
    assert other.cylinders == told.cylinders
    for name in ("zero", "span"):
        assert other.named(name) == told.named(name)
    for one in records:
        row = one["row"]
        kept = told.cylinder((row["number"], row.get("fill", "A")))
        if "certificate" in row:
            everything = [each.certificate.fields() for each in (*kept.certificates, *kept.superseded)]
            assert row["certificate"]["number"] in [each["number"] for each in everything]
            amounts = [each["assigned"]["co2"]["value"] for each in everything]
            assert row["certificate"]["assigned"]["co2"]["value"] in amounts
        if one["act"] != "pressure":
            assert (1, one["seq"]) in [entry.record for entry in kept.history]


@given(histories)
def test_a_place_holds_one_cylinder_and_a_cylinder_one_place(drawn: list[Any]) -> None:
    told = Register(record(seq, act, name, number, **row) for seq, (act, name, number, row) in enumerate(drawn))
    held = [one for one in told.cylinders.values() if one.in_use]
    standing = [one.row.key for name in ("zero", "span") if (one := told.named(name)) and one.in_use]
    assert {one.row.key for one in held} <= set(standing)


def test_a_value_follows_its_certificates() -> None:
    told = Register([record(0, "added", certificate=certificate("C1", "2024-01-01", 400.0))])
    (one,) = told.cylinders.values()
    assert one.value("co2", date(2026, 1, 1)).value == 400.0  # type: ignore[union-attr]
    told.take(record(1, "revalued", certificate=certificate("C2", "2026-01-02", 400.3)))
    one = told.named("span")  # type: ignore[assignment]
    assert [one.value("co2", day).value for day in (date(2026, 1, 1), date(2026, 1, 2))] == [400.0, 400.3]  # type: ignore[union-attr]
    assert one.fit("co2").model == "linear"  # type: ignore[union-attr]
    # A third certificate makes the fit count, unless the row says otherwise.
    third = certificate("C3", "2028-01-01", 400.6)
    told.take(record(2, "revalued", certificate=third))
    one = told.named("span")  # type: ignore[assignment]
    assert one.by_fit("co2")
    assert one.value("co2", date(2027, 1, 1)).value == pytest.approx(400.45, abs=0.01)  # type: ignore[union-attr]
    told.take(record(3, "revalued", certificate=third, valuation="last"))
    assert told.named("span").value("co2", date(2027, 1, 1)).value == 400.3  # type: ignore[union-attr]


def test_a_certificate_written_anew_replaces_itself_and_is_remembered() -> None:
    told = Register([record(0, "added", certificate=certificate("C1", None, 400.0))])
    told.take(record(9, "revalued", certificate=certificate("C1", None, 404.0)))
    one = told.named("span")
    assert one is not None
    assert one.value("co2", date(2026, 6, 1)).value == 404.0  # type: ignore[union-attr]
    assert [kept.certificate.assigned["co2"].value for kept in one.superseded] == [400.0]
    assert one.certificates[0].day == BEGIN.date(), "the day on which it was first written down"
    told.take(record(20, "revalued", certificate=certificate("C2", None, 405.0)))
    assert told.named("span").fit("co2").dof == 0  # type: ignore[union-attr]


def test_values_on_another_scale_stay_out_of_the_fit() -> None:
    old = {**certificate("C1", "2020-01-01", 399.7), "assigned": {"co2": value(399.7, scale="WMO CO2 X2007")}}
    told = Register([record(0, "added", certificate=old)])
    told.take(record(1, "revalued", certificate=certificate("C2", "2024-01-01", 400.0)))
    fit = told.named("span").fit("co2")  # type: ignore[union-attr]
    assert (fit.model, len(fit.gain)) == ("mean", 1)  # type: ignore[union-attr]


def test_a_new_cylinder_takes_the_place_and_a_refill_is_another_cylinder() -> None:
    told = Register([record(0, "declared", certificate=certificate("C1", None, 400.0))])
    told.take(record(1, "installed", number="CB2", certificate=certificate("C2", None, 410.0)))
    assert told.named("span").row.number == "CB2"  # type: ignore[union-attr]
    assert not told.cylinder(("CB1", "A")).in_use
    told.take(record(2, "removed", number="CB1"))
    assert told.named("span").row.number == "CB2", "the old one leaves no place it does not hold"  # type: ignore[union-attr]
    told.take(record(3, "added", number="CB1", fill="B", certificate=certificate("C3", None, 420.0)))
    assert told.named("span").row.key == ("CB1", "B")  # type: ignore[union-attr]
    assert told.found("CB1", "A").value("co2", date(2026, 3, 1)).value == 400.0  # type: ignore[union-attr]
    told.take(record(4, "retired", number="CB1", fill="B"))
    gone = told.named("span")
    assert gone is not None
    assert gone.row.key == ("CB1", "B")
    assert [one.kind for one in cautions(gone, BEGIN)] == ["absent"]


def test_records_that_make_no_sense_change_nothing() -> None:
    told = Register([{"what": "drift"}, record(0, "eaten"), {**record(1, "added"), "row": {"name": "span"}},
                     record(2, "added", certificate={**certificate("C", None, 1.0), "assigned": {"co2": value(1, scale="?")}})])  # fmt: skip # noqa: E501
    assert told.cylinders == {}


def test_cautions_of_time_and_pressure() -> None:
    told = Register([record(0, "added", certificate=certificate("C", None, 400.0, "2026-03-31"),
                            pressure={"at": "2026-01-01T00:00:00.000Z", "bar": 19.9})])  # fmt: skip
    one = told.named("span")
    assert one is not None
    for day, kinds in ((datetime(2026, 2, 28, tzinfo=UTC), ["low"]),
                       (datetime(2026, 3, 1, tzinfo=UTC), ["expires", "low"]),
                       (datetime(2026, 3, 31, 23, tzinfo=UTC), ["expires", "low"]),
                       (datetime(2026, 4, 1, tzinfo=UTC), ["expired", "low"])):  # fmt: skip
        assert [each.kind for each in cautions(one, day)] == kinds
    told.take(record(1, "pressure", certificate=certificate("C", None, 400.0, "2026-03-31"),
                     pressure={"at": "2026-01-02T00:00:00.000Z", "bar": 20.0}, warn_days=10))  # fmt: skip
    assert cautions(told.named("span"), datetime(2026, 3, 20, tzinfo=UTC)) == []  # type: ignore[arg-type]


def test_scales_of_one_sequence_must_agree() -> None:
    assert (
        mismatch([("zero", 0.0, "GBW(E) 060001"), ("a", 400.0, "WMO CO2 X2019"), ("b", 410.0, "wmo  co2 x2019")])
        is None
    )
    assert mismatch([("a", 80.0, "GBW(E) 060001"), ("b", 160.0, "GBW08125")]) is None
    found = mismatch([("a", 400.0, "WMO CO2 X2019"), ("b", 410.0, "WMO CO2 X2007")])
    assert found is not None
    assert found.kind == "scale"
    assert family("GBW (E)060001") == "GBW"
    for scale in ("", "WMO", "2019", "best we have"):
        with pytest.raises(ScaleError):
            traceable(scale)
