"""Review levels of data: raw until a person has checked them at the station, approved when another word was given.

A sign-off is a record of its own beside the data. A later one holds over an earlier one for the time both cover; the
level of a longer span is that of its least reviewed part.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast

from metrology.periods import iso, parse_iso

Level = Literal["raw", "station-checked", "approved"]
LEVELS: Final[tuple[Level, ...]] = ("raw", "station-checked", "approved")


@dataclass(frozen=True, slots=True)
class SignOff:
    """`who` gave [start, end) of some series a level (all series where `series` is empty), when and why."""

    at: datetime
    start: datetime
    end: datetime
    series: tuple[str, ...]
    level: Level
    who: str
    reason: str

    def covers(self, series: str, instant: datetime) -> bool:
        """Whether it speaks of a series at an instant."""
        return self.start <= instant < self.end and (not self.series or series in self.series)

    def fields(self) -> dict[str, Any]:
        """Members of its record beside `what` and `origin`, which names the person."""
        return {
            "from": iso(self.start), "to": iso(self.end), "series": list(self.series), "level": self.level,
            "reason": self.reason,
        }  # fmt: skip

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "SignOff":
        """From its event record."""
        return cls(
            parse_iso(fields["t"]), parse_iso(fields["from"]), parse_iso(fields["to"]), tuple(fields["series"]),
            cast(Level, fields["level"]), fields["origin"], fields["reason"],
        )  # fmt: skip


def level(signed: Iterable[SignOff], series: str, start: datetime, end: datetime) -> Level:
    """The level of [start, end) of a series by sign-offs in the order of their making."""
    ours = [one for one in signed if not one.series or series in one.series]
    cuts = sorted({start, *(cut for one in ours for cut in (one.start, one.end) if start < cut < end)})
    return min((_at(ours, series, cut) for cut in cuts), key=LEVELS.index)


def _at(signed: list[SignOff], series: str, instant: datetime) -> Level:
    return next((one.level for one in reversed(signed) if one.covers(series, instant)), "raw")
