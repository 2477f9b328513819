"""What goes into an attribution and what comes out: plain frozen values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

State = Literal["covered", "weak", "none"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One average of one sensor: dry mole fraction in umol/mol, WGS-84 place, height above ground in m.

    `start` (aware) names the period. `sd` is of the readings within it, `uncertainty` the standard uncertainty of the
    mean as the calibration states it, None where it states none.
    """

    sensor: str
    latitude: float
    longitude: float
    height_m: float
    start: datetime
    period_s: float
    mean: float
    sd: float
    n: int
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class MetRow:
    """One average of the wind mast: scalar mean speed (m/s), vector mean direction it comes from (deg).

    `sigma_theta` in degrees, None where the station gave none; temperature and pressure None where not measured.
    """

    start: datetime
    period_s: float
    speed: float
    direction_from: float
    sigma_theta: float | None = None
    temperature_K: float | None = None
    pressure_Pa: float | None = None
    height_m: float = 10.0


@dataclass(frozen=True, slots=True)
class Domain:
    """Where sources are looked for: metres east and north of a WGS-84 origin."""

    latitude: float
    longitude: float
    west_m: float
    south_m: float
    east_m: float
    north_m: float


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice of a run; stored with its result."""

    gas: str = "ch4"
    step_s: float = 600.0
    cell_m: float = 100.0
    search_m: float = 25.0
    most_sources: int = 5
    roughness_m: float = 0.05
    # None is neutral: a station without a sonic does not know better, the sigma-z factor absorbs the difference.
    obukhov_length_m: float | None = None
    default_height_m: float = 2.0
    height_sd_m: float = 1.5
    # Standard deviations of the logarithm of the shared factors on sigma-y and sigma-z.
    sigma_y_prior: float = 0.3
    sigma_z_prior: float = 0.2
    model_error: float = 0.4
    direction_error_deg: float = 3.0
    vane_error_deg: float = 3.0
    representation_ppm: float = 0.02
    floor_ppm: float = 0.01
    reading_uncertainty_ppm: float = 0.03
    offset_sd_ppm: float = 0.03
    correlation_factor: float = 2.0
    merge_m: float = 60.0
    publication_floor_kg_h: float = 0.5
    least_probability: float = 0.5
    covered_kg_h: float = 5.0
    weak_kg_h: float = 30.0
    lowest_speed: float = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """One found source. `interval95` bounds the rate in kg/h; `position_covariance` is (xx, xy, yy) in m2.

    `evidence` is the drop of -log L the source brings, `probability` that it exists and exceeds the publication floor.
    """

    probability: float
    latitude: float
    longitude: float
    x: float
    y: float
    height_m: float
    rate_kg_h: float
    interval95: tuple[float, float]
    position_covariance: tuple[float, float, float]
    cell: str
    evidence: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the published grid. `rate_kg_h` and `q_min_kg_h` are None where nothing can be said, never zero."""

    id: str
    column: int
    row: int
    state: State
    q_min_kg_h: float | None
    rate_kg_h: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """Sources, strongest evidence first, cells row by row from the south-west, and how the run went."""

    sources: tuple[Source, ...]
    cells: tuple[Cell, ...]
    domain: Domain
    settings: Settings
    inputs_sha256: str
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
