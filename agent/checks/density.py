"""Rules for instruments whose indications are brought to a stated density."""

from collections.abc import Mapping

from agent.checks.findings import Findings
from agent.config import Config
from metrology.declaration import DriverInfo
from metrology.units import UnitError, convert


def check_density(config: Config, infos: Mapping[str, DriverInfo], find: Findings) -> None:
    """Research only; all measurands must be there, pressure and temperature in such units; `infos` of those in use."""
    for name, instrument in config.instruments.items():
        density, path = instrument.density, ("instruments", name, "density")
        if density is None:
            continue
        if instrument.kind == "regulated":
            find.error("density-regulated", *path, at_key=True)
        info = infos.get(name)
        if info is None:
            continue
        for place, measurand in enumerate(density.measurands):
            if measurand in (density.pressure, density.temperature):
                find.error("density-itself", *path, "measurands", place, measurand=measurand)
            find.known("measurand-unknown", measurand, info.measurands, *path, "measurands", place)
        for key, unit in (("pressure", "kPa"), ("temperature", "degC")):
            measurand = getattr(density, key)
            if find.known("measurand-unknown", measurand, info.measurands, *path, key):
                _unit(measurand, info.measurands[measurand], unit, (*path, key), find)


def _unit(measurand: str, found: str, wanted: str, path: tuple[str, ...], find: Findings) -> None:
    try:
        convert(1.0, found, wanted)
    except UnitError:
        find.error("density-unit", *path, measurand=measurand, found=found, wanted=wanted)
