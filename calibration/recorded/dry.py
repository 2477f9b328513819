"""Dry mole fractions of recorded rows: the wet value last renewed, on the row where the water is fresh."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from calibration.water import CH4, CO2, dilution
from metrology.recorded import MINUTE, Row, Sample

# A wet value that a row does not show again and that is older than this belongs to other air than the water.
AGE_MAX: Final = MINUTE
# Sets of species looked at in one run.
_SEEN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Correction:
    """`dry` is made of `wet` by `form(wet, water)`; `dry` and `wet` are in one unit, water in that of the form."""

    wet: str
    water: str
    dry: str
    form: Callable[[float, float], float]


def quadratic(linear: float, square: float) -> Callable[[float, float], float]:
    """`wet / (1 + linear h + square h^2)`, h in percent (Rella et al. 2013); ValueError where that is not above 0."""

    def dry(wet: float, h: float) -> float:
        below = 1.0 + linear * h + square * h * h
        if not below > 0.0:
            raise ValueError(f"water {h} %")
        return wet / below

    return dry


def by_dilution(unit: str) -> Callable[[float, float], float]:
    """`wet / (1 - w)`, exact; `unit` of the water is `%` or `mmol/mol`. ValueError where w is not within 0 to 1."""
    share = {"%": 1e-2, "mmol/mol": 1e-3}[unit]
    # Noise about 0 of a dry gas must not make a value fail.
    return lambda wet, water: dilution(wet, water * share) if water >= 0.0 else wet / (1.0 - water * share)


RELLA_CO2: Final = quadratic(*CO2)
RELLA_CH4: Final = quadratic(*CH4)


class Drying:
    """Adds the dry values to rows, made of the water just renewed and the wet value last renewed.

    Where the file has a dry value of its own, that one stays, unless `instead` says otherwise. `told` makes corrections
    of the species that a row has, for files whose names are not known before.
    """

    def __init__(
        self,
        corrections: Sequence[Correction],
        *,
        instead: bool = False,
        told: Callable[[Sequence[str]], Sequence[Correction]] | None = None,
    ) -> None:
        self._corrections = list(corrections)
        self._instead = instead
        self._told = told
        self._seen: set[tuple[str, ...]] = set()
        self._wets = {one.wet for one in corrections}
        self._last: dict[str, tuple[Sample, int]] = {}

    def add(self, row: Row) -> Row:
        """The row with its dry samples. A wet value older than `AGE_MAX` gives none."""
        if self._told is not None:
            self._look(tuple(sample.species for sample in row.samples), self._told)
        if not self._corrections:
            return row
        here = {sample.species: sample for sample in row.samples}
        self._last.update((name, (here[name], row.at)) for name in self._wets & here.keys())
        for one in self._corrections:
            water = here.get(one.water)
            if self._instead and one.dry in here:
                row.samples.remove(here[one.dry])
            elif one.dry in here:
                continue
            if water is not None and water.value is not None:
                self._put(row, one, water.value)
        return row

    def _look(self, names: tuple[str, ...], told: Callable[[Sequence[str]], Sequence[Correction]]) -> None:
        if names not in self._seen and len(self._seen) < _SEEN_MAX:
            self._seen.add(names)
            known = {one.dry for one in self._corrections}
            self._corrections += [one for one in told(names) if one.dry not in known]
            self._wets = {one.wet for one in self._corrections}

    def _put(self, row: Row, one: Correction, water: float) -> None:
        # A row that repeats the wet value shows the analyzer's last one, also where the row that renewed it is not in
        # the file, or was refused.
        shown = next((sample for sample in row.repeated if sample.species == one.wet), None)
        wet, at = self._last.get(one.wet, (None, row.at)) if shown is None else (shown, row.at)
        if wet is None or wet.value is None or not 0 <= row.at - at <= AGE_MAX:
            return
        try:
            value = one.form(wet.value, water)
        except ValueError:
            return
        spread = None if wet.sd is None or not wet.value else wet.sd * abs(value / wet.value)
        row.samples.append(Sample(one.dry, value, wet.n, spread, wet.cause))
