"""One fill of one cylinder as the register knows it: what is written of it now, and everything ever certified of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple, get_args

from calibration.standards.drift import Certified, DriftFit, drift_fit, parts_on, total
from calibration.standards.stock import Pressure, Stock, stock
from calibration.standards.value import Certificate, Value, day_of, day_text
from metrology.periods import iso, parse_iso

Key = tuple[str, str]
# Which of several certificates counts: the last one; the fit; the fit once there is one to spare (three dates).
Valuation = Literal["auto", "last", "fit"]
Act = Literal["declared", "added", "revalued", "pressure", "installed", "removed", "retired", "assigned", "roles"]
ACTS: Final[frozenset[str]] = frozenset(get_args(Act))
FILL: Final = "A"
WARN_DAYS: Final = 30
# Below it what is adsorbed on the wall comes off and the composition changes (unverified).
LOW_BAR: Final = 20.0
AUTO_FIT_DATES: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """What a record holds of a cylinder: the whole of it after an act. `name` is the station's own word.

    A refill of the same number has another `fill`. `roles` are by measurand; pressures in bar above ambient.
    """

    name: str
    number: str
    fill: str = FILL
    supplier: str = ""
    lot: str = ""
    volume_L: float | None = None
    filling_pressure_bar: float | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    installed: date | None = None
    removed: date | None = None
    retired: date | None = None
    certificate: Certificate | None = None
    pressure: Pressure | None = None
    pressure_series: str | None = None
    valuation: Valuation = "auto"
    warn_days: int = WARN_DAYS
    low_bar: float = LOW_BAR

    @property
    def key(self) -> Key:
        """Number and fill: what is certified."""
        return self.number, self.fill


class Entry(NamedTuple):
    """One act in the history of a cylinder, other than a reading of its gauge."""

    record: tuple[int, int]
    at: datetime
    act: str
    who: str
    reason: str
    name: str
    certificate: str | None


class Kept(NamedTuple):
    """A certificate, the record that brought it, and the day that counts for it: its own, else that of the record."""

    record: tuple[int, int]
    day: date
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A fill with its past. `certificates` in order of their days, `pressures` and `history` in order of time.

    `superseded` are certificates that were written otherwise before. `in_use`: it stands where its name says, no later
    cylinder took the place, and nobody removed it.
    """

    row: Row
    certificates: tuple[Kept, ...]
    superseded: tuple[Kept, ...]
    pressures: tuple[Pressure, ...]
    history: tuple[Entry, ...]
    in_use: bool

    @property
    def measurands(self) -> list[str]:
        """Everything ever certified of it."""
        return list(dict.fromkeys(one for kept in self.certificates for one in kept.certificate.assigned))

    def certified(self, measurand: str) -> list[Certified]:
        """The certifications of a measurand, in order of their days."""
        return [
            Certified(kept.day, kept.certificate.assigned[measurand], self._source(kept.certificate))
            for kept in self.certificates
            if measurand in kept.certificate.assigned
        ]

    def _source(self, certificate: Certificate) -> str:
        return f"cylinder {self.row.number}/{self.row.fill}, certificate {certificate.number}"

    def certificate(self, measurand: str, day: date | None = None) -> Certificate | None:
        """The one that counts on a day for a measurand: the last by then, else the first."""
        found = [kept for kept in self.certificates if measurand in kept.certificate.assigned]
        by_then = [kept for kept in found if day is None or kept.day <= day]
        chosen = (by_then or found[:1])[-1:]
        return chosen[0].certificate if chosen else None

    def fit(self, measurand: str) -> DriftFit | None:
        """Drift of its certified values, those on the scale and in the unit of the last; None without a certificate."""
        found = self._comparable(measurand)
        return drift_fit(found) if found else None

    def _comparable(self, measurand: str) -> list[Certified]:
        """Certifications that may stand in one fit; another scale or unit is another quantity."""
        found = self.certified(measurand)
        return [
            one for one in found if (one.value.scale, one.value.unit) == (found[-1].value.scale, found[-1].value.unit)
        ]

    def by_fit(self, measurand: str) -> bool:
        """True where the drift fit, and not the last certificate, gives the value."""
        dates = len({one.day for one in self._comparable(measurand)})
        return self.row.valuation == "fit" or (self.row.valuation == "auto" and dates >= AUTO_FIT_DATES)

    def parts(self, measurand: str, day: date) -> dict[str, float]:
        """What the uncertainty of the assigned value on a day is made of, by source, signed."""
        found = self._comparable(measurand)
        if self.by_fit(measurand) and found:
            return parts_on(found, drift_fit(found), day)
        certificate = self.certificate(measurand, day)
        return {} if certificate is None else certificate.assigned[measurand].parts(self._source(certificate))

    def value(self, measurand: str, day: date) -> Value | None:
        """Assigned value on a day with its whole standard uncertainty; None where nothing is certified."""
        certificate = self.certificate(measurand, day)
        if certificate is None:
            return None
        given, parts = certificate.assigned[measurand], self.parts(measurand, day)
        if self.by_fit(measurand):
            found = self._comparable(measurand)
            last = found[-1].value
            return Value(drift_fit(found).value(day), last.unit, total(parts), last.scale)
        return Value(given.value, given.unit, total(parts), given.scale)

    @property
    def expires(self) -> date | None:
        """The first day after which a value in use has no valid certificate; None where none ends."""
        found = [one.expires for m in self.measurands if (one := self.certificate(m)) and one.expires]
        return min(found, default=None)

    @property
    def stock(self) -> Stock:
        """What is left of the gas."""
        return stock(self.pressures, self.row.volume_L, self.row.low_bar)


def row_fields(row: Row) -> dict[str, Any]:
    """Members of a record."""
    return {
        "name": row.name,
        "number": row.number,
        "fill": row.fill,
        "supplier": row.supplier,
        "lot": row.lot,
        "volume_L": row.volume_L,
        "filling_pressure_bar": row.filling_pressure_bar,
        "roles": dict(row.roles),
        "installed": day_text(row.installed),
        "removed": day_text(row.removed),
        "retired": day_text(row.retired),
        "certificate": row.certificate.fields() if row.certificate else None,
        "pressure": {"at": iso(row.pressure.at), "bar": row.pressure.bar} if row.pressure else None,
        "pressure_series": row.pressure_series,
        "valuation": row.valuation,
        "warn_days": row.warn_days,
        "low_bar": row.low_bar,
    }


def row_of(fields: Mapping[str, Any]) -> Row:
    """From members of a record. Raises KeyError, ValueError where they make no row."""
    certificate, pressure = fields.get("certificate"), fields.get("pressure")
    valuation = next((one for one in get_args(Valuation) if one == fields.get("valuation", "auto")), None)
    if valuation is None:
        raise ValueError(f"valuation {fields['valuation']}: one of {', '.join(get_args(Valuation))}")
    return Row(
        str(fields["name"]),
        str(fields["number"]),
        str(fields.get("fill") or FILL),
        str(fields.get("supplier") or ""),
        str(fields.get("lot") or ""),
        fields.get("volume_L"),
        fields.get("filling_pressure_bar"),
        dict(fields.get("roles") or {}),
        day_of(fields.get("installed")),
        day_of(fields.get("removed")),
        day_of(fields.get("retired")),
        Certificate.of(certificate) if certificate else None,
        Pressure(parse_iso(pressure["at"]), float(pressure["bar"])) if pressure else None,
        fields.get("pressure_series"),
        valuation,
        int(fields.get("warn_days", WARN_DAYS)),
        float(fields.get("low_bar", LOW_BAR)),
    )
