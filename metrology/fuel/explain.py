"""What could explain that the account and the measurement differ, and how much of it.

Two sorts of answers. *Known*: the books or the hours say so (downtime, substitution, limestone, biomass, bypass); the
amount is theirs. *Possible*: a quantity is uncertain; the amount is k times what its uncertainty can do, and `needed`
is by how much it would have to be off to explain all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from metrology.budget import Budget
from metrology.stack.tables import molar_mass_g_mol

Cause = Literal[
    "downtime", "substitution", "limestone", "bypass", "biomass", "flow", "humidity", "concentration", "measurement",
    "fuel", "unbooked-limestone",
]  # fmt: skip
HUMIDITY: Final = "moisture_fraction"
CONCENTRATION: Final = "concentration"
FLOW: Final = frozenset({
    "flow", "area_m2", "kv", "pitot_coefficient", "differential_pressure_Pa", "standard_density_kg_m3",
    "point_velocity_m_s", "temperature_degC", "static_pressure_Pa", "barometer_Pa",
})  # fmt: skip
LEAST_T: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Explanation:
    """One cause. `amount_t`: signed and certain where `known` (what it adds to measured less expected), else the most
    it can do at k, either way. `enough`: it alone could explain the difference in the hours that were measured.
    `needed`: quantity, change and unit that would explain it, for causes that have one.
    """

    cause: Cause
    known: bool
    amount_t: float
    enough: bool
    needed: tuple[str, float, str] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a period; t of CO2, `ran` in hours, `covered_part` of them with a valid amount."""

    expected_t: float
    measured_t: float
    covered_t: float
    covered_part: float
    substituted_t: float
    substituted_hours: int
    process_t: float
    bypass_t: float
    biogenic_t: float
    ran: int
    k: float
    moisture_fraction: float | None
    co2_percent: float | None


def explain(facts: Facts, stack: Budget, books: Budget) -> tuple[Explanation, ...]:
    """All causes that apply, the greatest first; `stack` and `books` are the budgets of both sides in t."""
    found = [*_known(facts), *_possible(facts, stack, books)]
    return tuple(sorted(found, key=lambda one: -abs(one.amount_t)))


def _known(facts: Facts) -> list[Explanation]:
    missed = (1.0 - facts.covered_part) * facts.expected_t if facts.ran else facts.expected_t
    # What was filled in, less what the books put into those hours.
    booked = facts.expected_t * facts.substituted_hours / facts.ran if facts.ran else 0.0
    found: list[tuple[Cause, float]] = [
        ("downtime", booked - missed),
        ("substitution", facts.substituted_t - booked),
        # What is in `expected` already: without it the difference would be larger by so much.
        ("limestone", facts.process_t),
        ("bypass", -facts.bypass_t),
        ("biomass", facts.biogenic_t),
    ]
    return [Explanation(cause, True, amount, False) for cause, amount in found if abs(amount) > LEAST_T]


def _possible(facts: Facts, stack: Budget, books: Budget) -> list[Explanation]:
    if not facts.measured_t:
        return []
    # The measured would have to be this much larger (in parts of itself) to equal the expected.
    off = -facts.covered_t / facts.measured_t
    humidity = None
    if facts.moisture_fraction is not None:
        humidity = ("moisture", -off * (1.0 - facts.moisture_fraction) * 100.0, "% absolute")
    concentration = ("CO2", off * 100.0, "% relative")
    if facts.co2_percent is not None:
        concentration = ("CO2", off * facts.co2_percent, "% absolute")
    fuel_off = facts.covered_t / (facts.covered_part * facts.expected_t) if facts.expected_t else 0.0
    found = [
        _bound("flow", facts, _part(stack, _is_flow), ("flow", off * 100.0, "% relative")),
        _bound("humidity", facts, _part(stack, lambda name: name.startswith(HUMIDITY)), humidity),
        _bound("concentration", facts, _part(stack, lambda name: name.startswith(CONCENTRATION)), concentration),
        _bound("measurement", facts, _part(stack, _is_whole), None),
        _bound("fuel", facts, facts.covered_part * books.total, ("fuel carbon", fuel_off * 100.0, "% relative")),
    ]
    if facts.covered_t > 0.0:
        needed = facts.covered_t * molar_mass_g_mol("caco3") / molar_mass_g_mol("co2")
        found.append(Explanation("unbooked-limestone", False, facts.covered_t, False, ("limestone", needed, "t")))
    return [one for one in found if one.amount_t]


def _bound(cause: Cause, facts: Facts, u_t: float, needed: tuple[str, float, str] | None) -> Explanation:
    most = facts.k * u_t
    return Explanation(cause, False, most, most >= abs(facts.covered_t), needed)


def _is_flow(name: str) -> bool:
    """Whether a term is of an input that makes the flow (`metrology.stack.emission_budget.chain`)."""
    return name.partition(":")[0] in FLOW


def _is_whole(name: str) -> bool:
    """Whether a term is of the measurement as a whole: nobody says of which part."""
    return name.partition(":")[0] not in {*FLOW, HUMIDITY, CONCENTRATION}


def _part(budget: Budget, belongs: Callable[[str], bool]) -> float:
    return math.hypot(*(term.u for term in budget.terms if belongs(term.name)))
