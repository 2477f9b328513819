"""Recorded rows through the calibration chain: minute means by source, then calibrated averages of the air."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.recorded.rules import Rules
from agent.recorded.tanks import Tanks
from calibration.chain.calibrate import calibrate
from calibration.chain.data import AIR, Finding, Minute, Reference, Result, Standard, Tank, Target
from calibration.models.rules import Rules as Dated
from calibration.recorded.averaging import GOOD, Average
from calibration.recorded.total import Total
from calibration.sequence import Assigned
from metrology.recorded import MINUTE, SECOND, Row

# The chain needs its whole interval at once: a year of minutes, and what bounds the memory.
MINUTES_MAX: Final = 530_000
MIXED: Final = "between"
CALIBRATED: Final = "_cal"
_ROLES: Final = {"reference": Reference, "standard": Standard, "target": Target}
_WATER: Final = "h2o_reported"


class ChainError(ValueError):
    """Why rows cannot be calibrated."""


class _Minute:
    __slots__ = ("source", "totals")

    def __init__(self, source: str) -> None:
        self.source = source
        self.totals: dict[str, Total] = {}


class Chain:
    """Gathers the minutes of a run; `results` calibrates every species for which a standard has an assigned value."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._gases = Tanks(rules.standards, "gases")
        self._minutes: dict[int, _Minute] = {}
        self.species = sorted({species for one in rules.standards.values() for species in one.assigned})
        self.told: dict[str, Any] = {}

    def add(self, row: Row) -> None:
        """Take one row. Raises ChainError for more than a year of minutes."""
        key = row.at // MINUTE
        gas = row.gas or ""
        tank = self._gases.at(gas, row.at)
        source = (tank[0] if tank else gas) or AIR
        minute = self._minutes.get(key)
        if minute is None:
            if len(self._minutes) >= MINUTES_MAX:
                raise ChainError(f"{MINUTES_MAX} min")
            minute = self._minutes[key] = _Minute(source)
        elif minute.source != source:
            minute.source = MIXED
        for sample in row.samples:
            if sample.value is not None and sample.cause is None:
                minute.totals.setdefault(sample.species, Total()).add(sample)

    def results(self, period: int) -> Iterator[Average]:
        """Calibrated averages over periods of `period` microseconds; what the chain found is left in `told`."""
        for species in self.species:
            found = calibrate(
                list(self._of(species)),
                list(self._tanks(species)),
                Dated(self._rules.dated, gas=species),
                period_s=period / SECOND,
            )
            self.told[species] = _told(found)
            for one in found.periods:
                words = ";".join(sorted(flag.value for flag in one.flags)) or GOOD
                yield Average(round(one.start_s * SECOND), species + CALIBRATED, one.value, one.sd, one.n, words)

    def _of(self, species: str) -> Iterator[Minute]:
        for key in sorted(self._minutes):
            minute = self._minutes[key]
            own, water = minute.totals.get(species, Total()), minute.totals.get(_WATER)
            yield Minute(
                at_s=key * MINUTE / SECOND,
                source=minute.source,
                value=own.mean if own.n else None,
                sd=own.sd,
                n=max(own.n, 1),
                water=water.mean if water is not None and water.n else None,
            )

    def _tanks(self, species: str) -> Iterator[Tank]:
        for name, one in self._rules.standards.items():
            value = one.assigned.get(species)
            assigned = None if value is None else Assigned(value.value, value.unit, value.uncertainty, value.scale)
            if assigned is not None or one.role == "reference":
                times = [at / SECOND for at in (one.expired, one.begin, one.end)]
                yield _ROLES[one.role](name, assigned, one.number, *times)


def _told(found: Result) -> Mapping[str, Any]:
    """What is worth knowing of a calibration, as JSON."""
    valid = sorted(one.budget.total for one in found.periods if one.valid)
    return {
        "calibrations": sum(not one.rejected for one in found.responses),
        "rejected": [one.rejected for one in found.responses if one.rejected],
        "checks": [{"at_s": one.at_s, "tank": one.tank.label, "bias": one.bias, "passed": one.passed}
                   for one in found.checks],
        "periods": len(valid),
        "uncertainty": valid[len(valid) // 2] if valid else None,
        "findings": [_finding(one) for one in found.findings],
    }  # fmt: skip


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "what": one.what, "about": one.about, "from_s": one.from_s, "to_s": one.to_s, "size": one.size,
        "half_width": one.half_width, "unit": one.unit, "text": one.text,
    }  # fmt: skip
