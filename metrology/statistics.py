"""Mean, spread and extremes of readings, plain and circular, and how those of shorter periods combine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moments:
    """`n` members; the others are None where there is nothing. `sd` has n - 1 in the denominator, 0 for one member."""

    n: int
    mean: float | None
    minimum: float | None
    maximum: float | None
    sd: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Moments":
        """Moments of plain values; sums are exact (`math.fsum`), so the order of arrival does not matter."""
        if not values:
            return NOTHING
        mean = math.fsum(values) / len(values)
        squares = math.fsum((value - mean) ** 2 for value in values)
        sd = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0
        return cls(len(values), mean, min(values), max(values), sd)


NOTHING = Moments(0, None, None, None, None)


def merge(parts: Sequence[Moments], *, weighted: bool) -> Moments:
    """Moments over periods: weighted by n they are those of all members together; unweighted, those of the means."""
    full = [part for part in parts if part.mean is not None]
    if not full:
        return NOTHING
    minimum = min(part.minimum for part in full if part.minimum is not None)
    maximum = max(part.maximum for part in full if part.maximum is not None)
    if not weighted:
        means = Moments.of([part.mean for part in full if part.mean is not None])
        return Moments(len(full), means.mean, minimum, maximum, means.sd)
    n = sum(part.n for part in full)
    mean = math.fsum(part.n * (part.mean or 0.0) for part in full) / n
    squares = math.fsum(
        (part.n - 1) * (part.sd or 0.0) ** 2 + part.n * ((part.mean or 0.0) - mean) ** 2 for part in full
    )
    return Moments(n, mean, minimum, maximum, math.sqrt(squares / (n - 1)) if n > 1 else 0.0)


def circular_mean(degrees: Sequence[float]) -> Moments:
    """Direction of the mean unit vector and Yamartino's standard deviation, degrees (Yamartino 1984, single pass).

    Minimum and maximum of a direction have no meaning and are None.
    """
    if not degrees:
        return NOTHING
    sine = math.fsum(math.sin(math.radians(d)) for d in degrees) / len(degrees)
    cosine = math.fsum(math.cos(math.radians(d)) for d in degrees) / len(degrees)
    epsilon = math.sqrt(max(0.0, 1.0 - (sine * sine + cosine * cosine)))
    sigma = math.asin(min(1.0, epsilon)) * (1.0 + (2.0 / math.sqrt(3.0) - 1.0) * epsilon**3)
    direction = math.degrees(math.atan2(sine, cosine)) % 360.0
    # An angle of -1e-15 degrees comes out of the modulo as 360.0 exactly.
    return Moments(len(degrees), 0.0 if direction == 360.0 else direction, None, None, math.degrees(sigma))


def combine_circular(parts: Sequence[Moments]) -> Moments:
    """Vector mean of directions; the variance is the mean one within parts plus that of their directions (meander)."""
    full = [part for part in parts if part.mean is not None]
    between = circular_mean([part.mean for part in full if part.mean is not None])
    if between.mean is None or between.sd is None:
        return NOTHING
    within = math.fsum((part.sd or 0.0) ** 2 for part in full) / len(full)
    return Moments(sum(part.n for part in full), between.mean, None, None, math.sqrt(within + between.sd**2))
