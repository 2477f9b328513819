"""Rows that come twice: a file joined to itself, files that overlap, a clock that was set back."""

from array import array
from typing import Final

from metrology.recorded import HOUR, Row

# Stamps remembered, 20 bytes each; the oldest hours are forgotten first. A year of minutes, a month and a half of 1 Hz.
STAMPS_MAX: Final = 4_000_000


class _Hour:
    """The stamps of one hour, what stood beside them, and in which file."""

    __slots__ = ("digests", "files", "latest", "stamps")

    def __init__(self) -> None:
        self.stamps, self.digests, self.files = array("q"), array("q"), array("I")
        self.latest = -1 << 62

    def put(self, stamp: int, digest: int, file: int) -> None:
        self.stamps.append(stamp)
        self.digests.append(digest)
        self.files.append(file)
        self.latest = max(self.latest, stamp)

    def holds(self, stamp: int, digest: int, file: int) -> bool:
        at = -1
        while True:
            try:
                at = self.stamps.index(stamp, at + 1)
            except ValueError:
                return False
            if self.files[at] != file or self.digests[at] == digest:
                return True


class Repeats:
    """Tells whether a row was seen before.

    The same stamp in another file is the same row, whatever it holds: the file met first wins. In one file it is, where
    the values are the same too; else the clock was set back, or it counts whole seconds, and the row is new.
    """

    def __init__(self) -> None:
        self._hours: dict[int, _Hour] = {}
        self._count = 0

    def seen(self, row: Row, file: int) -> bool:
        """True for a row that must not count again."""
        key = row.at // HOUR
        hour = self._hours.get(key)
        if hour is None:
            self._forget()
            hour = self._hours[key] = _Hour()
        stamp = row.at << 4 | (hash(row.code) & 15)
        digest = hash(tuple((sample.species, sample.value) for sample in row.samples))
        if stamp <= hour.latest and hour.holds(stamp, digest, file):
            return True
        hour.put(stamp, digest, file)
        self._count += 1
        return False

    def _forget(self) -> None:
        while self._count > STAMPS_MAX:
            oldest = next(iter(self._hours))
            self._count -= len(self._hours.pop(oldest).stamps)
