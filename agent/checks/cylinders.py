"""Rules for standard gases: a value has a certificate, gases of one sequence stand on one scale, gauges can be read."""

from collections.abc import Mapping
from datetime import datetime

from agent.checks.findings import Findings
from agent.config import Config
from agent.config_cylinders import Cylinder
from calibration.standards.cautions import mismatch
from calibration.standards.stock import bar
from metrology.declaration import DriverInfo
from metrology.measurand import catalogue
from metrology.units import UnitError


def check_cylinders(config: Config, infos: Mapping[str, DriverInfo], now: datetime, find: Findings) -> None:
    """Check what is declared of cylinders; `now` (aware UTC) tells expired ones."""
    units = {f"{name}.{measurand}": unit for name, info in infos.items() for measurand, unit in info.measurands.items()}
    for name, cylinder in config.cylinders.items():
        _cylinder(name, cylinder, now, find)
        if (series := cylinder.pressure_series) is None:
            continue
        path = ("cylinders", name, "pressure_series")
        if find.known("series-unknown", series, units, *path):
            try:
                bar(1.0, units[series])
            except UnitError:
                find.error("no-pressure", *path, series=series, unit=units[series])
    for name in config.sequences:
        _scales(name, config, find)


def _cylinder(name: str, cylinder: Cylinder, now: datetime, find: Findings) -> None:
    if cylinder.assigned and not (cylinder.certificate and cylinder.expires):
        find.error("cylinder-certificate-missing", "cylinders", name, at_key=True, name=name)
    if cylinder.expires and (days := (cylinder.expires - now.date()).days) <= cylinder.warn_days:
        code = "cylinder-expired" if days < 0 else "cylinder-expires"
        find.warn(code, "cylinders", name, "expires", name=name, number=cylinder.number, days=days)
    for measurand in cylinder.assigned:
        path = ("cylinders", name, "assigned", measurand)
        find.known("measurand-not-in-catalogue", measurand, catalogue(), *path, at_key=True)


def _scales(name: str, config: Config, find: Findings) -> None:
    """Gases of one sequence and measurand on different scales work, and give a curve that is none."""
    injections = config.sequences[name].injections
    for measurand in dict.fromkeys(m for one in injections for m in one.roles):
        gases = dict.fromkeys(one.gas for one in injections if measurand in one.roles and one.gas in config.cylinders)
        values = {gas: config.cylinders[gas].assigned.get(measurand) for gas in gases}
        found = mismatch((gas, value.value, value.scale) for gas, value in values.items() if value)
        if found is not None:
            told = ", ".join(f"{gas}: {value.scale}" for gas, value in values.items() if value)
            find.warn("scales-differ", "sequences", name, at_key=True, measurand=measurand, scales=told)
