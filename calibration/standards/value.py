"""Assigned values and certificates, as data and as members of records.

The standard uncertainty of a value is the root of the sum of squares of what it shares with other values (by source,
signed: how much the value moves when the source is off by one standard uncertainty) and of a remainder of its own. So
values that descend from the same primary stay correlated however long the chain (JCGM 102:2011, 6.2; JCGM 100:2008,
F.1.2.3).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from calibration.standards.scale import traceable

Parts = Mapping[str, float]


# No gas is less, but for nothing at all, or more in any unit; squares of these are numbers still.
NUMBER_MIN: Final = 1e-15
NUMBER_MAX: Final = 1e15


@dataclass(frozen=True, slots=True)
class Value:
    """Certified amount of one measurand. `uncertainty` is standard (k = 1), as the certificate states it (type B).

    `u_measurement` is the reproducibility of this one certification, `repeat_sd` the spread of its repeats, which
    stands in where the former is not known. `shares` is the part of `uncertainty` that has named sources.
    """

    value: float
    unit: str
    uncertainty: float
    scale: str
    u_measurement: float | None = None
    repeat_sd: float | None = None
    shares: Parts = field(default_factory=dict)

    def __post_init__(self) -> None:
        traceable(self.scale)
        numbers = (self.value, self.uncertainty, self.u_measurement or 0.0, self.repeat_sd or 0.0)
        if not all(one == 0.0 or NUMBER_MIN <= abs(one) <= NUMBER_MAX for one in numbers) or min(numbers[1:]) < 0.0:
            raise ValueError(
                f"value {self.value}, uncertainty {self.uncertainty}: not both are numbers of a certificate"
            )

    @property
    def u(self) -> float:
        """Combined standard uncertainty of this certification: type B and that of the measurement."""
        measured = self.repeat_sd if self.u_measurement is None else self.u_measurement
        return math.hypot(self.uncertainty, measured or 0.0)

    def parts(self, own: str) -> dict[str, float]:
        """All contributions by source; what is the value's own goes by the name `own`."""
        remainder = self.u**2 - math.fsum(one * one for one in self.shares.values())
        return {**self.shares, own: math.sqrt(max(0.0, remainder))}

    def fields(self) -> dict[str, Any]:
        """Members of a record; what is not known is absent."""
        head = {"value": self.value, "unit": self.unit, "uncertainty": self.uncertainty, "scale": self.scale}
        more = {"u_measurement": self.u_measurement, "repeat_sd": self.repeat_sd, "shares": dict(self.shares) or None}
        return head | {name: one for name, one in more.items() if one is not None}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Value":
        """From members of a record, or a block of a configuration. Raises ScaleError, ValueError."""
        return cls(
            float(fields["value"]),
            str(fields["unit"]),
            float(fields["uncertainty"]),
            str(fields["scale"]),
            fields.get("u_measurement"),
            fields.get("repeat_sd"),
            dict(fields.get("shares") or {}),
        )


@dataclass(frozen=True, slots=True)
class Certificate:
    """What somebody certified of a cylinder on a day. It need not tell of all its measurands."""

    number: str
    certified: date | None
    expires: date | None
    assigned: Mapping[str, Value]

    def fields(self) -> dict[str, Any]:
        """Members of a record."""
        return {
            "number": self.number,
            "certified": day_text(self.certified),
            "expires": day_text(self.expires),
            "assigned": {measurand: one.fields() for measurand, one in self.assigned.items()},
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Certificate":
        """From members of a record. Raises ScaleError, ValueError."""
        assigned = {str(measurand): Value.of(one) for measurand, one in fields["assigned"].items()}
        return cls(str(fields["number"]), day_of(fields["certified"]), day_of(fields["expires"]), assigned)


def day_text(day: date | None) -> str | None:
    """As records have it."""
    return None if day is None else day.isoformat()


def day_of(text: str | None) -> date | None:
    """The day of a text, None of none. Raises ValueError."""
    return None if text is None else date.fromisoformat(text)
