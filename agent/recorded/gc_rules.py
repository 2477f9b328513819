"""What the rules of `plumeline process --format gc-peaks` say of a table of peaks, and of how they become values."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from calibration.gc.bracket import GcRules
from calibration.gc.peaks import BASELINES, PeakLimits
from drivers.recorded.csv_table import Column, Map
from host.hjson import Strict

Share = Annotated[float, Field(gt=0, le=10)]
# Columns of a peak that are numbers.
NUMBERS = ("height", "area", "retention", "width", "flow")


class Limits(Strict):
    """Limits of a site; what is absent is not judged. `spread` and `width_change` are fractions."""

    baselines: list[str] = Field(default=sorted(BASELINES))
    gap_max_s: float = Field(default=7200.0, gt=0)
    width_change: Share | None = None
    spread: Share | None = None
    retention_change_s: float | None = Field(default=None, gt=0)
    flow_min: float | None = Field(default=None, gt=0)


class Gc(Strict):
    """Columns of a table of peaks (`species` a column, or `name` where the whole file is of one), and the rules.

    Retention and width are in `time_unit`, flow in mL/min.
    """

    species: str = ""
    name: str = ""
    height: str = ""
    area: str = ""
    retention: str = ""
    width: str = ""
    baseline: str = ""
    flow: str = ""
    time_unit: Literal["s", "min"] = "s"
    quantity: Literal["height", "area"] = "height"
    between: Literal["linear", "mean"] = "linear"
    curve: list[float] = Field(default=[0.0, 1.0], min_length=2, max_length=5)
    limits: Limits = Field(default=Limits())

    @model_validator(mode="after")
    def _what_is_used_is_declared(self) -> "Gc":
        if bool(self.species) == bool(self.name):
            raise ValueError("one of species (a column) and name")
        for needed, limit in ((self.quantity, True), ("retention", self.limits.retention_change_s),
                              ("width", self.limits.width_change), ("flow", self.limits.flow_min)):  # fmt: skip
            if limit and not getattr(self, needed):
                raise ValueError(f"the column of {needed} is not declared")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """Numbers of a peak by the column they stand in, in lower case."""
        return {getattr(self, name).strip().lower(): name for name in NUMBERS if getattr(self, name)}

    def map(self, base: Map) -> Map:
        """How the table is read: the stamp and the gas as for any CSV, the columns of this one."""
        columns = {name: Column() for name in self.columns}
        return replace(base, columns=columns, port=self.baseline.strip().lower(), code=self.species.strip().lower())

    @property
    def rules(self) -> GcRules:
        """For `calibration.gc.bracket`."""
        own = self.limits
        limits = PeakLimits(
            frozenset(own.baselines), own.gap_max_s, own.width_change, own.spread, own.retention_change_s, own.flow_min
        )
        return GcRules(self.quantity, self.between, tuple(self.curve), limits)
