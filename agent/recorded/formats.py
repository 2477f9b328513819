"""The formats by their names on the command line, and which wet species of each is made dry."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from agent.recorded.rules import Rules
from calibration.recorded.dry import RELLA_CH4, RELLA_CO2, Correction, by_dilution
from drivers.recorded import csv_table, gcwerks_minutes, gcwerks_results, li840a_log, picarro_log
from drivers.recorded.columns import gas_of, measured, water
from drivers.recorded.text import Line
from metrology.recorded import Refused, Row

Wanted = Callable[[str], bool]
Read = Callable[[Iterable[Line], Rules, Wanted | None], Iterator[Row | Refused]]

FORMATS: Final[Mapping[str, Read]] = {
    "picarro-log": lambda lines, rules, wanted: picarro_log.read(lines, wanted or measured),
    "li840a-log": lambda lines, rules, wanted: li840a_log.read(lines, wanted or measured),
    "gcwerks-minutes": lambda lines, rules, wanted: gcwerks_minutes.read(lines, wanted or _all),
    "gcwerks-results": lambda lines, rules, wanted: gcwerks_results.read(lines, wanted or _all),
    "csv": lambda lines, rules, wanted: csv_table.read(lines, rules.map, wanted),
}
# Made where the file has no such column of its own.
DRY: Final[Mapping[str, tuple[Correction, ...]]] = {
    "picarro-log": (
        Correction("co2", "h2o_reported", "co2_dry", RELLA_CO2),
        Correction("ch4", "h2o_reported", "ch4_dry", RELLA_CH4),
    ),
}


# Without a unit in its name the water of these analyzers is what their wire tells.
_PLAIN: Final = {"h2o": "mmol/mol"}


def told_dry(names: Sequence[str]) -> Sequence[Correction]:
    """Dilution of the CO2 of a log by the water beside it, whatever the program that wrote it calls them."""
    wet = next((name for name in names if gas_of(name) == "co2" and measured(name) and "dry" not in name), None)
    unit, vapour = next(((unit, name) for name in names if (unit := water(name) or _PLAIN.get(name))), ("", ""))
    return [Correction(wet, vapour, f"{wet}_dry", by_dilution(unit))] if wet and unit else []


# Formats whose columns have names of their own.
TOLD_DRY: Final = {"li840a-log": told_dry}


def _all(name: str) -> bool:
    return True
