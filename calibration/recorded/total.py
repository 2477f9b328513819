"""Mean, total spread and count of readings, and of means that have a count and a spread of their own.

N = sum n; mean = sum n m / N; SD^2 = (sum (n - 1) s^2 + sum n (m - mean)^2) / (N - 1), the spread within and between
(ddof 1). Updated one by one (Chan, Golub and LeVeque 1979), so that no list is kept.
"""

import math
from dataclasses import dataclass

from metrology.recorded import Sample


@dataclass(slots=True)
class Total:
    """Running total of one species. `whole` is False once a mean of several readings came without its spread."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    whole: bool = True

    def add(self, sample: Sample) -> None:
        """Take one sample that has a value."""
        value = sample.value
        if value is None:
            return
        count = sample.n
        total = self.n + count
        step = value - self.mean
        self.mean += step * count / total
        self.squares += step * step * self.n * count / total
        self.n = total
        if count > 1:
            if sample.sd is None:
                self.whole = False
            else:
                self.squares += (count - 1) * sample.sd * sample.sd

    def merge(self, other: "Total") -> None:
        """Take all that another total holds."""
        if not other.n:
            return
        total = self.n + other.n
        step = other.mean - self.mean
        self.mean += step * other.n / total
        self.squares += other.squares + step * step * self.n * other.n / total
        self.n = total
        self.whole = self.whole and other.whole

    @property
    def sd(self) -> float | None:
        """Standard deviation (ddof 1); None for fewer than two readings, or where part of the spread is unknown."""
        return math.sqrt(max(self.squares, 0.0) / (self.n - 1)) if self.n > 1 and self.whole else None
