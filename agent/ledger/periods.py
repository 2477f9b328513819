"""Time along a log: every minute has its average or a gap that tells of it, and time goes on.

A station that was off says so by a `gap` record at its next start; a clock that was set says so by `clock-step`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from metrology.periods import MINUTE_S, iso, parse_iso

# Records from a step of the clock to the event that tells of it.
STEP_RECORDS: Final = 200
# After a longer step back, or a start so far before the last period, averages go on at the new time (decision 12).
BACK_S: Final = 3600.0
GAPS_MAX: Final = 1_000
# A new epoch tells of the damage before it among its first records.
TELLING: Final = 50

Fields = Mapping[str, Any]
Found = tuple[str, dict[str, Any]]


class Periods:
    """Takes decoded records in order; gives what is missing or goes backwards."""

    def __init__(self) -> None:
        self._end: datetime | None = None
        self._gaps: list[tuple[datetime, datetime]] = []
        self._last = ""
        self._back: tuple[int, str, str] | None = None
        self._stepped = -STEP_RECORDS
        self._count = 0
        self._telling: tuple[int, int] | None = None
        self.unexplained_epochs: set[int] = set()

    def begin(self, epoch: int) -> None:
        """An epoch begins; all but the first have a reason, which the log tells."""
        if epoch > 1:
            self.unexplained_epochs.add(epoch)
            self._telling = epoch, self._count

    def take(self, fields: Fields) -> Iterator[Found]:
        """Look at the next record."""
        self._count += 1
        kind, what = fields["kind"], fields.get("what")
        if kind == "event" and what == "clock-step":
            self._stepped, self._back = self._count, None
            at = parse_iso(fields["at"])
            self._take_gap(at - timedelta(seconds=max(0.0, fields["step_s"])), at)
            if fields["step_s"] < -BACK_S:
                self._end = None
        elif kind == "gap":
            self._take_gap(parse_iso(fields["from"]), parse_iso(fields["to"]))
            self._back = None
            if self._end is not None and parse_iso(fields["t"]) < self._end - timedelta(seconds=BACK_S):
                self._end = None
        self._explained(kind, what)
        # A clock that nobody believed dates nothing; its records are mapped later.
        if fields.get("clk") == "R":
            return
        if fields["t"] < self._last and self._count - self._stepped >= STEP_RECORDS and kind != "gap":
            self._back = self._back or (self._count, self._last, fields["t"])
        self._last = fields["t"]
        if self._back and self._count - self._back[0] >= STEP_RECORDS:
            yield "time-back", {"from": self._back[1], "to": self._back[2]}
            self._back = None
        if kind == "average" and fields["period_s"] == MINUTE_S and _first(fields):
            yield from self._minute(parse_iso(fields["start"]), parse_iso(fields["end"]))

    def _explained(self, kind: str, what: object) -> None:
        if self._telling is None:
            return
        epoch, since = self._telling
        if kind == "event" and what in ("log-damaged", "log-salvaged", "key-lost", "station-replaced"):
            self.unexplained_epochs.discard(epoch)
        if self._count - since > TELLING:
            self._telling = None

    def _take_gap(self, since: datetime, until: datetime) -> None:
        if until > since and len(self._gaps) < GAPS_MAX:
            self._gaps.append((since, until))

    def _minute(self, start: datetime, end: datetime) -> Iterator[Found]:
        if self._end is not None and start > self._end:
            missing = list(self._untold(self._end, start))
            if missing:
                last = missing[-1] + timedelta(seconds=MINUTE_S)
                yield "periods-missing", {"from": iso(missing[0]), "to": iso(last), "minutes": len(missing)}
        if self._end is None or end > self._end:
            self._end = end
            self._gaps = [gap for gap in self._gaps if gap[1] > end]

    def _untold(self, at: datetime, until: datetime) -> Iterator[datetime]:
        """Minutes that no gap touches."""
        minute = timedelta(seconds=MINUTE_S)
        while at < until:
            gap = next((one for one in self._gaps if one[0] < at + minute and one[1] > at), None)
            if gap is None:
                yield at
                at += minute
            else:
                at += max(minute, (gap[1] - at) // minute * minute)


def _first(fields: Fields) -> bool:
    return "recompute" not in fields
