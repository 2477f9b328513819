"""Guards, standard checks and blowbacks: real Modbus coils, the real log, a clock moved by hand."""

import asyncio
import itertools
from typing import Any

import pytest

from agent.gas.outcome import RefusedError
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Measurement, Reading

SAMPLE, ZERO, SPAN, TARGET = 0, 1, 2, 3
SHELTER = {"shelter_co": {"series": "shelter.co", "below": 30, "unit": "umol/mol"}}


def with_guards(document: dict[str, Any]) -> None:
    document["guards"] = SHELTER


def with_blowback(document: dict[str, Any]) -> None:
    document["sequences"]["clean"] = {
        "valve": "gas", "instrument": "ndir", "recovery_s": 60,
        "blowback": {"port": "target", "blow_s": 20, "pulses": 3, "pause_s": 40},
    }  # fmt: skip
    document["sequences"]["daily"]["injections"].pop()


def tell(one: Any, value: float | None, unit: str = "umol/mol", age_s: float = 0.0, cause: Cause | None = None) -> None:
    """What the shelter's CO monitor said last."""
    at = one.clock.now()
    marks = Quality.of(Mark(cause, "monitor", at)) if cause else Quality()
    reading = Reading("shelter", "co", value, unit, at, marks)
    one.live.latest["shelter.co"] = Measurement(reading, value)
    if age_s:
        one.clock.step(age_s)


async def performed(one: Any, name: str, **how: Any) -> Any:
    """A run from its start to its outcome, while time goes on."""
    task = asyncio.create_task(one.calibrator.perform(name, "platform", **how))
    await one.until(task.done)
    return task.result()


async def test_a_standard_check_compares_and_changes_no_coefficient(rig) -> None:
    one = await rig()
    began = one.clock.now()
    outcome = await performed(one, "daily", check=True)
    assert (outcome.end, outcome.reason, outcome.unusable) == ("finished", None, {})
    assert one.intake.coefficients == {}
    rows = [row for row in await one.records() if row["kind"] == "calibration"]
    assert [row["what"] for row in rows] == [
        "run-started", "point", "point", "point",
        "standard-check", "standard-check", "standard-check", "run-finished",
    ]  # fmt: skip
    assert rows[0]["purpose"] == "check"
    zero, span, target = rows[4:7]
    # The indication on 402 is 400; the table allows 2.5 % of a full scale of 1000.
    assert zero["reading"] == zero["indication"] == pytest.approx(400)
    assert (zero["assigned"], zero["unit"], zero["span"], zero["limit"]) == (402, "umol/mol", 1000, 25)
    assert zero["limit_verified"] is False
    assert "own default" in zero["limit_source"]
    assert span["deviation"] == pytest.approx(-4)
    # A target gas of a research series is held against the goal of its network, a hundred times as strict.
    assert (target["limit"], target["rules"]["set"], target["rules"]["warn"]) == (0.2, "wmo", 0.1)
    assert [row["passed"] for row in rows[4:7]] == [True, True, False]
    starts = [row["start"] for row in (zero, span, target)]
    assert starts == sorted(set(starts))
    assert starts[0] >= began.isoformat()[:19]
    assert starts[0] < rows[1]["from"]


async def test_a_check_reads_as_the_station_reports_and_by_the_configured_limit(rig) -> None:
    def change(document: dict[str, Any]) -> None:
        document["sequences"]["check"] = {**document["sequences"]["daily"], "check_only": True}
        document["sequences"]["check"]["injections"] = [
            {**one, "check_limit": {"co2": 1.0}} for one in document["sequences"]["daily"]["injections"]
        ]

    one = await rig(change=change)
    await performed(one, "check")
    before = await one.records("standard-check")
    assert [row["passed"] for row in before] == [False, False, False]
    assert {row["limit_source"] for row in before} == {"configuration"}
    assert one.intake.coefficients == {}
    await one.until(lambda: one.ready)
    await performed(one, "daily")
    await one.until(lambda: one.ready)
    adopted = one.intake.coefficients["ndir.co2"]
    await performed(one, "check")
    after = (await one.records("standard-check"))[3:]
    assert [row["passed"] for row in after] == [True, True, True]
    assert after[1]["reading"] == pytest.approx(604)
    assert after[1]["indication"] == pytest.approx(600)
    assert {row["calibration"] for row in after} == {adopted.id}
    assert one.intake.coefficients["ndir.co2"] == adopted


