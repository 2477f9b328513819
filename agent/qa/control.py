"""Series that are out of control carry the cause on every reading, from the failed check until they are good again.

What is in control follows from the calibration records alone (`calibration.qa.control`), so a restart finds the same
state in the log as the run had before it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.store.index import Index
from agent.store.log import Log
from agent.values.intake import Intake
from calibration.qa.checks import WHATS, RecordId
from calibration.qa.control import Control, Finding, Interval
from metrology.periods import iso
from metrology.quality import Cause, Mark

PAGE: Final = 500
EVENTS_LOOKED_BACK: Final = 1000
BEFORE_ALL: Final = ""
AFTER_ALL: Final = "9"
_KIND: Final = frozenset({"calibration"})


class OutOfControl:
    """The marks of a station's series by its calibration records; `look` takes those that are new."""

    def __init__(self, index: Index, intake: Intake, log: Log) -> None:
        """Take what lies in the log, and mark what is out of control, before the first reading comes."""
        self._intake = intake
        self._log = log
        self._control = Control()
        self._marks: dict[str, Mark] = {}
        self._said: set[RecordId] = set()
        self._unsaid: list[Finding | Interval] = []
        self._taken = log.epoch, log.next_seq - 1
        for fields in told(index):
            self._unsaid += [one for one in self._control.take(fields) if isinstance(one, Interval)]
        for series, interval in self._control.open.items():
            self._mark(series, interval)
        for what in ("out-of-control", "in-control"):
            for event in index.newest("event", what, EVENTS_LOOKED_BACK):
                self._said.add((event["record"][0], event["record"][1]))

    async def begin(self) -> None:
        """Say what a power cut left unsaid; each loss and return of control is said once for ever."""
        # Of a long past only what still holds: what ended before the last events known was said in its time.
        unsaid, self._unsaid = self._unsaid, []
        newest = {one.series: one for one in unsaid if isinstance(one, Interval)}
        for one in newest.values():
            await self._say(one)

    async def look(self) -> None:
        """Take the calibration records since the last look: marks follow at once, then events."""
        news: list[Finding | Interval] = []
        epoch, after = self._taken
        while rows := await self._log.read(after, kinds=_KIND, limit=PAGE, epoch=epoch):
            for row in rows:
                after = row.seq
                if row.fields.get("what") in WHATS:
                    news += self._control.take(row.fields)
        self._taken = epoch, after
        for one in news:
            if isinstance(one, Interval):
                self._mark(one.series, one if one.end is None else None)
        for one in news:
            await self._say(one)

    def _mark(self, series: str, interval: Interval | None) -> None:
        former = self._marks.pop(series, None)
        if interval is not None:
            why = interval.why[0].check
            mark = self._marks[series] = Mark(Cause.OUT_OF_CONTROL, f"check:{why.run}", interval.why[0].check.at)
            self._intake.add_mark(series, mark)
            if former == mark:
                return
        if former is not None:
            self._intake.remove_mark(series, former)

    async def _say(self, one: Finding | Interval) -> None:
        """Record as an event: a check that failed, the loss of control, the return to it."""
        if isinstance(one, Finding):
            if one.verdict == "adjust":
                await self._event("check-failed", one.check.run, {"series": one.check.series, **one.fields()})
            return
        record = one.restored or one.why[-1].check.record
        if record in self._said:
            return
        self._said.add(record)
        if one.restored is None:
            detail = {**one.why[-1].fields(), "since": iso(one.start)}
            suspect: dict[str, Any] = {"suspect_from": iso(one.suspect_from)} if one.suspect_from else {}
            if one.unchecked_before:
                suspect["unchecked_before"] = True
            await self._event("out-of-control", one.why[-1].check.run, {"series": one.series, **detail, **suspect})
        elif one.end is not None:
            detail = {"since": iso(one.start), "until": iso(one.end), "record": list(one.restored)}
            await self._event("in-control", one.why[0].check.run, {"series": one.series, **detail})

    async def _event(self, what: str, run: str, detail: Mapping[str, Any]) -> None:
        await self._log.append("event", {"what": what, "origin": f"run:{run}", **detail})

    def status(self) -> dict[str, Any]:
        """For people: what is out of control, since when and why."""
        return {series: one.fields() for series, one in sorted(self._control.open.items())}


async def all_told(log: Log, index: Index) -> list[Interval]:
    """Every interval of the station's life; pages are read one by one, and commits go on in between."""
    control, ended, after = Control(), list[Interval](), BEFORE_ALL
    while rows := await log.look_up(index.told, "calibration", WHATS, after, AFTER_ALL, PAGE):
        for fields in rows:
            ended += [one for one in control.take(fields) if isinstance(one, Interval) and one.end is not None]
        after = rows[-1]["t"]
    return sorted([*ended, *control.open.values()], key=lambda one: (one.start, one.series))


def told(index: Index) -> Iterator[dict[str, Any]]:
    """All calibration records of a station that the fold knows, oldest first, a page at a time."""
    after = BEFORE_ALL
    while rows := index.told("calibration", WHATS, after, AFTER_ALL, PAGE):
        yield from rows
        after = rows[-1]["t"]
