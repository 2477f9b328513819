"""Sums of greenhouse gases as CO2 equivalents, by the 100-year potentials of a named IPCC report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from metrology.stack.tables import rows

IpccReport = Literal["AR4", "AR5", "AR6"]


@dataclass(frozen=True, slots=True)
class Potential:
    """One row of the table: the potential over 100 years, where it is from, and whether that was seen."""

    gwp100: float
    source: str
    verified: bool


@cache
def potentials(report: IpccReport) -> dict[str, Potential]:
    """Potentials by species (co2, ch4, n2o) of one report."""
    return {
        row["species"]: Potential(float(row["gwp100"]), row["source"], row["verified"] == "yes")
        for row in rows("gwp")
        if row["report"] == report
    }


def co2_equivalent(masses: Mapping[str, float], report: IpccReport) -> float:
    """Sum of mass times potential, in the unit of the masses. Raises KeyError for a species without a potential.

    Biogenic CO2 is counted like any other here: what a scheme leaves out, the caller leaves out.
    """
    table = potentials(report)
    return math.fsum(mass * table[species].gwp100 for species, mass in masses.items())