async def test_an_unsteady_gas_passes_no_check(rig, monkeypatch) -> None:
    def change(document: dict[str, Any]) -> None:
        for injection in document["sequences"]["daily"]["injections"]:
            injection["stdev_max"] = {"co2": 0.1}

    one = await rig(change=change)
    swing = itertools.cycle((-5.0, 5.0))
    steady = one.indication
    monkeypatch.setattr(one, "indication", lambda: steady() + next(swing))
    outcome = await performed(one, "daily", check=True)
    assert outcome.end == "finished"
    assert "unstable" in outcome.unusable["ndir.co2"]
    assert [(row["stable"], row["passed"]) for row in await one.records("standard-check")] == [(False, False)] * 3


async def test_a_blowback_pulses_its_port_and_marks_the_data(rig) -> None:
    one = await rig(change=with_blowback)
    writes = len(one.peer.coil_writes)
    outcome = await performed(one, "clean")
    assert outcome.end == "finished"
    await one.until(lambda: one.ready)
    await one.step()
    opened = [coil for coil, on in one.peer.coil_writes[writes:] if on]
    assert opened == [TARGET, SAMPLE, TARGET, SAMPLE, TARGET, SAMPLE]
    assert one.peer.open_at_once == 1
    assert one.open_ports == {SAMPLE}
    rows = [row for row in await one.records() if row["kind"] == "calibration"]
    assert [row["what"] for row in rows] == ["run-started", "run-finished"]
    assert (rows[0]["purpose"], rows[0]["gases"], rows[0]["planned_s"]) == ("blowback", [], 200)
    changes = [cause for cause, _ in itertools.groupby(next(iter(found), None) for found in await one.causes())]
    assert changes == [None, Cause.BLOWBACK, Cause.RECOVERY, None]


@pytest.mark.parametrize("phase", ["blowback", "pause", "recovery"])
async def test_a_blowback_cut_anywhere_leaves_sample_air(rig, phase: str) -> None:
    one = await rig(change=with_blowback)
    task = asyncio.create_task(one.calibrator.perform("clean", "platform"))
    await one.until(lambda: one.phase == phase, 1)
    aborting = asyncio.create_task(one.calibrator.abort("wang"))
    await one.until(aborting.done)
    await one.until(task.done)
    assert (task.result().end, task.result().reason) == ("aborted", "aborted by wang")
    assert one.open_ports == {SAMPLE}


async def test_a_blowback_cut_by_a_kill_comes_home_at_the_next_start(rig) -> None:
    killed = await rig(change=with_blowback, begin=False)
    killed.peer.coils[TARGET] = True
    killed.tasks = [asyncio.create_task(killed.log.run())]
    started = {"what": "run-started", "run": "r1", "sequence": "clean", "instrument": "ndir", "valve": "gas"}
    await killed.log.append("calibration", {**started, "marked": ["ndir"], "purpose": "blowback"})
    await killed.end()
    one = await rig(change=with_blowback, again=killed, begin=False)
    one.tasks = [asyncio.create_task(one.log.run())]
    await one.step()
    one.tasks.append(asyncio.create_task(one.calibrator.run()))
    await one.until(lambda: one.ready)
    await one.step()
    assert one.open_ports == {SAMPLE}
    changes = [cause for cause, _ in itertools.groupby(next(iter(found), None) for found in await one.causes())]
    assert changes == [Cause.BLOWBACK, Cause.RECOVERY, None]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "there is no value of shelter.co"),
        ({"value": 30.0}, "shelter.co is 30 umol/mol and must be below 30"),
        ({"value": 40000.0, "unit": "nmol/mol"}, "shelter.co is 40 umol/mol"),
        ({"value": float("nan")}, "shelter.co is nan"),
        ({"value": None}, "no valid value"),
        ({"value": 2.0, "cause": Cause.FAULT}, "no valid value (fault)"),
        ({"value": 2.0, "cause": Cause.CALIBRATION}, "no valid value (calibration)"),
        ({"value": 2.0, "age_s": 121}, "is 121 s old"),
        ({"value": 2.0, "age_s": -500}, "is 500 s old"),
        ({"value": 2.0, "unit": "degC"}, "no conversion from degC"),
    ],
)
async def test_a_guard_that_does_not_hold_refuses_every_start(rig, said: dict[str, Any] | None, why: str) -> None:
    one = await rig(change=with_guards)
    writes = len(one.peer.coil_writes)
    if said is not None:
        tell(one, **said)
    for start in (one.calibrator.start, one.calibrator.perform):
        with pytest.raises(RefusedError) as refused:
            await start("daily", "li")
        assert refused.value.kind == "condition"
        assert str(refused.value).startswith("guard shelter_co: ")
        assert why in str(refused.value)
    assert len(one.peer.coil_writes) == writes
    assert [row["origin"] for row in await one.records("calibration-refused")] == ["li", "li"]


