"""Records of fuel and of other carbon: what a plant's books and laboratory say, each value with where it is from."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final, Literal

from metrology.budget import Term, TimeBehaviour
from metrology.stack.tables import molar_mass_g_mol, rows

Origin = Literal["measured", "declared", "default"]
OtherKind = Literal["limestone", "bypass", "other"]
# Carbonate of good limestone, and how much of it reacts, where a lot does not say (MEE guideline of 2013: unverified).
CACO3_FRACTION: Final = 0.90
CONVERSION_FRACTION: Final = 1.0


@dataclass(frozen=True, slots=True)
class Given:
    """A value, its standard uncertainty (k = 1) in its own unit, and where it is from.

    `default`: nobody measured it; it came from a table, and every result made with it says so.
    """

    value: float
    u: float = 0.0
    origin: Origin = "measured"
    source: str = ""
    verified: bool = True

    def terms(self) -> tuple[Term, ...]:
        """A laboratory's error differs from lot to lot; a default's or a declared value's is the same in all."""
        over_time: TimeBehaviour = "independent" if self.origin == "measured" else "common"
        return (Term(self.origin, self.u, over_time, self.source or self.origin, self.verified),) if self.u else ()


@dataclass(frozen=True, slots=True)
class FuelLot:
    """Fuel burnt in one unit of a plant between two instants (aware UTC, the second exclusive).

    `amount` is in `amount_unit`: t, or 10^4 m3 of gas at its standard state. `carbon_fraction` is of the fuel as
    received; `ncv_GJ` of one amount unit; `carbon_t_GJ` and `emission_factor_t_GJ` (CO2) are per heat; `oxidation` and
    `biomass_fraction` (of the carbon) lie between 0 and 1. The error of the amount is that of one scale: common.
    """

    unit: str
    fuel: str
    start: datetime
    end: datetime
    amount: Given
    amount_unit: Literal["t", "1e4m3"] = "t"
    carbon_fraction: Given | None = None
    ncv_GJ: Given | None = None
    carbon_t_GJ: Given | None = None
    emission_factor_t_GJ: Given | None = None
    oxidation: Given | None = None
    biomass_fraction: Given | None = None
    lot: str = ""


@dataclass(frozen=True, slots=True)
class OtherCarbon:
    """CO2, t, that fuel does not explain, in a unit and a time: of limestone or another process in the stack, or past
    the stack (`bypass`: it lowers what the stack can show).
    """

    unit: str
    kind: OtherKind
    start: datetime
    end: datetime
    co2_t: Given
    lot: str = ""


@dataclass(frozen=True, slots=True)
class FuelDefault:
    """One row of the table of defaults; None where the table has no such value."""

    fuel: str
    name_en: str
    name_zh: str
    amount_unit: str
    ncv_GJ: Given | None
    carbon_t_GJ: Given | None
    emission_factor_t_GJ: Given | None
    oxidation: Given
    biomass_fraction: Given


@cache
def defaults() -> dict[str, FuelDefault]:
    """The table beside this module, by fuel."""
    return {row["fuel"]: _default(row) for row in rows("defaults", "metrology.fuel")}


def _default(row: dict[str, str]) -> FuelDefault:
    def given(column: str, percent: str) -> Given | None:
        if not row[column]:
            return None
        value = float(row[column])
        u = value * float(row[percent]) / 100.0
        return Given(value, u, "default", row["source"], row["verified"] == "yes")

    oxidation = given("oxidation", "oxidation_u_percent")
    assert oxidation is not None, "every row has an oxidation factor"
    return FuelDefault(
        fuel=row["fuel"],
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        amount_unit=row["amount_unit"],
        ncv_GJ=given("ncv_GJ", "ncv_u_percent"),
        carbon_t_GJ=given("carbon_t_GJ", "carbon_u_percent"),
        emission_factor_t_GJ=given("emission_factor_t_GJ", "carbon_u_percent"),
        oxidation=oxidation,
        biomass_fraction=Given(float(row["biomass"]), 0.0, "default", row["source"], row["verified"] == "yes"),
    )


def as_received(
    carbon_percent: float, basis: Literal["ar", "ad", "d"], moisture_ar: float, moisture_ad: float
) -> float:
    """Carbon of the fuel as received, percent, from a laboratory's basis: `ar`, air-dried `ad` or dry `d`.

    Moistures in percent: C_ar = C_ad (100 - M_ar) / (100 - M_ad), C_ar = C_d (100 - M_ar) / 100 (GB/T 35985-2018).
    """
    if not (0.0 <= moisture_ar < 100.0 and 0.0 <= moisture_ad < 100.0):
        raise ValueError("moisture is a percentage from 0 to below 100")
    return {
        "ar": carbon_percent,
        "ad": carbon_percent * (100.0 - moisture_ar) / (100.0 - moisture_ad),
        "d": carbon_percent * (100.0 - moisture_ar) / 100.0,
    }[basis]


def limestone_co2_t(mass_t: float, caco3_fraction: float, conversion_fraction: float) -> float:
    """CO2 that limestone gives off in desulfurisation, t: mass, carbonate in it, and how much of that reacts."""
    return mass_t * caco3_fraction * conversion_fraction * molar_mass_g_mol("co2") / molar_mass_g_mol("caco3")
