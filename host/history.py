"""What a station kept, for those who look back: reports, recomputation, the trace of a number.

`History` asks a `Source` page by page, so that a year is read in bounded memory. A station's running daemon, its files
while it is stopped, and the centre's store are such sources.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from metrology.periods import iso

Fields = dict[str, Any]
PAGE_ROWS: Final = 200
PAGES_ALL: Final = 2**62
# An instrument with a memory, or a poll that took long, hands over readings so long after their time.
LATE: Final = timedelta(hours=2)


class Source(Protocol):
    """Decoded record bodies, by number or by time. Times are ISO text as records carry them; lists are one page."""

    def indexed(
        self,
        kind: str,
        what: Collection[str],
        period_s: int | None,
        since: tuple[str, int, int],
        until: str,
        limit: int,
    ) -> list[Fields]:
        """Records of a kind other than scan and checkpoint, ascending by (time, epoch, seq).

        The time is the start of an average, else that of writing; `since` is exclusive, `until` too. An empty `what`
        takes all; `period_s` selects averages.
        """

    def newest(self, kind: str, what: Collection[str], before: str) -> Fields | None:
        """The last such record with a time before an instant."""

    def numbered(self, epoch: int, after: int, kinds: Collection[str], limit: int) -> list[Fields]:
        """Records of an epoch with seq > after, ascending by seq, of any kind."""

    def seq_at(self, epoch: int, at: str) -> int:
        """The first sequence number of an epoch whose record was written at or after a time; the next one if none."""

    def epochs(self) -> list[int]:
        """Epochs kept, ascending."""


class Ledger(Protocol):
    """What a source that holds the log itself can tell beside its records."""

    def tree_before(self, epoch: int, seq: int) -> str | None:
        """Frontier (base64) of the tree where the file that holds a record begins; None where that is not known."""

    def delivered(self) -> dict[str, Fields]:
        """By uplink: `epoch`, `through` (all it selects up to there is acknowledged) and ranges `above`."""

    def vkey(self) -> str | None:
        """The key checkpoints are verified by; None where it is not known here."""


class History:
    """A source, with the questions people ask of it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def averages(self, period_s: int, since: datetime, until: datetime) -> Iterator[Fields]:
        """Average records with since <= start < until, oldest first; a later revision comes after the earlier."""
        yield from self._pages("average", (), period_s, since, until)

    def told(self, kind: str, since: datetime, until: datetime, what: Collection[str] = ()) -> Iterator[Fields]:
        """Calibration, event, config or gap records written within since <= t < until, oldest first."""
        yield from self._pages(kind, what, None, since, until)

    def newest(self, kind: str, before: datetime, what: Collection[str] = ()) -> Fields | None:
        """The last such record before an instant: the configuration in force, the last passed check."""
        return self._source.newest(kind, what, iso(before))

    def _pages(
        self, kind: str, what: Collection[str], period_s: int | None, since: datetime, until: datetime
    ) -> Iterator[Fields]:
        after = (iso(since), -1, -1)
        while page := self._source.indexed(kind, what, period_s, after, iso(until), PAGE_ROWS):
            yield from page
            last = page[-1]
            after = (last["start"] if kind == "average" else last["t"], last["epoch"], last["seq"])

    def scans(self, instruments: Collection[str], since: datetime, until: datetime) -> Iterator[Fields]:
        """Scan records of some instruments with since <= at < until, in the order of the log."""
        low, high = iso(since), iso(until)
        for fields in self.written(frozenset({"scan"}), since, until + LATE):
            if fields["instrument"] in instruments and low <= fields["at"] < high:
                yield fields

    def written(self, kinds: Collection[str], since: datetime, until: datetime) -> Iterator[Fields]:
        """Records of these kinds written within since <= t < until, in the order of the log."""
        low, high = iso(since), iso(until)
        for epoch in self._source.epochs():
            after = self._source.seq_at(epoch, low) - 1
            while page := self._source.numbered(epoch, after, kinds, PAGE_ROWS):
                yield from (row for row in page if low <= row["t"] < high)
                after = page[-1]["seq"]
                if page[-1]["t"] >= high:
                    break

    def record(self, epoch: int, seq: int, kinds: Collection[str]) -> Fields | None:
        """The record of a number, None where it is not kept or of another kind."""
        page = self._source.numbered(epoch, seq - 1, kinds, 1)
        return page[0] if page and page[0]["seq"] == seq else None

    def checkpoint_over(self, epoch: int, seq: int) -> Fields | None:
        """The first checkpoint whose tree holds a record; None while none was made."""
        page = self._source.numbered(epoch, seq, frozenset({"checkpoint"}), 1)
        return page[0] if page else None

    def checkpoints(self, epoch: int, size: int) -> Iterator[Fields]:
        """Checkpoints of an epoch over more than `size` records, ascending."""
        yield from self.after(epoch, size, frozenset({"checkpoint"}), PAGES_ALL)

    def after(self, epoch: int, seq: int, kinds: Collection[str], pages: int = 1) -> Iterator[Fields]:
        """Records of an epoch behind a number, ascending, of at most so many pages."""
        while pages and (page := self._source.numbered(epoch, seq, kinds, PAGE_ROWS)):
            yield from page
            seq, pages = page[-1]["seq"], pages - 1

    def tree_before(self, epoch: int, seq: int) -> str | None:
        """Frontier (base64) of the tree at some place before a record; None where the source knows none."""
        asked = getattr(self._source, "tree_before", None)
        found: str | None = asked(epoch, seq) if asked else None
        return found