async def test_the_status_says_which_sequence_a_guard_holds_back(rig) -> None:
    one = await rig(change=with_guards)
    assert one.calibrator.status()["guards"] == {"daily": "guard shelter_co: there is no value of shelter.co"}
    tell(one, 2.0)
    assert one.calibrator.status()["guards"] == {}


async def test_refusals_from_afar_do_not_fill_the_log(rig) -> None:
    one = await rig(change=with_guards)
    for _ in range(50):
        with pytest.raises(RefusedError):
            await one.calibrator.perform("daily", "platform")
    assert len(await one.records("calibration-refused")) == 20
    with pytest.raises(RefusedError):
        await one.calibrator.start("daily", "li")
    assert (await one.records("calibration-refused"))[-1]["origin"] == "li"


async def test_a_guard_that_holds_lets_a_run_through_and_its_own_mark_is_no_fault(rig) -> None:
    def change(document: dict[str, Any]) -> None:
        document["sequences"]["daily"]["guards"] = {
            "air": {"series": "ndir.co2", "above": 100, "below": 900, "unit": "umol/mol"}
        }

    one = await rig(change=change)
    await one.step()
    assert (await performed(one, "daily")).end == "finished"


@pytest.mark.parametrize(("port", "phase"), [(ZERO, "flush"), (SPAN, "collect")])
async def test_a_guard_that_trips_while_gas_flows_brings_sample_air(rig, port: int, phase: str) -> None:
    one = await rig(change=with_guards)
    tell(one, 2.0)
    task = asyncio.create_task(one.calibrator.perform("daily", "platform"))

    def reached() -> bool:
        tell(one, 2.0)
        return port in one.open_ports and one.phase == phase

    await one.until(reached)
    tell(one, 35.0)
    await one.until(task.done)
    assert one.open_ports == {SAMPLE}
    assert task.result().end == "aborted"
    assert "shelter.co is 35 umol/mol" in task.result().reason
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"] == task.result().reason
    assert await one.records("calibration-aborted")
    assert not await one.records("coefficients")


async def test_a_valve_that_fails_is_a_fault_and_a_held_one_is_busy(rig) -> None:
    one = await rig()
    one.peer.stuck = {SPAN}
    task = asyncio.create_task(one.calibrator.perform("daily", "platform"))
    await one.until(lambda: one.phase is not None)
    with pytest.raises(RefusedError) as refused:
        await one.calibrator.perform("daily", "another platform")
    assert refused.value.kind == "busy"
    await one.until(task.done)
    assert task.result().end == "fault"
    with pytest.raises(RefusedError) as refused:
        await one.calibrator.perform("weekly", "platform")
    assert refused.value.kind == "condition"


async def test_a_calibration_without_a_usable_reading_says_so(rig, monkeypatch) -> None:
    one = await rig()
    monkeypatch.setattr(one, "indication", lambda: float("nan"))
    outcome = await performed(one, "daily")
    assert outcome.end == "finished"
    assert "no usable reading" in outcome.unusable["ndir.co2"]
    (finished,) = await one.records("run-finished")
    assert finished["unusable"] == outcome.unusable


async def test_a_station_that_stops_starts_nothing_more(rig) -> None:
    one = await rig()
    running = asyncio.create_task(one.calibrator.perform("daily", "platform"))
    await one.until(lambda: SPAN in one.open_ports)
    one.tasks[1].cancel()
    while not one.tasks[1].done():
        with pytest.raises(RefusedError) as refused:
            await one.calibrator.perform("daily", "platform")
        await asyncio.sleep(0)
    assert refused.value.kind in ("busy", "fault")
    with pytest.raises(RefusedError, match="not running") as refused:
        await one.calibrator.perform("daily", "platform")
    assert refused.value.kind == "fault"
    await one.until(running.done)
    assert (running.result().end, running.result().reason) == ("aborted", "the station stops")
    assert one.open_ports == {SAMPLE}
