"""CO2 of a lot of fuel: by its carbon, or by its heat; with the budget, and the names of what nobody measured.

Forms, the first that a lot has the values for (IPCC 2006 guidelines, volume 2, chapter 2; MEE guideline for power
plants): carbon balance, `amount x C_ar x OF x 44/12`; heat and carbon per heat, `amount x NCV x CC x OF x 44/12`; heat
and emission factor, `amount x NCV x EF x OF`. What is missing comes from the table of defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from metrology.budget import Budget, Term
from metrology.fuel.records import FuelDefault, FuelLot, Given, defaults
from metrology.stack.propagation import Input, propagate
from metrology.stack.tables import molar_mass_g_mol

Form = Literal["carbon", "heat-carbon", "heat-factor"]
# CO2 from carbon: by the atomic masses, or by the rounded figures that the MEE and IPCC texts print.
RATIOS: Final = {"atomic": molar_mass_g_mol("co2") / molar_mass_g_mol("c"), "44/12": 44.0 / 12.0}
Ratio = Literal["atomic", "44/12"]


class FuelError(ValueError):
    """A lot that gives no CO2: an unknown fuel without values, or a value out of its bounds.

    `code` and `values` are for whoever says it to a person: `oxidation`, `unit`, `carbon`, `bounds`, `moisture`,
    `times`.
    """

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(f"{code}: {values}")
        self.code = code
        self.values = values


@dataclass(frozen=True, slots=True)
class Calculated:
    """CO2 of a lot, t: all of it, and the part of it that is biogenic. `assumed` names the values that are defaults."""

    co2_t: float
    biogenic_t: float
    budget: Budget
    form: Form
    assumed: tuple[str, ...]


def co2_of(lot: FuelLot, ratio: Ratio = "atomic") -> Calculated:
    """CO2 of a lot. Raises FuelError."""
    form, values = _values(lot, defaults().get(lot.fuel))
    _check(lot, values)
    value, budget = propagate(
        lambda v: _co2_t(v, RATIOS[ratio]), {name: Input(one.value, one.terms()) for name, one in values.items()}
    )
    share = lot.biomass_fraction or (defaults()[lot.fuel].biomass_fraction if lot.fuel in defaults() else Given(0.0))
    assumed = tuple(name for name, one in values.items() if one.origin == "default")
    return Calculated(value, value * share.value, _one_scale(budget), form, assumed)


def _co2_t(values: Mapping[str, float], ratio: float) -> float:
    if "carbon_fraction" in values:
        return values["amount"] * values["carbon_fraction"] * values["oxidation"] * ratio
    heat = values["amount"] * values["ncv_GJ"] * values["oxidation"]
    return heat * values["carbon_t_GJ"] * ratio if "carbon_t_GJ" in values else heat * values["emission_factor_t_GJ"]


def _values(lot: FuelLot, default: FuelDefault | None) -> tuple[Form, dict[str, Given]]:
    """The form a lot allows, with its values."""
    oxidation = lot.oxidation or (default.oxidation if default else None)
    if oxidation is None:
        raise FuelError("oxidation", fuel=lot.fuel)
    if default and default.amount_unit != lot.amount_unit:
        raise FuelError("unit", fuel=lot.fuel, known=default.amount_unit, unit=lot.amount_unit)
    values = {"amount": lot.amount, "oxidation": oxidation}
    if lot.carbon_fraction:
        return "carbon", {**values, "carbon_fraction": lot.carbon_fraction}
    heat = lot.ncv_GJ or (default.ncv_GJ if default else None)
    # A value of the lot, whichever it is, comes before a default.
    candidates: list[tuple[Form, str, Given | None]] = [
        ("heat-carbon", "carbon_t_GJ", lot.carbon_t_GJ),
        ("heat-factor", "emission_factor_t_GJ", lot.emission_factor_t_GJ),
        ("heat-carbon", "carbon_t_GJ", default.carbon_t_GJ if default else None),
        ("heat-factor", "emission_factor_t_GJ", default.emission_factor_t_GJ if default else None),
    ]
    for form, name, given in candidates:
        if heat and given:
            return form, {**values, "ncv_GJ": heat, name: given}
    raise FuelError("carbon", fuel=lot.fuel)


def _check(lot: FuelLot, values: Mapping[str, Given]) -> None:
    for name, one in values.items():
        limit = 1.0 if name in {"oxidation", "carbon_fraction"} else float("inf")
        if not 0.0 <= one.value <= limit:
            raise FuelError("bounds", name=name, value=one.value, limit=limit)
    if lot.biomass_fraction and not 0.0 <= lot.biomass_fraction.value <= 1.0:
        raise FuelError("bounds", name="biomass_fraction", value=lot.biomass_fraction.value, limit=1.0)
    if lot.end <= lot.start:
        raise FuelError("times", fuel=lot.fuel)


def _one_scale(budget: Budget) -> Budget:
    """All lots pass one scale: the error of the amount is common to them, whoever read it."""
    return Budget(tuple(_of_scale(term) if term.name.startswith("amount: ") else term for term in budget.terms))


def _of_scale(term: Term) -> Term:
    return replace(term, name="amount: scale", over_time="common")
