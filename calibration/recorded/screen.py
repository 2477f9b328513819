"""What makes recorded values not count: implausible values, flush after another port or gas; and doubtful clocks."""

from collections.abc import Mapping

from metrology.quality import Cause
from metrology.recorded import Row

Range = tuple[float, float]


class Screen:
    """Marks samples. `ranges` are inclusive, in the unit of the values; `flush` is in microseconds.

    What flowed before the first row is unknown: it is not flushed.
    """

    def __init__(self, ranges: Mapping[str, Range], flush: int = 0) -> None:
        self._ranges = ranges
        self._flush = flush
        self._gas: tuple[str | None, str | None] | None = None
        self._since: int | None = None
        self._latest: int | None = None

    def add(self, row: Row) -> Row:
        """The row with the causes of its samples; causes a sample already has stay."""
        flushing = self._flushing(row)
        for place, sample in enumerate(row.samples):
            cause = sample.cause or (Cause.FLUSH if flushing else self._outside(sample.species, sample.value))
            if cause is not sample.cause:
                row.samples[place] = sample._replace(cause=cause)
        if self._latest is not None and row.at < self._latest:
            row.notes |= {Cause.CLOCK_DOUBTFUL}
        self._latest = row.at if self._latest is None else max(self._latest, row.at)
        return row

    def _flushing(self, row: Row) -> bool:
        gas = (row.port, row.gas)
        if gas != self._gas:
            self._since = None if self._gas is None else row.at
            self._gas = gas
        if self._since is None or not self._flush:
            return False
        # A clock set back must not stretch the flush by the step.
        self._since = min(self._since, row.at)
        return row.at - self._since < self._flush

    def _outside(self, species: str, value: float | None) -> Cause | None:
        limits = self._ranges.get(species)
        if limits is None or value is None or limits[0] <= value <= limits[1]:
            return None
        return Cause.OUT_OF_RANGE
