"""Rules for how a sequence goes on: flushes, loops, schedules, checks of the line, calibrations by the instrument."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from cronsim import CronSim, CronSimError

from agent.checks.findings import Findings
from agent.config import Config
from agent.config_gas import Flush, LineChecks, Schedule, Sequence
from agent.gas.agenda import crowded_out
from agent.gas.plan import dues, recovery_s, share, spelled
from calibration.response import GASES_MIN
from calibration.stability import READINGS_MIN
from metrology.declaration import DriverInfo
from metrology.units import UnitError, convert

HOUR_S: Final = 3600.0
# Turns of a schedule that are looked at, to see how near two of them come.
TURNS_LOOKED_AT: Final = 50
Place = tuple[str | int, ...]


def check_sequence(
    name: str, sequence: Sequence, config: Config, infos: Mapping[str, DriverInfo], find: Findings
) -> None:
    """Check one sequence by itself."""
    path = ("sequences", name)
    _one_of(sequence, "recovery", path, find)
    if sequence.recovery:
        _flush(sequence.recovery, (*path, "recovery"), sequence.instrument, config, infos, find)
    for index, injection in enumerate(sequence.injections):
        place = (*path, "injections", index)
        _one_of(injection, "flush", place, find)
        if injection.flush:
            _flush(injection.flush, (*place, "flush"), sequence.instrument, config, infos, find)
        if sequence.passive is None:
            if injection.port is None:
                find.error("port-missing", *place, at_key=True)
            if injection.state is not None:
                find.error("state-without-passive", *place, "state", at_key=True)
    if sequence.passive is None and sequence.valve is None:
        find.error("valve-missing", *path, at_key=True)
    if sequence.passive is not None:
        _passive(path, sequence, find)
    _line(path, sequence, config, infos, find)
    _response(path, sequence, config, infos, find)
    _schedule(path, sequence, find)


def check_together(config: Config, now: datetime, find: Findings) -> None:
    """Check what sequences do to each other."""
    valid = [one for one in config.sequences.values() if one.schedule and _next_dues(one.schedule, now)]
    whole = len(valid) == sum(one.schedule is not None for one in config.sequences.values())
    if whole and all(one.gas in config.cylinders for block in config.sequences.values() for one in block.injections):
        known = {name: one for name, one in config.sequences.items() if one.valve is None or one.valve in config.valves}
        if len(known) == len(config.sequences):
            for name, other in crowded_out(config, now).items():
                find.error("sequence-crowded-out", "sequences", name, "schedule", at_key=True, name=name, other=other)
    for name, one in config.sequences.items():
        below = [b for b in config.sequences.values() if b is not one and share(one, b) and b.priority < one.priority]
        if one.interrupts and not below:
            find.warn("interrupts-nobody", "sequences", name, "interrupts", at_key=True)
    for name, instrument in config.instruments.items():
        paths = {one.path for one in config.sequences.values() if one.instrument == name} - {None}
        if instrument.kind == "regulated" and paths == {"analyzer"}:
            find.warn("line-never-checked", "instruments", name, at_key=True, name=name)


def _one_of(block: object, key: str, path: Place, find: Findings) -> None:
    """A wait is given as a number of seconds or by what counts as steady."""
    if (getattr(block, f"{key}_s") is None) == (getattr(block, key) is None):
        find.error("wait-one", *path, at_key=True, key=key)


def _flush(
    flush: Flush, path: Place, instrument: str, config: Config, infos: Mapping[str, DriverInfo], find: Findings
) -> None:
    if flush.min_s > flush.max_s:
        find.error("flush-order", *path, "min_s", least=flush.min_s, most=flush.max_s)
    if flush.window_s > flush.max_s:
        find.error("flush-window-long", *path, at_key=True, window=flush.window_s, most=flush.max_s)
    if not flush.slope_max and not flush.stdev_max:
        find.error("flush-unlimited", *path, at_key=True)
    poll_s = config.instruments[instrument].poll_s if instrument in config.instruments else None
    if poll_s is not None and flush.window_s < READINGS_MIN * poll_s:
        find.error("flush-window-short", *path, at_key=True, window=flush.window_s, poll=poll_s, least=READINGS_MIN)
    if info := infos.get(instrument):
        for key in ("slope_max", "stdev_max"):
            for measurand in getattr(flush, key):
                find.known("measurand-unknown", measurand, info.measurands, *path, key, measurand, at_key=True)


def _passive(path: Place, sequence: Sequence, find: Findings) -> None:
    """Nothing of ours moves, and every gas is known by a word of the instrument."""
    moved = [key for key in ("valve", "schedule", "blowback", "checks") if getattr(sequence, key) is not None]
    moved += ["loops"] if sequence.loops != 1 else []
    for key in moved:
        find.error("passive-moves", *path, key, at_key=True, key=key)
    seen: dict[str, int] = {}
    for index, injection in enumerate(sequence.injections):
        place = (*path, "injections", index)
        if injection.port is not None:
            find.error("passive-moves", *place, "port", at_key=True, key="port")
        if injection.state is None:
            find.error("injection-state-missing", *place, at_key=True)
        for state in map(spelled, injection.state or ()):
            if seen.setdefault(state, index) != index:
                find.error("state-twice", *place, "state", at_key=True, state=state)


def _line(path: Place, sequence: Sequence, config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    units = {f"{name}.{measurand}": unit for name, info in infos.items() for measurand, unit in info.measurands.items()}
    checks = sequence.checks or LineChecks()
    if flow := checks.flow:
        place = (*path, "checks", "flow")
        if flow.min is None and flow.max is None:
            find.error("flow-unbounded", *place, at_key=True)
        elif flow.min is not None and flow.max is not None and flow.min > flow.max:
            find.error("flow-empty", *place, "min", least=flow.min, most=flow.max)
        _series(flow.series, flow.unit, (*place, "series"), units, find)
    if leak := checks.leak:
        place = (*path, "checks", "leak")
        _series(leak.series, "kPa", (*place, "series"), units, find)
        valve = config.valves.get(sequence.valve or "")
        # Solenoids without power: only where that closes them is a line with every coil off a closed line.
        if valve is not None and leak.port is None and (valve.kind != "coils" or valve.on_power_loss != "closed"):
            find.error("leak-port-missing", *place, at_key=True, kind=valve.kind, loss=valve.on_power_loss)
        if valve is not None and leak.port is not None:
            find.known("port-unknown", leak.port, valve.ports, *place, "port")
            if leak.port in {valve.sample, *(one.port for one in sequence.injections)}:
                find.error("leak-port-open", *place, "port", port=leak.port)


def _series(series: str, unit: str, path: Place, units: Mapping[str, str], find: Findings) -> None:
    if not find.known("series-unknown", series, units, *path):
        return
    try:
        convert(1.0, units[series], unit)
    except UnitError as error:
        find.error("check-unit", *path, unit=unit, found=units[series], reason=str(error))


def _response(path: Place, sequence: Sequence, config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    if (response := sequence.response) is None:
        return
    place = (*path, "response")
    instrument = config.instruments.get(sequence.instrument)
    if instrument is not None and instrument.kind == "regulated":
        find.warn("response-regulated", *place, at_key=True)
    if info := infos.get(sequence.instrument):
        for measurand in response.residual_max:
            find.known("measurand-unknown", measurand, info.measurands, *place, "residual_max", measurand, at_key=True)
    if response.model == "quadratic":
        measurands = dict.fromkeys(m for one in sequence.injections for m in one.roles)
        for measurand in measurands:
            roles = {one.gas: one.roles.get(measurand) for one in sequence.injections}
            gases = sum(role in ("zero", "span") for role in roles.values())
            if gases == GASES_MIN and "target" not in roles.values():
                find.warn("curve-unproven", *place, "model", at_key=True, measurand=measurand)


def _schedule(path: Place, sequence: Sequence, find: Findings) -> None:
    schedule = sequence.schedule
    if schedule is None:
        return
    place = (*path, "schedule")
    if (schedule.every_h is None) == (schedule.cron is None):
        find.error("schedule-one", *place, at_key=True)
        return
    if schedule.cron is not None and (reason := _no_cron(schedule.cron)) is not None:
        find.error("cron-invalid", *place, "cron", reason=reason)
        return
    seconds = _seconds(sequence)
    turns = _next_dues(schedule, datetime(2026, 1, 1, tzinfo=UTC))
    nearest = min(((b - a).total_seconds() for a, b in pairwise(turns)), default=None)
    if nearest is not None and seconds >= nearest:
        key = "every_h" if schedule.cron is None else "cron"
        find.error("schedule-short", *place, key, seconds=f"{seconds:g}")


def _no_cron(text: str) -> str | None:
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error)
    except StopIteration:
        return "it never comes"
    return None


def _next_dues(schedule: Schedule, now: datetime) -> list[datetime]:
    """Some turns to come; none of a schedule that is none."""
    if (schedule.every_h is None) == (schedule.cron is None) or (schedule.cron and _no_cron(schedule.cron)):
        return []
    found = []
    for due in dues(schedule, now, datetime.max.replace(tzinfo=UTC), 0.0):
        found.append(due)
        if len(found) == TURNS_LOOKED_AT:
            break
    return found


def _seconds(sequence: Sequence) -> float:
    """How long a run lasts at the most."""
    gases = sum((one.flush.max_s if one.flush else one.flush_s or 0.0) + one.average_s for one in sequence.injections)
    leak, blow = sequence.checks and sequence.checks.leak, sequence.blowback
    seconds = sequence.loops * gases + recovery_s(sequence)
    seconds += leak.settle_s + leak.seconds if leak else 0.0
    return seconds + (blow.pulses * blow.blow_s + (blow.pulses - 1) * blow.pause_s if blow else 0.0)
