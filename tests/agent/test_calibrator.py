"""Calibration runs with real Modbus coils, the real log, and a clock moved by hand."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.config_gas import Schedule
from agent.gas.outcome import RefusedError
from agent.gas.plan import due_after
from agent.gas.valves import lock_path, safe_state
from host.clock import ManualClock
from metrology.periods import iso
from metrology.quality import Cause
from metrology.reading import Reading, Scan
from protocols.record import scan_of

START = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE, ZERO, SPAN, TARGET = 0, 1, 2, 3
AIR = 420.0


def whats(rows: list[dict[str, Any]]) -> Iterator[str]:
    return (row["what"] for row in rows)


async def test_a_run_of_840_s_corrects_a_research_series(rig) -> None:
    one = await rig()
    assert one.open_ports == {SAMPLE}
    began = one.clock.now()
    answer = await one.calibrator.start("daily", "li")
    assert answer["seconds"] == 840
    await one.until(lambda: one.ready)
    assert 840 <= (one.clock.now() - began).total_seconds() < 1200
    for _ in range(3):
        await one.step()

    opened = [coil for coil, on in one.peer.coil_writes if on]
    assert opened == [SAMPLE, ZERO, SPAN, TARGET, SAMPLE]
    assert one.peer.open_at_once == 1
    assert one.open_ports == {SAMPLE}

    rows = await one.records()
    calibration = [row for row in rows if row["kind"] == "calibration"]
    assert list(whats(calibration)) == [
        "run-started", "point", "point", "point", "drift", "drift", "coefficients", "target", "run-finished",
    ]  # fmt: skip
    assert {row["run"] for row in calibration} == {answer["run"]}
    assert [gas["expired"] for gas in calibration[0]["gases"]] == [False, True, False]
    points = calibration[1:4]
    assert [row["role"] for row in points] == ["zero", "span", "target"]
    assert all(row["n"] >= 10 and row["sd"] == pytest.approx(0, abs=1e-9) and row["stable"] for row in points)
    assert calibration[6]["slope"] == pytest.approx(1.01)
    assert calibration[7]["corrected"] == pytest.approx(452.5)
    assert calibration[7]["deviation"] == pytest.approx(0, abs=1e-6)

    causes = await one.causes()
    marked = [next(iter(found), None) for found in causes]
    changes = [cause for cause, _ in itertools.groupby(marked)]
    assert changes == [None, Cause.CALIBRATION, Cause.RECOVERY, None]
    newest = one.intake.coefficients["ndir.co2"]
    assert newest.correct(one.indication()) == pytest.approx(AIR)
    assert one.intake._live.latest["ndir.co2"].value == pytest.approx(AIR)


async def test_only_what_the_gas_touches_is_marked_also_after_a_kill(
    tmp_path: Path, serve_modbus, config_for, rig_of
) -> None:
    peer = await serve_modbus(1)
    document = config_for(tmp_path, peer.port).model_dump(mode="json")
    document["sequences"]["daily"]["affects"] = ["co2"]
    config = Config.model_validate(document)
    one = rig_of(config, ManualClock(START), peer)

    async def causes_now() -> dict[str, frozenset[Cause]]:
        at, seq = one.clock.now(), one.log.next_seq
        readings = [Reading("ndir", name, 21.5, unit, at) for name, unit in (("co2", "umol/mol"), ("room", "degC"))]
        await one.intake.take(Scan("ndir", at, tuple(readings)))
        async with asyncio.timeout(5):
            for head in itertools.count(seq - 1):
                await one.log.wait(head)
                if rows := await one.log.read(seq - 1, kinds=frozenset({"scan"}), limit=1):
                    break
        return {reading.measurand: reading.quality.causes for reading in scan_of(rows[0].fields).readings}

    one.begin()
    await one.until(lambda: one.ready)
    await one.calibrator.start("daily", "li")
    for phase, cause in (("collect", Cause.CALIBRATION), ("recovery", Cause.RECOVERY)):
        await one.until(lambda phase=phase: one.phase == phase)
        assert await causes_now() == {"co2": {cause}, "room": set()}
    (started,) = await one.records("run-started")
    assert started["marked"] == ["ndir.co2"]
    one.tasks[1].cancel()
    await asyncio.wait([one.tasks[1]])
    await one.log.append("calibration", {**started, "run": "r2"})
    await one.end()

    again = one = rig_of(config, one.clock, peer)
    again.tasks = [asyncio.create_task(again.log.run())]  # the calibrator has not begun: nothing has moved yet
    assert await causes_now() == {"co2": {Cause.CALIBRATION}, "room": set()}
    await again.end()


async def test_marks_name_the_run_and_hold_to_the_second_of_the_valve(rig) -> None:
    one = await rig()
    run = (await one.calibrator.start("daily", "li"))["run"]
    await one.until(lambda: one.ready)
    for row in await one.records():
        if row["kind"] == "scan":
            for mark in scan_of(row).readings[0].quality.marks:
                assert mark.origin == f"run:{run}"


async def test_coefficients_survive_a_restart_by_the_log(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.until(lambda: one.ready)
    await one.end()
    again = await rig(again=one)
    assert again.intake.coefficients["ndir.co2"].slope == pytest.approx(1.01)


async def test_a_regulated_series_gets_drift_and_no_correction(rig) -> None:
    one = await rig(kind="regulated")
    await one.calibrator.start("daily", "schedule")
    await one.until(lambda: one.ready)
    rows = [row for row in await one.records() if row["kind"] == "calibration"]
    assert list(whats(rows)) == [
        "run-started", "point", "point", "point", "drift", "drift", "target", "run-finished",
    ]  # fmt: skip
    zero, span = rows[4], rows[5]
    assert zero["drift_percent"] == pytest.approx((400 - 402) / 1000 * 100)
    assert (zero["role"], zero["gas"], zero["span"], zero["assigned"]) == ("zero", "zero", 1000, 402)
    assert span["drift_percent"] == pytest.approx((600 - 604) / 1000 * 100)
    assert (span["verdict"], span["limit_verified"]) == ("pass", False)
    assert one.intake.coefficients == {}


async def test_a_fit_far_off_is_refused_and_told(rig, monkeypatch) -> None:
    one = await rig()
    monkeypatch.setattr(one, "indication", lambda: 500.0 + 10 * len(one.open_ports & {SPAN}))
    await one.calibrator.start("daily", "li")
    await one.until(lambda: one.ready)
    assert one.intake.coefficients == {}
    (refused,) = await one.records("coefficients-refused")
    assert "slope" in refused["series"]["ndir.co2"]
    (finished,) = await one.records("run-finished")
    assert finished["adopted"] == []


async def test_abort_brings_the_inlet_home_and_marks_the_recovery(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.until(lambda: SPAN in one.open_ports)
    abort = asyncio.create_task(one.calibrator.abort("wang"))
    await one.until(abort.done)
    assert abort.result()["home"]
    assert one.open_ports == {SAMPLE}
    assert one.phase in ("to-sample", "recovery")
    with pytest.raises(RefusedError, match="valve gas is held by run daily"):
        await one.calibrator.start("daily", "li")
    await one.until(lambda: one.ready)
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"] == "aborted by wang"
    await one.step()
    causes = await one.causes()
    assert causes[-1] == frozenset()
    assert causes.count(frozenset({Cause.RECOVERY})) >= 20
    assert not await one.records("coefficients", "drift", "run-finished")
    with pytest.raises(ValueError, match="no calibration is going on"):
        await one.calibrator.abort("wang")


async def test_an_abort_in_the_first_instant_leaves_no_run_behind(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.calibrator.abort("wang")
    await one.until(lambda: one.ready)
    assert one.open_ports == {SAMPLE}


async def test_stopping_the_station_leaves_sample_air(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.until(lambda: TARGET in one.open_ports)
    one.tasks[1].cancel()
    await asyncio.wait({one.tasks[1]}, timeout=10)
    assert one.tasks[1].cancelled()
    assert one.open_ports == {SAMPLE}
    await one.step()
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"] == "the station stops"


async def test_a_stop_in_the_middle_of_an_abort_does_not_cut_the_way_home(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.until(lambda: TARGET in one.open_ports and one.phase == "flush")
    abort = asyncio.create_task(one.calibrator.abort("wang"))
    async with asyncio.timeout(5):
        while one.phase != "to-sample":
            await asyncio.sleep(0)
    one.tasks[1].cancel()
    await asyncio.wait({one.tasks[1], abort}, timeout=10)
    assert one.open_ports == {SAMPLE}
    await one.step()
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"] == "aborted by wang"


async def test_a_fault_of_ours_crashes_loudly_with_the_inlet_at_home(rig, monkeypatch) -> None:
    one = await rig()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("our bug")

    await one.calibrator.start("daily", "li")
    await one.until(lambda: SPAN in one.open_ports)
    monkeypatch.setattr("agent.gas.run.point", broken)
    await one.until(one.tasks[1].done)
    error = one.tasks[1].exception()
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error.exceptions[0], ZeroDivisionError)
    assert one.open_ports == {SAMPLE}
    await one.step()
    (aborted,) = await one.records("run-aborted")
    assert aborted["reason"] == "a fault of this program"


async def test_a_coil_that_reads_otherwise_than_written_aborts_with_an_alarm(rig) -> None:
    one = await rig()
    one.peer.stuck = {SPAN}
    await one.calibrator.start("daily", "li")
    await one.until(lambda: one.ready)
    (aborted,) = await one.records("run-aborted")
    assert "coil 2 was written 1 and reads 0" in aborted["reason"]
    assert await one.records("calibration-aborted")
    assert one.open_ports == {SAMPLE}


async def test_a_valve_that_falls_silent_keeps_the_mark_until_it_is_home(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.until(lambda: ZERO in one.open_ports)
    one.peer.units.clear()
    await one.until(lambda: one.phase == "to-sample", 60)
    async with asyncio.timeout(10):
        while not await one.records("valve-not-safe"):
            await asyncio.sleep(0.05)
    await one.step()
    assert (await one.causes())[-1] == {Cause.CALIBRATION}
    one.peer.units.add(1)
    await one.until(lambda: one.phase == "recovery")
    assert one.open_ports == {SAMPLE}
    await one.until(lambda: one.ready)
    await one.step()
    assert (await one.causes())[-1] == set()
    assert len(await one.records("valve-not-safe")) == 2
    (aborted,) = await one.records("run-aborted")
    assert "no answer" in aborted["reason"]


async def test_refusals_are_answered_and_recorded(rig) -> None:
    one = await rig()
    with pytest.raises(RefusedError, match="no sequence weekly; known: daily"):
        await one.calibrator.start("weekly", "platform")
    await one.lock.lock("zhang", "new regulator")
    with pytest.raises(RefusedError, match="maintenance lock of zhang"):
        await one.calibrator.start("daily", "schedule")
    await one.lock.unlock("zhang")
    await one.calibrator.start("daily", "li")
    with pytest.raises(RefusedError, match="held by run"):
        await one.calibrator.start("daily", "li")
    refused = await one.records("calibration-refused")
    assert [row["origin"] for row in refused] == ["platform", "schedule", "li"]
    assert [row["sequence"] for row in refused] == ["weekly", "daily", "daily"]


async def test_taking_the_lock_ends_a_run_first(rig) -> None:
    one = await rig()
    await one.calibrator.start("daily", "li")
    await one.until(lambda: ZERO in one.open_ports)
    locking = asyncio.create_task(one.lock.lock("zhang", "leak test"))
    await one.until(locking.done)
    assert one.open_ports == {SAMPLE}
    (aborted,) = await one.records("run-aborted")
    assert "zhang" in aborted["reason"]
    assert one.lock.held is not None


async def test_the_lock_survives_a_restart_and_stops_the_move_at_the_start(rig) -> None:
    one = await rig(begin=False)
    log = asyncio.create_task(one.log.run())
    await one.lock.lock("zhang", "hose off")
    one.tasks = [log]
    await one.end()
    again = await rig(again=one, begin=False)
    again.begin()
    for _ in range(5):
        await again.step()
    assert again.peer.coil_writes == []
    assert not again.ready
    await again.lock.unlock("zhang")
    await again.until(lambda: again.ready)
    assert again.open_ports == {SAMPLE}
    assert [row["what"] for row in await again.records("maintenance-lock", "maintenance-unlock")] == [
        "maintenance-lock", "maintenance-unlock",
    ]  # fmt: skip


async def test_a_lock_runs_out_and_an_unreadable_one_holds(rig) -> None:
    one = await rig()
    until = (one.clock.now() + timedelta(hours=1)).isoformat()
    await one.lock.lock("zhang", "lunch", until)
    await one.step(3590)
    assert one.lock.held is not None
    await one.until(lambda: one.lock.held is None)
    await one.step()
    (expired,) = await one.records("maintenance-expired")
    assert expired["owner"] == "zhang"
    with pytest.raises(ValueError, match="is past"):
        await one.lock.lock("zhang", "lunch", "2020-01-01T00:00:00Z")
    one.lock._path.write_bytes(b"\x00\x00half of a fi")
    assert one.lock.held is not None
    assert "cannot be read" in one.lock.held.reason
    await one.lock.unlock("zhang")
    assert one.lock.held is None


async def test_a_run_cut_by_a_kill_is_aborted_at_the_next_start_and_never_resumed(rig) -> None:
    killed = await rig(begin=False)
    killed.peer.coils[SPAN] = True
    killed.tasks = [asyncio.create_task(killed.log.run())]
    started = {"what": "run-started", "run": "r1", "sequence": "daily", "instrument": "ndir", "valve": "gas"}
    started["marked"] = ["ndir.co2"]
    # One of the same name before it, as logs hold them from before a clock was set back.
    await killed.log.append("calibration", started)
    await killed.log.append("calibration", {**started, "what": "run-finished"})
    await killed.log.append("calibration", started)
    await killed.end()

    one = await rig(again=killed, begin=False)
    await one.intake.take(Scan("ndir", one.clock.now(), (Reading("ndir", "co2", 1.0, "umol/mol", one.clock.now()),)))
    one.begin()
    await one.until(lambda: one.open_ports == {SAMPLE})
    await one.until(lambda: one.ready)
    await one.step()
    whats = [row["what"] for row in await one.records() if row.get("run") == "r1"]
    assert whats == ["run-started", "run-finished", "run-started", "run-aborted"]
    causes = await one.causes()
    assert causes[0] == {Cause.CALIBRATION}
    assert causes.count(frozenset({Cause.RECOVERY})) >= 20
    assert causes[-1] == set()
    assert [coil for coil, on in one.peer.coil_writes if on] == [SAMPLE]

    await one.end()
    again = await rig(again=one)
    await again.step()
    assert (await again.causes())[-1] == set()
    assert len(await again.records("run-aborted")) == 1


async def test_a_clock_set_back_gives_no_run_the_name_of_another(rig) -> None:
    """Both begin at the same instant of the wall; the second is cut, and the end of the first is none of its own."""
    one = await rig()
    at = one.clock.now()
    first = (await one.calibrator.start("daily", "schedule"))["run"]
    await one.until(lambda: one.ready)
    await one.end()
    again = await rig(again=one)
    again.clock.step((at - again.clock.now()).total_seconds())
    second = (await again.calibrator.start("daily", "schedule"))["run"]
    await again.until(lambda: again.phase == "flush")
    await again.end()
    third = await rig(again=again)
    assert second != first
    assert first[-24:] == second[-24:] == iso(at)
    assert [row["run"] for row in await third.records("run-finished")] == [first]
    assert [row["run"] for row in await third.records("run-aborted")] == [second]


async def test_relays_with_a_dead_man_time_are_kept_awake(rig) -> None:
    one = await rig(dead_man_s=30)
    await one.calibrator.start("daily", "li")
    await one.until(lambda: one.ready)
    opened = [coil for coil, on in one.peer.coil_writes if on]
    assert all(opened.count(coil) >= 10 for coil in (ZERO, SPAN, TARGET))
    assert one.peer.open_at_once == 1
    assert await one.records("run-finished")


async def test_safe_state_without_a_daemon(tmp_path: Path, serve_modbus, config_for) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    config = config_for(tmp_path, peer.port)
    for coil in (ZERO, SPAN):
        peer.coils[coil] = True
    assert await safe_state(config, clock) == []
    assert {coil for coil, on in peer.coils.items() if on} == {SAMPLE}
    assert peer.coil_writes[-1] == (SAMPLE, True)

    peer.stuck = {SAMPLE}
    (failure,) = await safe_state(config, clock)
    assert "coil 0 was written 1 and reads 0" in failure

    lock_path(config).write_text('{"owner": "z", "reason": "r", "since": "2026-01-01T00:00:00Z", "until": null}')
    peer.coil_writes.clear()
    assert await safe_state(config, clock) == []
    assert peer.coil_writes == []


@pytest.mark.parametrize(
    ("every_h", "offset_h", "after", "due"),
    [
        (24, 1, "2026-01-01T00:59:59", "2026-01-01T01:00:00"),
        (24, 1, "2026-01-01T01:00:00", "2026-01-02T01:00:00"),
        (24, 19, "2026-01-01T20:00:00", "2026-01-02T19:00:00"),
        (6, 0, "2026-01-01T05:00:00", "2026-01-01T06:00:00"),
        (0.5, 0, "2026-01-01T05:10:00", "2026-01-01T05:30:00"),
    ],
)
def test_schedules_fall_on_whole_periods(every_h: float, offset_h: float, after: str, due: str) -> None:
    schedule = Schedule(every_h=every_h, offset_h=offset_h)
    assert due_after(schedule, datetime.fromisoformat(after + "+00:00")).isoformat() == due + "+00:00"


async def test_a_schedule_starts_runs_once_each_even_when_the_wall_clock_steps_back(
    tmp_path, serve_modbus, config_for, rig_of
) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    config = config_for(tmp_path, peer.port)
    document = config.model_dump(mode="json")
    document["sequences"]["daily"]["schedule"] = {"every_h": 24, "offset_h": 1}
    one = rig_of(Config.model_validate(document), clock, peer)
    one.begin()
    await one.until(lambda: one.ready)
    await one.until(lambda: clock.now() >= START + timedelta(minutes=55), 60)
    assert not await one.records("run-started")
    await one.until(lambda: one.phase is not None, 60)
    await one.until(lambda: one.ready)
    clock.step(-1800)
    await one.until(lambda: clock.now() >= START + timedelta(hours=3), 60)
    assert len(await one.records("run-started")) == 1
    await one.until(lambda: one.calibrator.status()["due"] == {"daily": "2026-01-02T01:00:00.000Z"})
    await one.end()
