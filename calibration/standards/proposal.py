"""From the points that a station recorded in runs to a proposed value of a cylinder, for a named person to accept."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from calibration.models.response import birge
from calibration.standards.cylinder import Cylinder, Key
from calibration.standards.register import Register
from calibration.standards.scale import families
from calibration.standards.transfer import Assignment, Known, TransferError, assign
from calibration.standards.value import Value
from calibration.standards.visits import Visit
from metrology.periods import parse_iso
from metrology.units import UnitError, convert

Fields = Mapping[str, Any]
# A target gas checks and never fits; an unknown one has nothing to give.
GIVING: Final = frozenset({"zero", "span", "standard"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """Of one cylinder and measurand, the mean of one or more runs; `doubts` are for who accepts it."""

    number: str
    fill: str
    measurand: str
    series: str
    runs: tuple[str, ...]
    day: date
    value: Value
    u_readings: float
    assignments: tuple[Assignment, ...]
    doubts: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """Members of a record and of answers."""
        return {
            "number": self.number,
            "fill": self.fill,
            "measurand": self.measurand,
            "series": self.series,
            "runs": list(self.runs),
            "day": self.day.isoformat(),
            "value": self.value.fields(),
            "u_readings": self.u_readings,
            "fits": [_fit_fields(one) for one in self.assignments],
            "doubts": list(self.doubts),
        }


def _fit_fields(one: Assignment) -> dict[str, Any]:
    return {
        "value": one.value,
        "u": one.u,
        "intercept": one.intercept,
        "slope": one.slope,
        "chi_square": one.chi_square,
        "dof": one.dof,
        "bracket": one.bracket,
        "residuals": dict(one.residuals),
        "budget": [{"name": term.name, "u": term.u, "share": share, "over_time": term.over_time, "source": term.source}
                   for term, share in one.budget.by_weight()],
    }  # fmt: skip


def proposed(points: Iterable[Fields], register: Register, unknown: Cylinder, series: str) -> Proposal:
    """What the point records of runs say of a cylinder. Raises TransferError where they say nothing, and why.

    Unsteady points are left out; the value the cylinder has so far plays no part.
    """
    by_run: dict[str, list[Fields]] = {}
    for one in points:
        if one["series"] == series and one.get("stable") and one.get("sd") is not None and one["n"] > 1:
            by_run.setdefault(str(one["run"]), []).append(one)
    if not by_run:
        raise TransferError(f"no steady point of {series}")
    found = [_of_run(rows, register, unknown) for rows in by_run.values()]
    units = {str(row["unit"]) for rows in by_run.values() for row in rows}
    scales = sorted({scale for _, known in found for scale in known})
    if len(units) > 1 or len(families(scales)) > 1:
        raise TransferError(f"{series}: {', '.join(sorted(units))}; known cylinders on {', '.join(scales)}")
    assignments = [one for one, _ in found]
    day = max(parse_iso(row["to"]) for rows in by_run.values() for row in rows).date()
    shares, readings = _mean(assignments)
    whole = Value(
        math.fsum(one.value for one in assignments) / len(assignments), units.pop(),
        math.hypot(readings, *shares.values()), scales[0], shares=shares,
    )  # fmt: skip
    doubts = dict.fromkeys(doubt for one in assignments for doubt in one.doubts)
    return Proposal(
        unknown.row.number, unknown.row.fill, series.partition(".")[2], series, tuple(by_run), day, whole, readings,
        tuple(assignments), tuple(doubts),
    )  # fmt: skip


def _mean(found: Sequence[Assignment]) -> tuple[dict[str, float], float]:
    """Shares and readings' part of the mean of runs: the former stay, the latter shrink as far as the runs agree."""
    n = len(found)
    sources = dict.fromkeys(source for one in found for source in one.shares)
    shares = {source: math.fsum(one.shares.get(source, 0.0) for one in found) / n for source in sources}
    middle = math.fsum(one.value for one in found) / n
    u = math.hypot(*(one.u_readings for one in found)) / n
    if n < 2 or not u:
        return shares, u
    square = math.fsum(((one.value - middle) / one.u_readings) ** 2 for one in found if one.u_readings)
    return shares, u * math.sqrt(birge(square, n - 1))


def _of_run(rows: Sequence[Fields], register: Register, unknown: Cylinder) -> tuple[Assignment, set[str]]:
    """One run, and the scales of the cylinders that gave it."""
    known: dict[str, Known] = {}
    visits, scales = [], set()
    label = _label(unknown.row.key)
    for row in rows:
        cylinder = _cylinder(row, register)
        if cylinder is None or (cylinder.row.key != unknown.row.key and row["role"] not in GIVING):
            continue
        at, name = parse_iso(row["to"]), _label(cylinder.row.key)
        if name != label:
            value, known[name] = _known(cylinder, row, at.date())
            scales.add(value.scale)
        visits.append(Visit(name, at.timestamp(), float(row["mean"]), float(row["sd"]) / math.sqrt(row["n"])))
    return assign(visits, known, label), scales


def _cylinder(row: Fields, register: Register) -> Cylinder | None:
    if "number" in row:
        return register.found(str(row["number"]), str(row.get("fill") or "") or None)
    return register.named(str(row["gas"]))


def _label(key: Key) -> str:
    return "/".join(key)


def _known(cylinder: Cylinder, row: Fields, day: date) -> tuple[Value, Known]:
    """Its assigned value on the day of the run, in the unit of the readings."""
    measurand, unit = str(row["series"]).partition(".")[2], str(row["unit"])
    value = cylinder.value(measurand, day)
    if value is None:
        raise TransferError(f"cylinder {_label(cylinder.row.key)} has no assigned value of {measurand}")
    try:
        amount = convert(value.value, value.unit, unit)
        parts = {source: convert(part, value.unit, unit) for source, part in cylinder.parts(measurand, day).items()}
    except UnitError as error:
        raise TransferError(f"cylinder {_label(cylinder.row.key)}: {error}") from error
    return value, Known(amount, parts)
