"""What a file of `--coefficients` says for a span of time."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from host.hjson import Strict
from host.shapes import Name
from metrology.periods import iso, parse_iso

# A text that says something.
Said = Annotated[str, Field(pattern="[^ ]")]


class Dated(Strict):
    """`start` inclusive, `end` exclusive, ISO 8601 with zone; both open where they are absent."""

    start: str | None = None
    end: str | None = None

    @model_validator(mode="after")
    def _times(self) -> Self:
        for bound in (self.start, self.end):
            if bound is not None:
                parse_iso(bound)
        return self

    @property
    def span(self) -> tuple[str, str]:
        """Start and end as records write times; both open where none is set."""
        start = iso(parse_iso(self.start)) if self.start else ""
        return start, iso(parse_iso(self.end)) if self.end else "~"


class Filed(Dated):
    """Filed parameters of a stack as they should have been, by whose authority and why.

    What is reported goes by the filing in force and forward only (design, section 13.1): this is for an analysis layer.
    """

    stack: Name
    kv: float | None = Field(default=None, gt=0, lt=10)
    pitot_coefficient: float | None = Field(default=None, gt=0, le=2)
    area_m2: float | None = Field(default=None, gt=0, le=2000)
    standard_density_kg_m3: float | None = Field(default=None, gt=0.1, le=5)
    authority: Said
    reason: Said

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.parameters and self.kv is None:
            raise ValueError("one at least of: kv, pitot_coefficient, area_m2, standard_density_kg_m3")
        return self

    @property
    def parameters(self) -> dict[str, float]:
        """What it says beside Kv, by name."""
        names = ("pitot_coefficient", "area_m2", "standard_density_kg_m3")
        return {name: value for name in names if (value := getattr(self, name)) is not None}
