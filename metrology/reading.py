"""What flows: Reading (as it came), Measurement (corrected), Average; and Scan, the readings of one answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from metrology.quality import GOOD, Quality

Status = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """One uncorrected indication. `value` is None where the instrument gave none; `at` is aware UTC."""

    instrument: str
    measurand: str
    value: float | None
    unit: str
    at: datetime
    quality: Quality = GOOD

    @property
    def series(self) -> str:
        """`instrument.measurand`."""
        return f"{self.instrument}.{self.measurand}"


@dataclass(frozen=True, slots=True)
class Scan:
    """The readings of one answer of one instrument, and what it said about itself (status words, port, ...)."""

    instrument: str
    at: datetime
    readings: tuple[Reading, ...]
    status: Status = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamFault:
    """Bytes of a stream that are no frame; `lost` is how many frames are known to be missing (by sequence number).

    `instrument` is named where the loss can be put down to one.
    """

    what: str
    at: datetime
    lost: int = 0
    instrument: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A reading with the value by its series' correction. `calibration` names the coefficients; None is identity."""

    reading: Reading
    value: float | None
    calibration: str | None = None


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Standard uncertainty in the unit of the value, by how its parts combine over time."""

    independent: float
    slow: float
    common: float


@dataclass(frozen=True, slots=True)
class Average:
    """One period of one series.

    `n` counts the valid members, `valid_fraction` is n over the number the rule expects (may exceed 1).
    Where nothing is valid the statistics are None. For wind direction the mean is that of unit vectors and `sd`
    Yamartino's (both in degrees). `sum` exists where the quantity is an emission.
    """

    series: str
    unit: str
    start: datetime
    period_s: int
    n: int
    valid_fraction: float
    mean: float | None
    minimum: float | None
    maximum: float | None
    sd: float | None
    rule: str
    quality: Quality = GOOD
    sum: float | None = None
    uncertainty: Uncertainty | None = None
    calibrations: tuple[str, ...] = ()
    revision: int = 0
    final: bool = True

    @property
    def end(self) -> datetime:
        """End of the period, exclusive."""
        return self.start + timedelta(seconds=self.period_s)

    @property
    def valid(self) -> bool:
        """True where the period satisfied its rule."""
        return self.mean is not None and self.quality.valid
