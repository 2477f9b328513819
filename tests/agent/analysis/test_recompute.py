"""Averages made again from the scans: later revisions beside the old ones, the same bytes every time, whole hours."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.analysis.desk import RecomputeDesk
from agent.analysis.nodes import text
from agent.analysis.trace import Question, Tracer
from agent.analysis.tree import tree
from agent.history.files import FileSource
from host.control import RequestError
from metrology.periods import iso, parse_iso
from metrology.quality import letter

SERIES = "ndir.co2"
BEGIN = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


async def asked(one: Any, desk: RecomputeDesk, **members: Any) -> dict[str, Any]:
    """The last word on a request."""
    request: dict[str, Any] = {
        "do": "recompute", "series": [SERIES], "start": iso(BEGIN), "end": iso(BEGIN + timedelta(hours=2)),
        "plan": {"rules": [{"use": "linear"}]}, "who": "Li Na", "reason": "cylinder recalibrated", **members,
    }  # fmt: skip
    return [told async for told in desk.serve(request)][-1]


async def worked(one: Any) -> RecomputeDesk:
    desk = RecomputeDesk(one)
    one.tasks.insert(0, asyncio.create_task(desk.run()))
    return desk


async def drifted(past: Any, kind: str = "research") -> Any:
    """Three hours between calibrations whose zeros differ."""
    one = await past(kind)
    if kind == "research":
        await one.calibrate("a", 2.0, 1.01)
    await one.run(100)
    if kind == "research":
        await one.calibrate("b", 4.0, 1.01)
    await one.run(90)
    return one


def rows(one: Any, period_s: int, series: str = SERIES) -> dict[tuple[str, int], dict[str, Any]]:
    found = one.index.averages(period_s, iso(BEGIN - timedelta(days=2)), iso(BEGIN + timedelta(days=2)))
    return {(row["start"], row["rows"][series]["rev"]): row for row in found if series in row["rows"]}


async def test_later_revisions_lie_beside_the_old_ones_with_who_and_why(past: Any) -> None:
    one = await drifted(past)
    before = rows(one, 60)
    told = await asked(one, await worked(one))
    assert told["finished"]
    minutes, hours = rows(one, 60), rows(one, 3600)
    assert {key: row for key, row in minutes.items() if key[1] == 0} == before
    start = iso(BEGIN + timedelta(minutes=50))
    old, new = minutes[start, 0]["rows"][SERIES], minutes[start, 1]["rows"][SERIES]
    # Half way between the calibrations the zero is half way between theirs.
    assert new["mean"] - old["mean"] == pytest.approx(-1.01, abs=0.02)
    assert (new["n"], new["cal"]) == (old["n"], ["daily-a.ndir.co2", "daily-b.ndir.co2"])
    hour = hours[iso(BEGIN), 1]["rows"][SERIES]
    means = [minutes[iso(BEGIN + timedelta(minutes=n)), 1]["rows"][SERIES]["mean"] for n in range(60)]
    assert hour["mean"] == pytest.approx(sum(means) / 60)
    [begun] = one.index.newest("calibration", "recompute", 9)
    assert (begun["who"], begun["reason"], begun["series"]) == ("Li Na", "cylinder recalibrated", [SERIES])
    assert {row["recompute"] for key, row in minutes.items() if key[1] == 1} == {begun["id"]}
    [ended] = one.index.newest("calibration", "recompute-finished", 9)
    assert ended["records"] == {"60": 120, "3600": 2}
    assert ended["largest"][SERIES] == pytest.approx(-2.02, abs=0.05)


async def test_the_same_request_twice_does_nothing_and_another_makes_the_next_revision(past: Any) -> None:
    one = await drifted(past)
    desk = await worked(one)
    await asked(one, desk)
    after = one.log.next_seq
    assert (await asked(one, desk))["already"]
    assert one.log.next_seq == after
    # As measured again: the first values return, as the second revision.
    await asked(one, desk, plan={"rules": [{"use": "as-measured"}]})
    minutes = rows(one, 60)
    start = iso(BEGIN + timedelta(minutes=50))
    first, third = (minutes[start, rev]["rows"][SERIES] for rev in (0, 2))
    assert {**first, "rev": 2, "unc": None} == {**third, "unc": None}


async def test_a_rehearsal_says_what_would_change_and_writes_nothing(past: Any) -> None:
    one = await drifted(past)
    before = one.log.next_seq
    told = await asked(one, await worked(one), dry_run=True)
    assert told["rows"] == {SERIES: 122}
    assert one.log.next_seq == before


def bodies(one: Any) -> list[dict[str, Any]]:
    """Revised records without what says when and where they were written."""
    found = []
    for period_s in (60, 3600, 86400):
        for (_, rev), row in sorted(rows(one, period_s).items()):
            if rev:
                found.append({key: value for key, value in row.items() if key not in ("t", "seq", "epoch")})
    return found


def begun(one: Any, after: int) -> bool:
    """Whether so many records of a recomputation are written."""
    return bool(one.index.newest("calibration", "recompute", 1)) and len(bodies(one)) >= after


@pytest.mark.parametrize("after", [0, 30, 119])
async def test_after_a_kill_it_goes_on_and_comes_to_the_same(past: Any, after: int) -> None:
    one = await drifted(past)
    desk = RecomputeDesk(one)
    working = asyncio.create_task(desk.run())
    asking = asyncio.create_task(asked(one, desk))
    async with asyncio.timeout(20):
        while not await one.log.call(begun, one, after):
            assert not working.done(), working.result()
    for task in (asking, working):
        task.cancel()
    await asyncio.wait([asking, working])
    await one.settled()
    # Whole hours or nothing: an hour's own record stands only with all of its minutes.
    left = bodies(one)
    assert len(left) in (0, 61, 122)
    await one.stop()
    one.open()
    await one.begin()
    await worked(one)
    async with asyncio.timeout(20):
        while not await one.log.call(one.index.newest, "calibration", "recompute-finished", 1):
            assert not one.tasks[0].done(), one.tasks[0].result()
    assert len(bodies(one)) == 122
    assert bodies(one)[: len(left)] == left or len(left) in (0, 61)
    again = await drifted(past_again(past))
    await asked(again, await worked(again))
    assert bodies(again) == bodies(one)


def past_again(past: Any) -> Any:
    """A station of the same past in a folder of its own."""

    async def make(kind: str = "research") -> Any:
        return await past(kind, folder="second")

    return make


async def test_corrected_cylinders_have_their_calibrations_fitted_again(past: Any) -> None:
    one = await drifted(past)
    plan = {
        "rules": [{"use": "previous"}],
        "assigned": [{"number": "N2", "measurand": "co2", "value": 606.0, "source": "recertified"}],
    }
    await asked(one, await worked(one), plan=plan)
    new = rows(one, 60)[iso(BEGIN + timedelta(minutes=30)), 1]["rows"][SERIES]
    old = rows(one, 60)[iso(BEGIN + timedelta(minutes=30)), 0]["rows"][SERIES]
    # Through (402, 402) and (604, 606): 2/202 more of the distance from the zero gas.
    assert new["mean"] == pytest.approx(402 + (old["mean"] - 402) * (606 - 402) / (604 - 402))
    assert new["cal"][0].endswith("daily-a.ndir.co2")
    assert new["cal"][0].startswith("recompute-")


async def test_dated_rules_speak_in_their_order(past: Any) -> None:
    one = await drifted(past)
    middle = BEGIN + timedelta(minutes=30)
    rules = [
        {"series": "ndir.*", "end": iso(middle), "zero": 0.0, "slope": 2.0, "source": "by hand"},
        {"start": iso(BEGIN), "end": iso(BEGIN + timedelta(hours=1)), "beta": [10.0, 1.0]},
    ]
    await asked(one, await worked(one), plan={"rules": rules})
    minutes = rows(one, 60)
    assert minutes[iso(middle - timedelta(minutes=1)), 1]["rows"][SERIES]["mean"] == pytest.approx(840.3, abs=0.3)
    assert minutes[iso(middle), 1]["rows"][SERIES]["mean"] == pytest.approx(430.2, abs=0.2)
    # Where no rule speaks, what the station used: no new revision.
    assert (iso(BEGIN + timedelta(minutes=70)), 1) not in minutes


async def test_a_regulated_series_gets_a_layer_beside_it_and_is_never_replaced(past: Any) -> None:
    one = await drifted(past, "regulated")
    desk = await worked(one)
    plan = {"rules": [{"zero": 1.0, "slope": 1.0}]}
    with pytest.raises(RequestError, match="never replaced"):
        await asked(one, desk, plan=plan)
    await asked(one, desk, plan=plan, layer=True)
    assert {rev for _, rev in rows(one, 3600)} == {0}
    layer = rows(one, 3600, "ndir~analysis.co2")
    assert {rev for _, rev in layer} == {1}
    own = rows(one, 3600)[iso(BEGIN), 0]["rows"][SERIES]["mean"]
    assert layer[iso(BEGIN), 1]["rows"]["ndir~analysis.co2"]["mean"] == pytest.approx(own - 1.0)
    assert layer[iso(BEGIN), 1]["layer"] == "analysis"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"series": ["ndir.ch4"]}, "no series"),
        ({"series": []}, "no series"),
        ({"end": iso(BEGIN + timedelta(hours=9))}, "last full hour"),
        ({"start": iso(BEGIN + timedelta(seconds=5))}, "whole minutes"),
        ({"who": " "}, "who and reason"),
        ({"layer": True}, "regulated series alone"),
        ({"plan": {"rules": [{"use": "linear", "slope": 1.0}]}}, "one of"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_reason(past: Any, members: dict[str, Any], why: str) -> None:
    one = await drifted(past)
    before = one.log.next_seq
    with pytest.raises((RequestError, ValueError), match=why):
        await asked(one, await worked(one), **members)
    assert one.log.next_seq == before


async def test_a_day_follows_its_hours(past: Any) -> None:
    one = await past(begin=datetime(2026, 2, 28, 21, 0, tzinfo=UTC))
    await one.calibrate("a", 2.0, 1.01)
    await one.run(60 * 19.2)
    day = parse_iso("2026-02-28T16:00:00.000Z")
    assert rows(one, 86400)
    start, end = day + timedelta(hours=5), day + timedelta(hours=24)
    await asked(one, await worked(one), plan={"rules": [{"zero": 0.0, "slope": 1.0}]}, start=iso(start), end=iso(end))
    (new,) = [row["rows"][SERIES] for (_, rev), row in rows(one, 86400).items() if rev == 1]
    (old,) = [row["rows"][SERIES] for (_, rev), row in rows(one, 86400).items() if rev == 0]
    assert (new["n"], new["valid"]) == (old["n"], old["valid"])
    assert new["mean"] == pytest.approx(420.18, abs=0.01)


async def test_hours_of_the_open_day_count_once_after_a_restart(past: Any) -> None:
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)
    one = await past(begin=begin)
    await one.run(125)
    plan = {"rules": [{"zero": 0.0, "slope": 2.0}]}
    await asked(one, await worked(one), plan=plan, start=iso(begin), end=iso(begin + timedelta(hours=2)))
    await one.stop()
    one.open()
    await one.begin()
    await one.run(120)
    [day] = [row["rows"][SERIES] for row in rows(one, 86400).values()]
    assert (day["n"], day["max"] < 421) == (4 * 360, True)


@pytest.mark.parametrize("restart", [False, True])
async def test_the_open_day_is_closed_of_first_values_and_then_made_again_of_the_newest(
    past: Any, restart: bool
) -> None:
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)
    one = await past(begin=begin)
    await one.run(125)
    desk, hour = await worked(one), timedelta(hours=1)
    twice = {"rules": [{"zero": 0.0, "slope": 2.0}]}
    told = await asked(one, desk, plan=twice, start=iso(begin), end=iso(begin + hour))
    assert told["open"] == "2026-02-28T16:00:00.000Z"
    threefold = {"rules": [{"zero": 0.0, "slope": 3.0}]}
    await asked(one, desk, plan=threefold, start=iso(begin + hour), end=iso(begin + 2 * hour))
    assert (await asked(one, desk, plan=twice, start=iso(begin), end=iso(begin + hour)))["already"]
    if restart:
        await one.stop()
        one.open()
        await one.begin()
        await worked(one)
    await one.run(120)
    async with asyncio.timeout(10):
        while len(await one.log.call(one.index.newest, "calibration", "recompute-finished", 9)) < 4:
            assert not one.tasks[0].done(), one.tasks[0].result()
    (first, _), (second, record) = sorted((key[1], row) for key, row in rows(one, 86400).items())
    assert (first, second) == (0, 1)
    row, own = record["rows"][SERIES], rows(one, 86400)["2026-02-28T16:00:00.000Z", 0]["rows"][SERIES]
    # Two of four hours as they were, one doubled, one trebled.
    assert row["mean"] == pytest.approx(own["mean"] * 7 / 4, rel=1e-3)
    assert (row["n"], own["max"] < 421) == (own["n"], True)
    ended = one.index.newest("calibration", "recompute-finished", 9)
    assert sum("open" in one for one in ended) == 2
    await one.stop()
    found = Tracer(FileSource(one.folder)).trace(Question(SERIES, begin, 86400))
    assert (found["row"]["rev"], found["agrees"]) == (1, True)


async def test_later_revisions_say_what_they_are_uncertain_by_as_the_first_do(past: Any) -> None:
    one = await drifted(past)
    desk = await worked(one)
    await asked(one, desk, plan={"rules": [{"use": "previous"}]}, end=iso(BEGIN + timedelta(hours=3)))
    await asked(one, desk)
    minutes = rows(one, 60)
    start = iso(BEGIN + timedelta(minutes=50))
    first, between = minutes[start, 0]["rows"][SERIES], minutes[start, 1]["rows"][SERIES]
    assert [len(first["unc"]), len(between["unc"])] == [3, 3]
    assert between["unc"][0] == pytest.approx(between["sd"] / between["n"] ** 0.5)
    # Two calibrations of equal quality, half of each: their readings average, their cylinders do not.
    assert between["unc"][1] == pytest.approx(first["unc"][1] / 2**0.5, rel=0.02)
    assert between["unc"][2] == pytest.approx(first["unc"][2], rel=0.02)
    hour = rows(one, 3600)[iso(BEGIN), 1]["rows"][SERIES]
    assert hour["unc"][2] == pytest.approx(first["unc"][2], rel=0.02)


async def test_values_of_an_expired_cylinder_are_valid_and_say_so_until_another_is_used(past: Any) -> None:
    one = await past()
    await one.calibrate("a", 2.0, 1.01, "expired")
    await one.run(60)
    await one.calibrate("b", 4.0, 1.01)
    await one.run(65)
    [first, second] = [row["rows"][SERIES] for row in rows(one, 3600).values()]
    assert [(cause, origin) for cause, origin, _ in first["q"]] == [("expired", "cylinder N2")]
    assert first["n"] == 360
    assert "q" not in second
    assert letter(cause for cause, *_ in first["q"]) == "N"
    # Between both it is half of it.
    await asked(one, await worked(one))
    between = rows(one, 60)[iso(BEGIN + timedelta(minutes=50)), 1]["rows"][SERIES]
    assert [cause for cause, *_ in between["q"]] == ["expired"]
    await one.stop()
    found = Tracer(FileSource(one.folder)).trace(Question(SERIES, BEGIN + timedelta(minutes=30), 3600, 0))
    assert found["agrees"] is True
    assert found["marks"][0]["cause"] == "expired"


async def test_a_line_that_somebody_gave_has_no_uncertainty_on_record(past: Any) -> None:
    one = await drifted(past)
    await asked(one, await worked(one), plan={"rules": [{"zero": 1.0, "slope": 1.0}]})
    assert "unc" not in rows(one, 3600)[iso(BEGIN), 1]["rows"][SERIES]


@pytest.mark.parametrize("period_s", [60, 3600])
@pytest.mark.parametrize(("kind", "series"), [("research", SERIES), ("regulated", "ndir~analysis.co2")])
async def test_a_later_revision_is_traced_to_who_asked_and_made_again_too(
    past: Any, kind: str, series: str, period_s: int
) -> None:
    one = await drifted(past, kind)
    plan = {"rules": [{"use": "linear"}]} if kind == "research" else {"rules": [{"zero": 1.0, "slope": 1.0}]}
    # It begins amid an hour: the minutes before keep what they were.
    start = iso(BEGIN + timedelta(minutes=20))
    await asked(one, await worked(one), plan=plan, start=start, layer=kind == "regulated")
    await one.run(5)
    await one.log.post_checkpoint()
    await one.stop()
    found = Tracer(FileSource(one.folder)).trace(Question(series, BEGIN + timedelta(minutes=40), period_s))
    assert found["row"]["rev"] == 1
    assert found["differences"] == []
    assert found["agrees"] is True
    assert (found["recompute"]["who"], found["recompute"]["seal"]) == ("Li Na", "kept")
    if kind == "research":
        assert {row["run"]["id"] for row in found["corrections"]} == {"daily-a", "daily-b"}
        first = Tracer(FileSource(one.folder)).trace(Question(series, BEGIN + timedelta(minutes=40), period_s, 0))
        assert (first["agrees"], first["recompute"]) == (True, None)
    assert "Li Na" in text(tree(found, "zh"))
