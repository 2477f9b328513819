"""How a sequence goes on: stability, loops, curves, checks of the line, waiting, an instrument's own calibrations."""

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent.config_gas import Schedule
from agent.gas.outcome import RefusedError
from agent.gas.plan import due_after
from metrology.quality import Cause
from metrology.reading import Reading, Scan
from protocols.record import scan_of

SAMPLE, ZERO, SPAN, TARGET = 0, 1, 2, 3
STEADY = {"min_s": 20, "max_s": 180, "window_s": 30, "slope_max": {"co2": 1.0}, "stdev_max": {"co2": 0.5}}


def changed(sequence: dict[str, Any], **more: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """A change of the rig's daily sequence, and whole sequences beside it made from the daily one."""

    def change(document: dict[str, Any]) -> None:
        daily = document["sequences"]["daily"]
        daily |= sequence
        for name, block in more.items():
            document["sequences"][name] = {**daily, **block}

    return change


def flushed_by(steady: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for injection in document["sequences"]["daily"]["injections"]:
            injection["flush_s"], injection["flush"] = None, steady

    return change


def slow(one: Any, monkeypatch: pytest.MonkeyPatch, tau_s: float) -> None:
    """The cell takes time to fill: each reading goes a part of the way to what is on the port."""
    there = one.indication
    state = {"shown": there(), "at": one.clock.now()}

    def indication() -> float:
        now = one.clock.now()
        part = 1 - math.exp(-(now - state["at"]).total_seconds() / tau_s)
        state["shown"] += (there() - state["shown"]) * part
        state["at"] = now
        return state["shown"]

    monkeypatch.setattr(one, "indication", indication)


def beside(one: Any, monkeypatch: pytest.MonkeyPatch, scan: Callable[[datetime], Scan]) -> None:
    """Another instrument answers with every step as well."""
    step = one.step

    async def more(seconds: float = 5.0) -> None:
        await step(seconds)
        await one.intake.take(scan(one.clock.now()))

    monkeypatch.setattr(one, "step", more)


async def finished(one: Any, name: str = "daily") -> None:
    await one.calibrator.start(name, "li")
    await one.until(lambda: one.ready)
    await one.step(0)


async def test_gas_counts_as_soon_as_it_is_steady(rig, monkeypatch) -> None:
    one = await rig(change=flushed_by(STEADY))
    slow(one, monkeypatch, 8.0)
    answer = await one.calibrator.start("daily", "li")
    assert answer["seconds"] == 840
    began = one.clock.now()
    await one.until(lambda: one.ready)
    await one.step()
    assert (one.clock.now() - began).total_seconds() < 600
    points = await one.records("point")
    assert [row["settled"] for row in points] == [True] * 3
    assert all(30 <= row["flush_s"] <= 120 for row in points)
    assert [row["stable"] for row in points] == [True] * 3
    assert [row["warnings"] for row in points] == [[]] * 3
    (adopted,) = await one.records("coefficients")
    assert adopted["slope"] == pytest.approx(1.01, abs=1e-3)


@pytest.mark.parametrize("on_unstable", ["mark", "abort"])
async def test_a_gas_that_never_settles_gives_no_coefficient(rig, monkeypatch, on_unstable: str) -> None:
    one = await rig(change=flushed_by({**STEADY, "max_s": 60, "on_unstable": on_unstable}))
    slow(one, monkeypatch, 150.0)
    await finished(one)
    assert one.open_ports == {SAMPLE}
    assert one.intake.coefficients == {}
    aborted = await one.records("run-aborted")
    if on_unstable == "abort":
        assert "port zero did not settle in 60 s: co2: slope" in aborted[0]["reason"]
        return
    assert aborted == []
    points = await one.records("point")
    assert [(row["settled"], row["stable"]) for row in points] == [(False, False)] * 3
    assert all(row["warnings"][0] == "slope" and "not steady after 60 s" in row["warnings"][1] for row in points)
    (end,) = await one.records("run-finished")
    assert "not steady after 60 s" in end["unusable"]["ndir.co2"]


async def test_recovery_ends_when_air_is_steady_and_at_its_bound(rig, monkeypatch) -> None:
    one = await rig(change=changed({"recovery_s": None, "recovery": STEADY}))
    await finished(one)
    (quick,) = await one.records("run-finished")
    assert quick["settled"]
    assert 30 <= quick["recovery_s"] < 60
    slow(one, monkeypatch, 1000.0)
    await finished(one)
    late = (await one.records("run-finished"))[1]
    assert not late["settled"]
    assert late["recovery_s"] == pytest.approx(180, abs=6)
    assert not (await one.causes())[-1] & {Cause.CALIBRATION, Cause.RECOVERY}


@pytest.mark.parametrize("counts", ["last", "all"])
async def test_of_loops_the_last_counts_or_all(rig, counts: str) -> None:
    one = await rig(change=changed({"loops": 3, "counts": counts, "path": "line"}))
    await finished(one)
    opened = [coil for coil, on in one.peer.coil_writes if on]
    assert opened == [SAMPLE, *[ZERO, SPAN, TARGET] * 3, SAMPLE]
    points = await one.records("point")
    assert [row["loop"] for row in points] == [1] * 3 + [2] * 3 + [3] * 3
    assert [row["counted"] for row in points] == [counts == "all"] * 6 + [True] * 3
    assert len(await one.records("drift")) == (6 if counts == "all" else 2)
    assert {row["path"] for row in await one.records("point", "drift", "target")} == {"line"}
    assert len(await one.records("coefficients")) == 1


def with_curve(model: str, **response: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        daily = document["sequences"]["daily"]
        daily["injections"][2]["roles"] = {"co2": "span"}
        daily["response"] = {"model": model, **response}

    return change


@pytest.mark.parametrize("model", ["linear", "quadratic"])
async def test_three_gases_give_a_curve_that_a_restart_keeps(rig, model: str) -> None:
    one = await rig(change=with_curve(model))
    await finished(one)
    (row,) = await one.records("coefficients")
    assert row["model"] == model
    assert row["beta"] == pytest.approx([-2, 1.01] if model == "linear" else [-2, 1.01, 0], abs=1e-6)
    assert ("slope" in row) == (model == "linear")
    assert [point["number"] for point in row["points"]] == ["N402", "N604", "N452.5"]
    assert row["residual_sd"] == pytest.approx(0, abs=1e-9)
    assert len(row["covariance"]) == len(row["beta"])
    whats = [one["what"] for one in await one.records() if one["kind"] == "calibration"]
    assert whats.index("drift") < whats.index("coefficients")
    await one.step()
    assert one.intake._live.latest["ndir.co2"].value == pytest.approx(420)
    force = one.intake.coefficients["ndir.co2"]
    await one.end()
    again = await rig(again=one, change=with_curve(model))
    restored = again.intake.coefficients["ndir.co2"]
    assert restored.correct(417.8) == force.correct(417.8)
    assert (restored.id, restored.beta) == (force.id, force.beta)


async def test_a_gas_off_the_curve_keeps_it_from_being_adopted(rig, monkeypatch) -> None:
    one = await rig(change=with_curve("linear", residual_max={"co2": 0.5}))
    there = one.indication
    monkeypatch.setattr(one, "indication", lambda: there() + 3.0 * (TARGET in one.open_ports))
    await finished(one)
    assert one.intake.coefficients == {}
    (refused,) = await one.records("coefficients-refused")
    assert "off the curve, allowed are 0.5" in refused["series"]["ndir.co2"]


def test_cron_follows_the_day_of_the_station() -> None:
    at_three = Schedule(cron="0 3 * * *")
    after = datetime.fromisoformat("2026-01-01T18:59:59+00:00")
    assert due_after(at_three, after).isoformat() == "2026-01-01T19:00:00+00:00"
    assert due_after(at_three, after + timedelta(seconds=1)).isoformat() == "2026-01-02T19:00:00+00:00"
    assert due_after(at_three, after, -5.0).isoformat() == "2026-01-02T08:00:00+00:00"
    monday = due_after(Schedule(cron="30 */6 * * 1"), after)
    assert monday.isoformat() == "2026-01-04T16:30:00+00:00"


async def test_a_cron_schedule_starts_its_run(rig) -> None:
    # It is 08:00 at the station.
    one = await rig(change=changed({"schedule": {"cron": "20 8 * * *"}}))
    assert one.calibrator.status()["due"] == {"daily": "2026-01-01T00:20:00.000Z"}
    await one.until(lambda: one.phase is not None, 30)
    assert (await one.records("run-started"))[0]["who"] == "schedule"
    assert one.calibrator.status()["due"] == {"daily": "2026-01-02T00:20:00.000Z"}


def on_one_manifold(**blocks: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """More instruments and their sequences on the same valve."""

    def change(document: dict[str, Any]) -> None:
        for name, block in blocks.items():
            document["instruments"][f"i-{name}"] = {**document["instruments"]["ndir"], "unit": 5 + len(name)}
            document["sequences"][name] = {**document["sequences"]["daily"], "instrument": f"i-{name}", **block}

    return change


async def test_sequences_that_share_a_valve_wait_by_priority(rig) -> None:
    one = await rig(change=on_one_manifold(low={}, high={"priority": 5}))
    await one.calibrator.start("daily", "li")
    assert (await one.calibrator.start("low", "wang"))["waiting"] == 1
    answer = await one.calibrator.start("high", "schedule")
    assert answer["waiting"] == 1
    assert "valve gas is held by run daily" in answer["reason"]
    assert [row["sequence"] for row in one.calibrator.status()["waiting"]] == ["high", "low"]
    with pytest.raises(RefusedError, match="waits already"):
        await one.calibrator.start("low", "wang")
    await one.until(lambda: one.ready and not one.calibrator.status()["waiting"], 15)
    await one.step(0)
    assert [row["sequence"] for row in await one.records("run-started")] == ["daily", "high", "low"]
    assert [row["who"] for row in await one.records("run-started")] == ["li", "schedule", "wang"]
    assert len(await one.records("run-finished")) == 3
    assert one.peer.open_at_once == 1


async def test_who_waited_too_long_is_dropped_with_an_event(rig) -> None:
    one = await rig(change=on_one_manifold(short={"wait_max_s": 100}, never={"wait_max_s": 0}))
    await one.calibrator.start("daily", "li")
    await one.calibrator.start("short", "schedule")
    with pytest.raises(RefusedError, match="held by run daily") as refused:
        await one.calibrator.start("never", "schedule")
    assert refused.value.kind == "busy"
    await one.until(lambda: one.ready)
    await one.step(0)
    (dropped,) = await one.records("calibration-dropped")
    assert (dropped["origin"], dropped["sequence"]) == ("schedule", "short")
    assert 100 <= dropped["waited_s"] <= 110
    assert len(await one.records("run-started")) == 1


async def test_only_a_sequence_declared_so_interrupts_a_lower_one(rig) -> None:
    one = await rig(change=on_one_manifold(urgent={"priority": 9, "interrupts": True}, high={"priority": 5}))
    await one.calibrator.start("daily", "li")
    await one.until(lambda: SPAN in one.open_ports)
    await one.calibrator.start("high", "li")
    await one.step()
    assert SPAN in one.open_ports
    await one.calibrator.start("urgent", "li")
    await one.until(lambda: one.ready and not one.calibrator.status()["waiting"], 15)
    await one.step(0)
    (aborted,) = await one.records("run-aborted")
    assert (aborted["sequence"], aborted["reason"]) == ("daily", "gave way to urgent")
    assert [row["sequence"] for row in await one.records("run-finished")] == ["urgent", "high"]


async def test_an_abort_and_a_lock_leave_nothing_waiting(rig) -> None:
    one = await rig(change=on_one_manifold(low={}))
    await one.calibrator.start("daily", "li")
    await one.calibrator.start("low", "schedule")
    abort = asyncio.create_task(one.calibrator.abort("wang"))
    await one.until(abort.done)
    assert abort.result()["dropped"] == ["low"]
    await one.until(lambda: one.ready)
    await one.step()
    (dropped,) = await one.records("calibration-dropped")
    assert dropped["reason"] == "aborted by wang"
    await one.calibrator.start("daily", "li")
    await one.calibrator.start("low", "schedule")
    locking = asyncio.create_task(one.lock.lock("zhang", "hose off"))
    await one.until(locking.done)
    await one.until(lambda: one.ready)
    for _ in range(5):
        await one.step()
    assert one.calibrator.status()["waiting"] == []
    assert [row["sequence"] for row in await one.records("run-started")] == ["daily", "daily"]


async def test_the_queue_is_bounded(rig) -> None:
    names = [f"s{n}" for n in range(17)]
    one = await rig(change=changed({}, **{name: {} for name in names}))
    await one.calibrator.start("daily", "li")
    for name in names[:16]:
        await one.calibrator.start(name, "li")
    with pytest.raises(RefusedError, match="16 sequences wait already"):
        await one.calibrator.start(names[16], "li")


FLOW = {"series": "mfc.flow", "min": 0.4, "max": 0.6, "unit": "L/min"}
LEAK = {"series": "mfc.pressure", "settle_s": 5, "seconds": 60, "max_drop_kPa_per_min": 1.0}


def mfc(flow: float, drop_hPa_per_min: float = 0.0) -> Callable[[datetime], Scan]:
    def scan(at: datetime) -> Scan:
        pressure = 1500.0 - drop_hPa_per_min * at.timestamp() % 1e5 / 60
        return Scan("mfc", at, (Reading("mfc", "flow", flow * 1000, "mL/min", at),
                                Reading("mfc", "pressure", pressure, "hPa", at)))  # fmt: skip

    return scan


async def test_flow_and_tightness_are_checked_and_recorded(rig, monkeypatch) -> None:
    one = await rig(change=changed({"checks": {"flow": FLOW, "leak": LEAK}}))
    beside(one, monkeypatch, mfc(0.5, drop_hPa_per_min=2.0))
    writes = len(one.peer.coil_writes)
    await finished(one)
    rows = await one.records("line-check")
    assert [row["check"] for row in rows] == ["leak", "flow", "flow", "flow"]
    assert [row["passed"] for row in rows] == [True] * 4
    assert rows[0]["value"] == pytest.approx(-0.2)
    assert rows[1]["value"] == pytest.approx(0.5)
    assert [row["gas"] for row in rows] == [None, "zero", "span", "target"]
    assert [coil for coil, on in one.peer.coil_writes[writes:] if on] == [ZERO, SPAN, TARGET, SAMPLE]
    assert len(await one.records("coefficients")) == 1


@pytest.mark.parametrize(
    ("checks", "seen", "why"),
    [
        ({"leak": LEAK}, mfc(0.5, 15.0), "leak check: mfc.pressure changes by -1.5 kPa/min, allowed are 1"),
        ({"leak": LEAK}, mfc(0.5, -15.0), "leak check: mfc.pressure changes by 1.5 kPa/min"),
        ({"leak": {**LEAK, "series": "gone.pressure"}}, mfc(0.5), "leak check: 0 readings of gone.pressure"),
        ({"flow": {**FLOW, "on_fail": "abort"}}, mfc(0.3), "flow check: mfc.flow is 0.3 L/min, below 0.4"),
        ({"flow": {**FLOW, "on_fail": "abort"}}, mfc(0.7), "flow check: mfc.flow is 0.7 L/min, above 0.6"),
    ],
)
async def test_a_line_that_fails_its_check_ends_the_run(rig, monkeypatch, checks, seen, why: str) -> None:
    one = await rig(change=changed({"checks": checks}))
    beside(one, monkeypatch, seen)
    await finished(one)
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"].startswith(why)
    assert [row["passed"] for row in await one.records("line-check")] == [False]
    assert one.open_ports == {SAMPLE}


@pytest.mark.parametrize("checks", [{"flow": FLOW}, {"leak": {**LEAK, "on_fail": "mark"}}])
async def test_a_line_that_is_only_marked_gives_no_coefficient(rig, monkeypatch, checks: dict[str, Any]) -> None:
    one = await rig(change=changed({"checks": checks}))
    beside(one, monkeypatch, mfc(0.3, 15.0))
    await finished(one)
    assert [row["stable"] for row in await one.records("point")] == [False] * 3
    assert one.intake.coefficients == {}
    (end,) = await one.records("run-finished")
    assert "mfc" in end["unusable"]["ndir.co2"]


def itself(document: dict[str, Any]) -> None:
    """The NDIR calibrates itself and says so by a status word."""
    daily = document["sequences"]["daily"]
    daily |= {"valve": None, "passive": {"field": "mode", "max_s": 600}}
    for injection, state in zip(daily["injections"], (["zero"], [2], ["2.5"]), strict=True):
        injection |= {"port": None, "state": state, "flush_s": 20, "average_s": 30}


class Own:
    """The rig's NDIR, which is on a gas by its own will; `mode` is what it says."""

    def __init__(self, one: Any) -> None:
        self.one = one

    async def say(self, mode: str | float, gas: float, seconds: float) -> None:
        for _ in range(int(seconds / 5)):
            await self.one.clock.advance(5)
            at = self.one.clock.now()
            reading = Reading("ndir", "co2", (gas + 2) / 1.01, "umol/mol", at)
            await self.one.intake.take(Scan("ndir", at, (reading,), {"mode": mode}))
            await asyncio.sleep(0.002)


async def test_an_instrument_that_calibrates_itself_is_followed_and_no_valve_moves(rig) -> None:
    one = await rig(change=itself)
    own = Own(one)
    writes = len(one.peer.coil_writes)
    await own.say("sample", 420, 30)
    await own.say("zero", 402, 60)
    assert one.calibrator.status()["runs"][0]["port"] == "zero"
    await own.say(2.0, 604, 80)
    await own.say("2.5", 452.5, 60)
    await own.say("sample", 420, 30)
    assert one.phase == "recovery"
    await own.say("sample", 420, 150)
    assert one.calibrator.status()["runs"] == []
    assert len(one.peer.coil_writes) == writes
    rows = [row for row in await one.records() if row["kind"] == "calibration"]
    assert [row["what"] for row in rows] == [
        "run-started", "point", "point", "point", "drift", "drift", "coefficients", "target", "run-finished",
    ]  # fmt: skip
    assert rows[0]["who"] == "instrument ndir: mode zero"
    assert rows[0]["valve"] is None
    assert rows[6]["slope"] == pytest.approx(1.01)
    assert rows[7]["deviation"] == pytest.approx(0, abs=1e-6)
    scans = [scan_of(row) for row in await one.records() if row["kind"] == "scan"]
    for scan in scans:
        if scan.status.get("mode", "sample") != "sample":
            assert scan.readings[0].quality.causes == {Cause.CALIBRATION}, scan
    causes = [scan.readings[0].quality.causes for scan in scans]
    assert causes.count(frozenset({Cause.RECOVERY})) == pytest.approx(24, abs=2)
    assert causes[-1] == frozenset()


async def test_a_gas_that_is_gone_too_soon_is_a_point_that_does_not_count(rig) -> None:
    one = await rig(change=itself)
    own = Own(one)
    await own.say("zero", 402, 60)
    await own.say(2, 604, 10)
    await own.say("sample", 420, 200)
    points = await one.records("point")
    assert [(row["role"], row["stable"]) for row in points] == [("zero", True), ("span", False)]
    assert one.intake.coefficients == {}


async def test_an_instrument_that_stays_in_calibration_is_given_up_and_stays_marked(rig) -> None:
    one = await rig(change=itself)
    own = Own(one)
    await own.say("zero", 402, 700)
    (aborted,) = await one.records("run-aborted")
    assert "mode still says zero after 600 s" in aborted["reason"]
    assert (await one.causes())[-1] == {Cause.CALIBRATION}
    with pytest.raises(RefusedError, match="started by the instrument itself"):
        await one.calibrator.start("daily", "li")
    await own.say("sample", 420, 60)
    assert (await one.causes())[-1] == {Cause.RECOVERY}
    await own.say("sample", 420, 120)
    assert (await one.causes())[-1] == set()


async def test_an_own_calibration_cut_by_the_end_of_the_station_is_aborted_and_marked_until_recovery(rig) -> None:
    one = await rig(change=itself)
    await Own(one).say("zero", 402, 40)
    one.tasks[1].cancel()
    await asyncio.wait({one.tasks[1]}, timeout=10)
    await one.step(0)
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"] == "the station stops"
    await one.end()
    again = await rig(again=one, change=itself)
    own = Own(again)
    await own.say("zero", 402, 10)
    assert (await again.causes())[-1] >= {Cause.CALIBRATION}
    await own.say("sample", 420, 300)
    assert (await again.causes())[-1] == set()
    assert again.calibrator.status()["runs"] == []
