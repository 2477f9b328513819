"""The tables beside this module, read once. Every row carries its source and whether that source was seen."""

import csv
from functools import cache
from importlib import resources


def rows(name: str, package: str = "metrology.stack") -> list[dict[str, str]]:
    """All rows of `name`.csv, as text by column."""
    text = resources.files(package).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def molar_mass_g_mol(species: str) -> float:
    """Molar mass of a species, g/mol. Raises KeyError for one that the table has not."""
    return {row["species"]: float(row["molar_mass"]) for row in rows("molar_masses")}[species]
