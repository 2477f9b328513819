"""What a person should know of a cylinder before its gas makes wrong numbers."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from calibration.standards.cylinder import Cylinder
from calibration.standards.scale import families

Kind = Literal["expires", "expired", "low", "scale", "absent"]


class Caution(NamedTuple):
    """`kind`, and what tells of it: `days` left (negative: since), `bar` and its limit, the scales that differ."""

    kind: Kind
    detail: Mapping[str, object]


def cautions(cylinder: Cylinder, now: datetime) -> list[Caution]:
    """Of one cylinder in its place: the end of its certificate, its pressure, whether it is there."""
    row, found = cylinder.row, []
    if not cylinder.in_use:
        found.append(Caution("absent", {"removed": str(row.retired or row.removed or "")}))
    if (last := cylinder.expires) is not None:
        days = (last - now.date()).days
        if days <= row.warn_days:
            found.append(Caution("expired" if days < 0 else "expires", {"expires": last.isoformat(), "days": days}))
    if cylinder.pressures and cylinder.pressures[-1].bar < row.low_bar:
        found.append(Caution("low", {"bar": cylinder.pressures[-1].bar, "limit_bar": row.low_bar}))
    return found


def mismatch(gases: Iterable[tuple[str, float, str]]) -> Caution | None:
    """Of (name, assigned value, scale) of one measurand in one sequence: scales that may not stand in one fit.

    A gas without the measurand (value 0) is on every scale.
    """
    on = [(name, scale) for name, value, scale in gases if value != 0.0]
    different = families(scale for _, scale in on)
    if len(different) < 2:
        return None
    return Caution("scale", {"scales": dict(on)})
