"""Rules for quality assurance: what is declared must be one thing, limits must limit, charts need their deviations."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from agent.checks.findings import Findings
from agent.config import Config, Instrument
from agent.config_qa import OwnLimit
from metrology.declaration import DriverInfo

_LIMITS: Final = tuple(f"{what}_{how}" for what in ("warn", "pass", "out") for how in ("percent", "absolute"))


def check_qa(config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    """Check what each instrument is declared as and how its checks are judged; `infos` of the measurands in use."""
    for name, instrument in config.instruments.items():
        if info := infos.get(name):
            _declared(name, instrument, info, find)
            _limits(name, instrument, info, find)


def _declared(name: str, instrument: Instrument, info: DriverInfo, find: Findings) -> None:
    declared, path = instrument.declared, ("instruments", name, "declared")
    if declared is None:
        return
    if declared.serial and instrument.serial_number and declared.serial != instrument.serial_number:
        find.error("serial-twice", *path, "serial", other=instrument.serial_number)
    for kind in ("range", "slope", "offset"):
        for measurand in getattr(declared, kind):
            find.known("measurand-unknown", measurand, info.measurands, *path, kind, measurand, at_key=True)
    for measurand, full_scale in declared.range.items():
        options = instrument.series.get(measurand)
        if options is not None and options.maximum is not None and options.maximum != full_scale:
            find.error("range-twice", *path, "range", measurand, declared=full_scale, maximum=options.maximum)


def _limits(name: str, instrument: Instrument, info: DriverInfo, find: Findings) -> None:
    qa, path = instrument.qa, ("instruments", name, "qa")
    if qa is None:
        return
    for index, limit in enumerate(qa.limits):
        for place, measurand in enumerate(limit.measurands):
            find.known("measurand-unknown", measurand, info.measurands, *path, "limits", index, "measurands", place)
        _ordered(limit, (*path, "limits", index), find)
    for measurand in qa.sd:
        find.known("measurand-unknown", measurand, info.measurands, *path, "sd", measurand, at_key=True)
    if qa.rules == "en14181" and not qa.sd:
        find.warn("chart-without-sd", *path, "rules")


def _ordered(limit: OwnLimit, path: tuple[str | int, ...], find: Findings) -> None:
    """A limit limits something, and what warns lies within what passes, what passes within what keeps control."""
    if all(getattr(limit, one) is None for one in _LIMITS):
        find.error("limit-empty", *path, at_key=True)
    for how in ("percent", "absolute"):
        found = [(what, value) for what in ("warn", "pass", "out") if (value := getattr(limit, f"{what}_{how}"))]
        for (inner, small), (outer, large) in pairwise(found):
            if small > large:
                find.error("limit-order", *path, f"{inner}_{how}", inner=f"{inner}_{how}", outer=f"{outer}_{how}")
