"""Latest values of every series, as far as they are committed."""

from metrology.reading import Measurement


class Live:
    """What the page, `watch` and the real-time uploads show. Stale repeats never replace a fresh value."""

    def __init__(self) -> None:
        self.latest: dict[str, Measurement] = {}

    def update(self, measurement: Measurement) -> None:
        """Take a committed measurement; an older one than the latest is left out."""
        series = measurement.reading.series
        known = self.latest.get(series)
        if known is None or known.reading.at <= measurement.reading.at:
            self.latest[series] = measurement
