"""The shape of what a station's configuration says of its standard gases.

It declares them; from then on the register keeps them (`agent.gas.register`), and what a person writes there later
holds until the declaration itself changes.
"""

from typing import Annotated

from pydantic import Field

from agent.config_gas import Day
from calibration.standards.cylinder import FILL, LOW_BAR, WARN_DAYS, Valuation
from calibration.standards.scale import PATTERN
from host.hjson import Strict
from host.shapes import Series

Scale = Annotated[str, Field(pattern=PATTERN)]
Uncertainty = Annotated[float, Field(ge=0)]


class Assigned(Strict):
    """Certified amount of one measurand; `uncertainty` is standard (k=1), `scale` has its version or is a GBW(E)."""

    value: float
    unit: str
    uncertainty: Uncertainty
    scale: Scale
    u_measurement: Uncertainty | None = None
    repeat_sd: Uncertainty | None = None


class Cylinder(Strict):
    """A standard gas: one fill of one cylinder, under the station's own word for the place where it stands."""

    number: str = Field(min_length=1, max_length=80)
    fill: str = Field(default=FILL, min_length=1, max_length=20)
    supplier: str = ""
    lot: str = ""
    certificate: str = ""
    certified: Day | None = None
    expires: Day | None = None
    assigned: dict[str, Assigned] = Field(default={})
    roles: dict[str, str] = Field(default={})
    volume_L: float | None = Field(default=None, gt=0, le=1000)
    filling_pressure_bar: float | None = Field(default=None, gt=0, le=400)
    installed: Day | None = None
    pressure_series: Series | None = None
    valuation: Valuation = "auto"
    warn_days: int = Field(default=WARN_DAYS, ge=0, le=730)
    low_bar: float = Field(default=LOW_BAR, ge=0, le=400)
