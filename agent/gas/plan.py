"""From the configuration: a sequence with its cylinders' assigned values, what it shares, and when it is due."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

from agent.config import Config
from agent.config_gas import Flush, LineChecks, Schedule
from agent.config_gas import Injection as DeclaredInjection
from agent.config_gas import Response as DeclaredResponse
from agent.config_gas import Sequence as DeclaredSequence
from calibration.sequence import (
    Assigned,
    Blowback,
    Cylinder,
    FlowCheck,
    Injection,
    LeakCheck,
    Response,
    Sequence,
    Stability,
)
from metrology.periods import EPOCH

# What stands in a place now, None where nobody registered anything there.
Gas = Callable[[str], Cylinder | None]


def sequence_of(config: Config, name: str, gas: Gas | None = None) -> Sequence:
    """A declared sequence with its cylinders' assigned values: those of the register (`gas`), else as declared."""
    declared = config.sequences[name]
    checks, blow = declared.checks or LineChecks(), declared.blowback
    leak, flow, response = checks.leak, checks.flow, declared.response or DeclaredResponse()
    return Sequence(
        name,
        declared.instrument,
        config.valves[declared.valve].sample if declared.valve else "",
        tuple(_injection(config, one, gas) for one in declared.injections),
        recovery_s(declared),
        Blowback(blow.port, blow.blow_s, blow.pulses, blow.pause_s) if blow else None,
        _stability(declared.recovery),
        declared.loops,
        declared.counts,
        declared.path,
        LeakCheck(leak.series, leak.port, leak.settle_s, leak.seconds, leak.max_drop_kPa_per_min, leak.on_fail)
        if leak
        else None,
        FlowCheck(flow.series, flow.min, flow.max, flow.unit, flow.on_fail) if flow else None,
        Response(1 if response.model == "linear" else 2, dict(response.residual_max)),
    )


def _injection(config: Config, one: DeclaredInjection, gas: Gas | None) -> Injection:
    return Injection(
        (gas(one.gas) if gas else None) or _cylinder(config, one.gas),
        one.port or "",
        dict(one.roles),
        one.flush.max_s if one.flush else one.flush_s or 0.0,
        one.average_s,
        dict(one.stdev_max),
        dict(one.check_limit),
        _stability(one.flush),
    )


def _stability(flush: Flush | None) -> Stability | None:
    if flush is None:
        return None
    return Stability(flush.min_s, flush.window_s, dict(flush.slope_max), dict(flush.stdev_max), flush.on_unstable)


def recovery_s(declared: DeclaredSequence) -> float:
    """The longest its recovery may last, seconds."""
    return declared.recovery.max_s if declared.recovery else declared.recovery_s or 0.0


def marked_by(config: Config, name: str) -> tuple[str, ...]:
    """What a sequence's runs mark: the series its gas touches, or the whole instrument."""
    declared = config.sequences[name]
    if declared.affects is None:
        return (declared.instrument,)
    return tuple(f"{declared.instrument}.{measurand}" for measurand in declared.affects)


def spelled(value: str | float | bool) -> str:
    """A state as the configuration and the instrument may both write it: 2, 2.0 and "2" are the same."""
    return value.strip() if isinstance(value, str) else f"{float(value):g}"


def share(one: DeclaredSequence, other: DeclaredSequence) -> bool:
    """True where two sequences cannot run at one time: one valve, or one instrument."""
    return one.instrument == other.instrument or (one.valve is not None and one.valve == other.valve)


def _cylinder(config: Config, name: str) -> Cylinder:
    row = config.cylinders[name]
    assigned = {m: Assigned(one.value, one.unit, one.uncertainty, one.scale) for m, one in row.assigned.items()}
    return Cylinder(name, row.number, row.certificate, row.expires or date.max, assigned, row.fill)


def due_after(schedule: Schedule, after: datetime, utc_offset_h: float = 8.0) -> datetime:
    """The next time of a schedule later than `after` (aware UTC).

    Whole multiples of the period since 1970, shifted; or what the cron expression says where the clock of the station
    is `utc_offset_h` ahead of UTC (no summer time: days of a station are equally long).
    """
    if schedule.cron is not None:
        # What few stations use is loaded by those.
        from cronsim import CronSim

        offset = timedelta(hours=utc_offset_h)
        local = after.replace(tzinfo=UTC) + offset
        return next(CronSim(schedule.cron, local)) - offset
    assert schedule.every_h is not None, "checked with the configuration"
    every = timedelta(hours=schedule.every_h)
    shift = timedelta(hours=schedule.offset_h)
    return EPOCH + shift + ((after - EPOCH - shift) // every + 1) * every


def dues(schedule: Schedule, after: datetime, until: datetime, utc_offset_h: float) -> Iterator[datetime]:
    """Every time of a schedule later than `after` and not later than `until`."""
    while (after := due_after(schedule, after, utc_offset_h)) <= until:
        yield after
