"""Rules for guards, and for what a platform may start: what is looked at exists, what is started does what it says."""

from collections.abc import Callable, Mapping
from typing import Final

from agent.checks.findings import Findings
from agent.config import Config
from agent.config_gas import Guard, Sequence
from agent.config_hj212 import Hj212Uplink
from metrology.declaration import DriverInfo
from metrology.units import UnitError, convert


def check_guards(config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    """Check the guards of the station and of each sequence."""
    for name, guard in config.guards.items():
        _guard(("guards", name), guard, infos, find)
    for sequence, block in config.sequences.items():
        for name, guard in block.guards.items():
            _guard(("sequences", sequence, "guards", name), guard, infos, find)


def _guard(path: tuple[str, ...], guard: Guard, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    if guard.above is None and guard.below is None:
        find.error("guard-unbounded", *path, at_key=True)
    elif guard.above is not None and guard.below is not None and guard.above >= guard.below:
        find.error("guard-empty", *path, "above", above=guard.above, below=guard.below)
    units = {f"{name}.{measurand}": unit for name, info in infos.items() for measurand, unit in info.measurands.items()}
    if not find.known("series-unknown", guard.series, units, *path, "series"):
        return
    try:
        convert(1.0, units[guard.series], guard.unit)
    except UnitError as error:
        find.error("guard-unit", *path, "unit", wanted=units[guard.series], reason=str(error))


def _has(role: str) -> Callable[[Sequence, str], bool]:
    return lambda sequence, measurand: any(one.roles.get(measurand) == role for one in sequence.injections)


def _has_both(sequence: Sequence, measurand: str) -> bool:
    return _has("zero")(sequence, measurand) and _has("span")(sequence, measurand)


# What a sequence must do for the factor's measurand to stand under a key of `calibrate`.
_FITS: Final[Mapping[str, Callable[[Sequence, str], bool]]] = {
    "zero": _has("zero"),
    "span": _has("span"),
    "both": _has_both,
    "check": lambda sequence, measurand: any(measurand in one.roles for one in sequence.injections),
    "blowback": lambda sequence, _: sequence.blowback is not None,
}


def check_startable(config: Config, find: Findings) -> None:
    """Check that the sequences a platform may start for a factor exist and do that to its series."""
    for name, uplink in config.uplinks.items():
        if not isinstance(uplink, Hj212Uplink):
            continue
        for code, factor in uplink.factors.items():
            path = ("uplinks", name, "factors", code, "calibrate")
            chosen = factor.calibrate.model_dump(exclude_none=True) if factor.calibrate else {}
            for key, sequence in chosen.items():
                if find.known("sequence-unknown", sequence, config.sequences, *path, key):
                    _startable((*path, key), key, config.sequences[sequence], factor.series, find)


def _startable(path: tuple[str, ...], key: str, sequence: Sequence, series: str, find: Findings) -> None:
    instrument, _, measurand = series.partition(".")
    if sequence.instrument != instrument or not _FITS[key](sequence, measurand):
        find.error("sequence-unfit", *path, key=key, series=series)
