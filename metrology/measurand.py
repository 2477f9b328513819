"""The measurand catalogue, as data (`measurands.csv`, each row with its source)."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

Averaging = Literal["mean", "circular"]


@dataclass(frozen=True, slots=True)
class Measurand:
    """One row: canonical unit, valid range in that unit, HJ 212 code with the unit and decimals it travels with."""

    id: str
    name_en: str
    name_zh: str
    unit: str
    minimum: float
    maximum: float
    averaging: Averaging
    molar_mass: float | None
    hj212_code: str | None
    hj212_unit: str
    decimals: int
    source: str


def _measurand(row: dict[str, str]) -> Measurand:
    return Measurand(
        id=row["id"],
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        unit=row["unit"],
        minimum=float(row["minimum"]),
        maximum=float(row["maximum"]),
        averaging=cast(Averaging, row["averaging"]),
        molar_mass=float(row["molar_mass"]) if row["molar_mass"] else None,
        hj212_code=row["hj212_code"] or None,
        hj212_unit=row["hj212_unit"],
        decimals=int(row["decimals"]),
        source=row["source"],
    )


@cache
def catalogue() -> dict[str, Measurand]:
    """All measurands by id."""
    text = resources.files("metrology").joinpath("measurands.csv").read_text(encoding="utf-8")
    return {row["id"]: _measurand(row) for row in csv.DictReader(text.splitlines())}
