"""From the configuration: a sequence with its cylinders' assigned values, and when a schedule is due."""

from datetime import datetime, timedelta

from agent.config import Config
from agent.config_gas import Schedule
from calibration.sequence import Assigned, Blowback, Cylinder, Injection, Sequence
from metrology.periods import EPOCH


def sequence_of(config: Config, name: str) -> Sequence:
    """A declared sequence with its cylinders' assigned values."""
    declared = config.sequences[name]
    return Sequence(
        name,
        declared.instrument,
        config.valves[declared.valve].sample,
        tuple(
            Injection(
                _cylinder(config, one.gas),
                one.port,
                dict(one.roles),
                one.flush_s,
                one.average_s,
                dict(one.stdev_max),
                dict(one.check_limit),
            )
            for one in declared.injections
        ),
        declared.recovery_s,
        Blowback(blow.port, blow.blow_s, blow.pulses, blow.pause_s) if (blow := declared.blowback) else None,
    )


def marked_by(config: Config, name: str) -> tuple[str, ...]:
    """What a sequence's runs mark: the series its gas touches, or the whole instrument."""
    declared = config.sequences[name]
    if declared.affects is None:
        return (declared.instrument,)
    return tuple(f"{declared.instrument}.{measurand}" for measurand in declared.affects)


def _cylinder(config: Config, name: str) -> Cylinder:
    row = config.cylinders[name]
    assigned = {m: Assigned(one.value, one.unit, one.uncertainty, one.scale) for m, one in row.assigned.items()}
    return Cylinder(name, row.number, row.certificate, row.expires, assigned)


def due_after(schedule: Schedule, after: datetime) -> datetime:
    """The next time of a schedule later than `after`: whole multiples of the period since 1970, shifted."""
    every = timedelta(hours=schedule.every_h)
    offset = timedelta(hours=schedule.offset_h)
    return EPOCH + offset + ((after - EPOCH - offset) // every + 1) * every
