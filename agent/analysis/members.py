"""What an average was made of: the scans of its period, which of them counted, and why the others did not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from metrology.quality import Cause
from protocols.record import scan_of

Fields = Mapping[str, Any]
# Of each cause so many records are named; all are counted.
NAMED_MAX: Final = 100


@dataclass(slots=True)
class Members:
    """Scans of one series from `start` to before `end` (ISO texts), in the order of the log."""

    series: str
    start: str
    end: str
    count: int = 0
    used: int = 0
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None
    # By (cause, origin): how many, and the records of the first of them.
    excluded: dict[tuple[str, str], list[list[Any]]] = field(default_factory=dict)
    excluded_count: dict[tuple[str, str], int] = field(default_factory=dict)
    altered: list[list[int]] = field(default_factory=list)
    closed: str = ""
    kv: set[str] = field(default_factory=set)

    def take(self, fields: Fields, *, seal: str) -> None:
        """Take a scan record; those of other instruments and times are none of these."""
        instrument, _, measurand = self.series.partition(".")
        if fields["instrument"] != instrument or not self.start <= fields["at"] < self.end:
            return
        if measurand not in fields["values"]:
            return
        place = (fields["epoch"], fields["seq"])
        self.count += 1
        self.first, self.last = self.first or place, place
        if seal == "altered":
            self.altered.append(list(place))
        if kv := fields["status"].get("kv"):
            self.kv.add(str(kv))
        why = self._excluded(fields, measurand)
        if not why:
            self.used += 1
        for one in why:
            self.excluded_count[one] = self.excluded_count.get(one, 0) + 1
            named = self.excluded.setdefault(one, [])
            if len(named) < NAMED_MAX:
                named.append([*place, fields["at"]])

    def close(self, end: str) -> None:
        """A minute was closed: what comes later and belongs before is late."""
        self.closed = max(self.closed, end)

    def _excluded(self, fields: Fields, measurand: str) -> list[tuple[str, str]]:
        reading = next(one for one in scan_of(fields).readings if one.measurand == measurand)
        if fields["at"] < self.closed:
            return [("late", "averaging")]
        if Cause.STALE in reading.quality.causes or not reading.quality.valid:
            return sorted((mark.cause.value, mark.origin) for mark in reading.quality.marks)
        return [("no-value", fields["instrument"])] if reading.value is None else []

    def fields(self) -> dict[str, Any]:
        """As the trace tells it."""
        return {
            "count": self.count,
            "used": self.used,
            "first": self.first,
            "last": self.last,
            "altered": self.altered,
            "excluded": [
                {"cause": cause, "origin": origin, "count": self.excluded_count[cause, origin], "records": records}
                for (cause, origin), records in sorted(self.excluded.items())
            ],
        }


def differences(recorded: Fields, again: Fields) -> list[dict[str, Any]]:
    """Members of an average's row that came out otherwise. Uncertainty and revision are not made of the scans."""
    names = [name for name in sorted({*recorded, *again}) if name not in ("unc", "rev")]
    return [
        {"member": name, "recorded": recorded.get(name), "again": again.get(name)}
        for name in names
        if recorded.get(name) != again.get(name)
    ]
