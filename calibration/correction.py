"""Coefficients of a series, and the one step that makes a Measurement of a Reading.

The correction is `value = (indication - zero) * slope`, or the polynomial `beta` of a run with three or more gases,
plus terms of other measurands of the same scan where a table has any: `zero` is the indication at which the corrected
value is 0, in the unit of the series, `slope` has no unit. A series without coefficients is passed on as it came
(identity); that is always so for a regulated series, whose analyzer is adjusted and whose data are not (design, section
13.1).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from calibration.density import AtDensity, at_density_of
from metrology.periods import parse_iso
from metrology.quality import Cause, Mark
from metrology.reading import Measurement, Reading

# Readings still to come, or replayed after a restart, reach back over an average's period; older ones stay in the log.
PREVIOUS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Term:
    """What a value gains for each unit by which another measurand of the same scan exceeds `centre`."""

    measurand: str
    per_unit: float
    centre: float


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A correction of one series from an instant on (aware UTC); before it, `previous` holds.

    With `beta` (powers of the indication, low to high) that is what corrects; of a line, `zero` and `slope` say the
    same, of a parabola they say nothing. With `density` indications are brought to it first. `expired` are numbers of
    cylinders that had expired when they were read.
    """

    id: str
    series: str
    zero: float
    slope: float
    valid_from: datetime
    previous: "Coefficients | None" = None
    terms: tuple[Term, ...] = ()
    beta: tuple[float, ...] = ()
    density: AtDensity | None = None
    expired: tuple[str, ...] = ()

    @property
    def is_line(self) -> bool:
        """True where zero and slope say all."""
        return len(self.beta) <= 2

    def correct(self, indication: float) -> float:
        """Value without the terms, in the unit of the indication. A polynomial is evaluated as Horner does."""
        if not self.beta:
            return (indication - self.zero) * self.slope
        value = 0.0
        for one in reversed(self.beta):
            value = value * indication + one
        return value

    def fields(self) -> dict[str, float]:
        """Zero and slope for a record, where they mean something."""
        return {"zero": self.zero, "slope": self.slope} if self.is_line else {}

    def at(self, instant: datetime) -> "Coefficients | None":
        """The coefficients valid at an instant; None is identity."""
        return next((one for one in self.back() if one.valid_from <= instant), None)

    def back(self) -> "Iterator[Coefficients]":
        """These and those before them, the newest first."""
        one: Coefficients | None = self
        while one is not None:
            yield one
            one = one.previous


def of_curve(name: str, series: str, beta: tuple[float, ...], valid_from: datetime) -> Coefficients:
    """Coefficients of a polynomial; the slope of a line is not 0."""
    zero, slope = (-beta[0] / beta[1], beta[1]) if len(beta) == 2 else (0.0, 1.0)
    return Coefficients(name, series, zero, slope, valid_from, beta=beta)


def coefficients_of(fields: Mapping[str, Any]) -> Coefficients:
    """Those of a `coefficients` record of a run, older ones too."""
    name, series, valid_from = fields["id"], fields["series"], parse_iso(fields["from"])
    density, expired = at_density_of(fields.get("density")), expired_among(fields.get("gases", ()))
    if beta := fields.get("beta"):
        return replace(of_curve(name, series, tuple(beta), valid_from), density=density, expired=expired)
    return Coefficients(name, series, fields["zero"], fields["slope"], valid_from, density=density, expired=expired)


def expired_among(gases: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Numbers (names where there is none) of the cylinders behind coefficients that had expired."""
    return tuple(str(one.get("number") or one["gas"]) for one in gases if "expired" in (one.get("cautions") or ()))


def doubted(reading: Reading, expired: Iterable[str]) -> Reading:
    """A reading whose value rests on cylinders that had expired: valid, and said to."""
    marks = [Mark(Cause.EXPIRED, f"cylinder {number}", reading.at) for number in expired]
    return replace(reading, quality=reading.quality.plus(marks)) if marks else reading


def succeed(coefficients: Iterable[Coefficients]) -> Coefficients | None:
    """Chain coefficients of one series by `valid_from`: the newest, the PREVIOUS_MAX before it behind. None of none."""
    newest: Coefficients | None = None
    for one in sorted(coefficients, key=lambda c: c.valid_from)[-1 - PREVIOUS_MAX :]:
        newest = replace(one, previous=newest)
    return newest


def apply(reading: Reading, coefficients: Coefficients | None, scan: Iterable[Reading] = ()) -> Measurement:
    """The measurement of a reading by the coefficients valid at its time; names the ones used, None where identity.

    `scan` holds the readings of the same answer, for density and terms; where one is missing there is no value.
    """
    valid = coefficients.at(reading.at) if coefficients else None
    if valid is None:
        return Measurement(reading, reading.value)
    if reading.value is None:
        return Measurement(reading, None, valid.id)
    indication = brought(reading, valid.density, scan)
    if indication is None:
        return lacking(reading, "cell pressure and temperature", valid.id)
    value = valid.correct(indication)
    if valid.terms:
        around = {one.measurand: one.value for one in scan if one.quality.valid}
        for term in valid.terms:
            found = around.get(term.measurand)
            if found is None:
                return lacking(reading, term.measurand, valid.id)
            value += term.per_unit * (found - term.centre)
    return Measurement(doubted(reading, valid.expired), value, valid.id)


def brought(reading: Reading, density: AtDensity | None, scan: Iterable[Reading]) -> float | None:
    """The indication of a reading at a stated density; None where it, or what that needs, is missing."""
    if reading.value is None or density is None:
        return reading.value
    return density.bring(reading.value, scan)


def lacking(reading: Reading, what: str, name: str) -> Measurement:
    """No value, by coefficients `name`, because `what` is missing in the scan."""
    mark = Mark(Cause.FAULT, f"no {what} to correct by", reading.at)
    return Measurement(replace(reading, quality=reading.quality.plus((mark,))), None, name)
