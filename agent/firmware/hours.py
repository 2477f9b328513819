"""Hours of boards and of their references from the log."""

from datetime import datetime, timedelta

from agent.store.index import Index
from agent.store.log import Log
from metrology.periods import HOUR_S, iso
from metrology.reading import Average
from protocols import record


class Hours:
    """Reads a day at a time: commits wait meanwhile."""

    def __init__(self, log: Log, index: Index) -> None:
        self._log = log
        self._index = index

    async def read(self, names: set[str], since: datetime, until: datetime) -> list[Average]:
        """Valid final hours of some series, since <= start < until, oldest first, each once: its newest revision."""
        found: list[Average] = []
        while since < until:
            end = min(since + timedelta(days=1), until)
            found += await self._log.look_up(self._day, names, iso(since), iso(end))
            since = end
        return found

    def _day(self, names: set[str], since: str, until: str) -> list[Average]:
        found: dict[tuple[str, datetime], Average] = {}
        for fields in self._index.averages(HOUR_S, since, until):
            rows = {series: row for series, row in fields["rows"].items() if series in names}
            for one in record.averages_of({**fields, "rows": rows}):
                known = found.get((one.series, one.start))
                if one.final and (known is None or one.revision >= known.revision):
                    found[one.series, one.start] = one
        return [one for one in found.values() if one.valid]
