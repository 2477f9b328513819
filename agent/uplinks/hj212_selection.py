"""What of the log and of the latest values one platform gets, by its profile."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from agent.config_hj212 import Hj212Uplink
from agent.store.log import Record
from agent.uplinks.hj212_checkpoints import CarriedCheckpoints
from agent.uplinks.hj212_entries import Entry
from agent.uplinks.hj212_info import LINES, Information
from agent.uplinks.hj212_past import Averages, Past, Period
from agent.uplinks.hj212_treatment import Treatment
from metrology.periods import DAY_S, HOUR_S, MINUTE_S, parse_iso, period_start
from metrology.reading import Measurement
from metrology.units import UnitError
from protocols.hj212.factors import Factor, factor
from protocols.hj212.information import check_items, information_items
from protocols.hj212.link_commands import StationState
from protocols.hj212.message import Item
from protocols.hj212.profile import Edition
from protocols.hj212.uploads import CN_OF_PERIOD, average_items, realtime_item

PERIODS: Final = {"minute": MINUTE_S, "hour": HOUR_S, "day": DAY_S}
# A value older than this (or than two intervals) is not called real-time: letter B, no number.
SILENT_S: Final = 900.0
CHECK: Final = "standard-check"
# The last minute before a stop is looked for so far back.
LOOK_BACK: Final = timedelta(days=366)

Upload = tuple[str, datetime, tuple[Item, ...]]


class Selection:
    """Turns records and latest values into data areas by a platform's profile.

    Raises KeyError or UnitError at once for a factor that cannot be had from its series.
    """

    def __init__(
        self,
        config: Hj212Uplink,
        state: StationState,
        past: Past,
        treatment: Treatment,
        information: Information,
        *,
        simulated_allowed: bool,
        checkpoints: CarriedCheckpoints | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._factors: Sequence[Factor] = [
            factor(
                code,
                f.series,
                unit=f.unit,
                decimals=f.decimals,
                state=f.state,
                converted=f.converted,
                emission=f.emission,
            )
            for code, f in config.factors.items()
        ]
        self._edition = Edition(config.edition)
        self._periods = {PERIODS[name] for name in config.periods}
        self._state, self._past, self._treatment, self._information = state, past, treatment, information
        self._simulated_allowed = simulated_allowed
        self._last_minute: dict[str, datetime] = {}
        self.problems: Counter[str] = Counter()

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of record that can give an upload."""
        checks = {"calibration"} if self._edition is Edition.HJ2025 else set()
        carried = {"checkpoint"} if self._checkpoints else set()
        return frozenset({"average", *checks, *carried, *(LINES[code][0] for code in self._information.logs)})

    @property
    def minutes_s(self) -> int:
        """What one 2051 covers (CN 1064)."""
        return self._state.minute_min * MINUTE_S

    async def entries(self, record: Record, low: int, stream: str) -> list[Entry]:
        """What to send of a record, nothing where it holds nothing for this platform.

        Revisions and provisional values stay at home (design, section 13.1), and so do simulated records. `stream`
        names the reader: each goes through the minutes in their order.
        """
        fields = record.fields
        if fields.get("sim") and not self._simulated_allowed:
            return []
        if record.kind == "checkpoint":
            uploads = self._checkpoints.uploads(record) if self._checkpoints else []
        elif record.kind == "average":
            uploads = await self._of_average(fields, stream)
        else:
            uploads = self.check(fields) + self._lines(fields)
        found = [Entry(record.epoch, low, record.seq, *upload) for upload in uploads]
        return [replace(entry, part=part, parts=len(found)) for part, entry in enumerate(found)]

    async def _of_average(self, fields: Mapping[str, Any], stream: str) -> list[Upload]:
        period_s, start = fields["period_s"], parse_iso(fields["start"])
        first = {series: a for series, a in self._past.newest([fields]).items() if a.revision == 0}
        if not first:
            return []
        if period_s == MINUTE_S and self.minutes_s > MINUTE_S:
            return await self._of_minutes(start, stream)
        uploads = self.period(period_s, Period(start, first)) if period_s in self._periods else []
        if period_s == DAY_S:
            uploads += await self.run_time(start)
        return uploads

    async def _of_minutes(self, start: datetime, stream: str) -> list[Upload]:
        """The period that this minute ends; and the one before it, where no minute ended that: the station stood."""
        if MINUTE_S not in self._periods:
            return []
        one, length = timedelta(minutes=1), timedelta(seconds=self.minutes_s)
        own = period_start(start, self.minutes_s)
        last, self._last_minute[stream] = self._last_minute.get(stream), start
        uploads: list[Upload] = []
        if last != start - one and (last := last or await self._past.minute_before(start, LOOK_BACK)) is not None:
            before = period_start(last, self.minutes_s)
            if before < own and last + one < before + length:
                uploads += await self._joined(before)
        return uploads + (await self._joined(own) if start + one == own + length else [])

    async def _joined(self, start: datetime) -> list[Upload]:
        found = await self._past.minutes(start, self.minutes_s)
        return self._values("2051", start, found)

    def period(self, period_s: int, period: Period) -> list[Upload]:
        """2051, 2061 or 2031 of a period."""
        cn = CN_OF_PERIOD.get(period_s, "2051")
        return self._values(cn, period.start, period.averages)

    def _values(self, cn: str, start: datetime, averages: Averages) -> list[Upload]:
        items, problems = average_items(self._factors, averages, self._edition)
        self.problems.update(problems)
        return [(cn, start, items)] if items else []

    async def run_time(self, start: datetime) -> list[Upload]:
        """2041 of the day that starts then."""
        items = await self._treatment.run_time(self._past, start)
        return [("2041", start, items)] if items else []

    def check(self, fields: Mapping[str, object]) -> list[Upload]:
        """2062 of the record of a standard check; other calibration records give nothing."""
        if fields.get("what") != CHECK or self._edition is not Edition.HJ2025:
            return []
        reading, assigned = fields.get("reading"), fields.get("assigned")
        start, unit = parse_iso(str(fields["start"])), str(fields["unit"])
        items: list[Item] = []
        for wanted in self._factors:
            if wanted.series == fields["series"] and isinstance(reading, int | float):
                try:
                    assert isinstance(assigned, int | float)
                    items += check_items(wanted, reading, assigned, unit, passed=fields.get("passed") is True)
                except UnitError as error:
                    self.problems[f"factor {wanted.code} ({wanted.series}): {error}"] += 1
        return [("2062", start, tuple(items))] if items else []

    def _lines(self, fields: Mapping[str, object]) -> list[Upload]:
        """3020 of a record that is a line of a log."""
        at = parse_iso(str(fields["t"]))
        lines = self._information.lines(fields)
        return [("3020", at, information_items({code: text}, about)) for code, about, text in lines]

    def realtime(
        self, latest: Mapping[str, Measurement], now: datetime, interval_s: float
    ) -> tuple[datetime, list[Item]] | None:
        """Sampling instant and items of a 2011, None where no configured series was ever measured."""
        found = [(f, latest[f.series]) for f in self._factors if f.series in latest]
        if not found:
            return None
        oldest = now - timedelta(seconds=max(SILENT_S, 2 * interval_s))
        items = []
        for wanted, measurement in found:
            try:
                silent = measurement.reading.at < oldest
                converted = latest.get(wanted.converted or "")
                items.append(realtime_item(wanted, measurement, self._edition, silent=silent, converted=converted))
            except UnitError as error:
                self.problems[f"factor {wanted.code} ({wanted.series}): {error}"] += 1
        newest_at = max(measurement.reading.at for _, measurement in found)
        return (newest_at if newest_at >= oldest else now), items
