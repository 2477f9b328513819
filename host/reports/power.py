"""Electricity of an account as it is asked for: a file by hour, and meters among a station's own series."""

from collections.abc import Sequence

from calibration.reports.document import Lang
from calibration.reports.electricity import Electricity
from host.fuel_files import read_measured


def electricity(file: str | None, meters: Sequence[str], lang: Lang) -> Electricity:
    """Of a file (columns `unit,start,energy_kWh`) and of `[UNIT=]SERIES`. Raises ConfigErrors, OSError."""
    metered = read_measured(file, lang) if file else {}
    pairs = (text.rpartition("=") for text in meters)
    given = {unit: one.energy_kWh for unit, one in metered.items()}
    return Electricity(given, {unit: series for unit, _, series in pairs})
