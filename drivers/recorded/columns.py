"""Which columns of a file are measurements, told by their names.

A column is one where a word of its name is a gas of `gases.csv` (with or without isotope number, `i` for isotopic, a
unit in brackets) and no word says that it is a by-product (spread, count, flag, fit residual). Temperature and pressure
of a cell or cavity are measurements too. Everything else (positions, status, counters, times) is not, unless asked for.
"""

import csv
import re
from functools import cache
from importlib import resources
from typing import Final

_WORDS: Final = re.compile(r"[\s_.\-/]+")
_UNIT: Final = re.compile(r"[\(\[].*$")
_ISOTOPE: Final = re.compile(r"^i?\d{0,2}")
# Words after a gas that say: not its amount, but something about the measurement of it.
_BESIDE: Final = frozenset({
    "abs", "absorption", "adjust", "adjusted", "base", "baseline", "cal", "count", "error", "err", "fit", "flag", "max",
    "min", "n", "num", "offset", "peak", "qc", "quality", "res", "sd", "se", "shift", "sigma", "slope", "spline",
    "splinemax", "status", "std", "stdev", "stdv", "tune", "tuner", "unc", "uncertainty", "valid", "var",
})  # fmt: skip
_CELL: Final = frozenset({"cell", "cavity"})
_STATE: Final = frozenset({"temperature", "temp", "pressure", "press", "pres", "t", "p"})
_MMOL: Final = re.compile(r"h2o[\s_]*[\(\[]?\s*(ppt|ppth|mmol[/ ]mol(-1)?|mmol_mol-1)\s*[\)\]]?")
_CAVITY: Final = re.compile(r"^(cavity|cell)_?(pressure|temp|temperature|pres|press)$")


@cache
def gases() -> frozenset[str]:
    """Formulas of the table, lower case."""
    with resources.files("drivers.recorded").joinpath("gases.csv").open(encoding="utf-8") as file:
        return frozenset(row["gas"] for row in csv.DictReader(file))


def species(column: str) -> str:
    """Name of a species: its column in lower case, without the space around it."""
    return column.strip().strip('"').strip().lower()


def words(column: str) -> list[str]:
    """Words of a column's name, lower case, without its unit."""
    return [word for word in _WORDS.split(_UNIT.sub("", species(column))) if word]


def gas_of(column: str) -> str | None:
    """The gas a column is about, None for no gas."""
    known = gases()
    for place, word in enumerate(words(column)):
        plain = word if word in known else _ISOTOPE.sub("", word)
        # "No" after another word is a number: "Record No".
        if plain in known and not (plain == "no" and place):
            return plain
    return None


def measured(column: str) -> bool:
    """True where a column is a measurement by its name."""
    said = words(column)
    if gas_of(column) is not None:
        return not _BESIDE & set(said)
    return bool(_CAVITY.match("_".join(said))) or bool(_CELL & set(said) and _STATE & set(said))


def water(column: str) -> str | None:
    """Unit of a column of water vapour that may correct a gas: `%` or `mmol/mol`; None for any other column.

    Source: `h2o_reported` of Picarro logs is in percent (Rella et al. 2013), `H2O(ppt)` of LI-840A logs in mmol/mol.
    """
    name = species(column)
    if name == "h2o_reported":
        return "%"
    return "mmol/mol" if _MMOL.fullmatch(name) else None
