"""Loading of the tables that are drivers without Python (`maps/*.hjson`, `lines/*.hjson`): strict, checked, once."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import hjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from metrology.declaration import DriverError, DriverInfo, Option
from metrology.measurand import catalogue

Evidence = Literal["std", "src", "measured", "unverified"]
# What a table says as a number is one: no text, no true in its place.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]


class Strict(BaseModel):
    """Unknown keys are refused; a table never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Manual(Strict):
    """Where the table was read: the maker's document."""

    title: str
    revision: str
    page: str

    def __str__(self) -> str:
        return f"{self.title}, {self.revision}, {self.page}"


class Emitted(Strict):
    """What one entry of a table emits; the unit stands in the table and must be the catalogue's."""

    measurand: str
    unit: str

    @model_validator(mode="after")
    def _catalogued(self) -> "Emitted":
        known = catalogue().get(self.measurand)
        if known is None:
            raise ValueError(f"{self.measurand} is not in the measurand catalogue")
        if known.unit != self.unit:
            raise ValueError(f"{self.measurand} is kept in {known.unit}: scale it to that instead of {self.unit}")
        return self


class Table(Strict):
    """What every table says of its instrument. `default_unit` is the address the maker ships it with."""

    maker: str
    model: str
    manual: Manual
    evidence: Evidence
    default_unit: Whole | None = None

    def info(
        self, name: str, protocol: Literal["modbus", "text"], emitted: Iterable[Emitted], options: Mapping[str, Option]
    ) -> DriverInfo:
        """What the driver of this table declares; `name` is that of its file."""
        return DriverInfo(
            name=name,
            title=f"{self.maker} {self.model}",
            kind="polled",
            protocol=protocol,
            measurands={one.measurand: one.unit for one in emitted},
            manual=str(self.manual),
            evidence=self.evidence,
            options=options,
            default_unit=self.default_unit,
        )


T = TypeVar("T", bound=Strict)


@cache
def names(folder: str) -> frozenset[str]:
    """Names of the tables in `drivers/{folder}`."""
    files = resources.files("drivers").joinpath(folder).iterdir()
    return frozenset(file.name.removesuffix(".hjson") for file in files if file.name.endswith(".hjson"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate keys: the library would let the last one win."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DriverError(f"duplicate key {key!r}")
        found[key] = value
    return found


def parse(text: str, shape: type[T]) -> T:
    """Read a table. Raises `ValueError` for HJSON or content that is not its shape (`DriverError`: duplicate key)."""
    return shape.model_validate(hjson.loads(text, object_pairs_hook=_unique))


def is_own(name: str) -> bool:
    """True for the name of a table of a station's own: the whole path of its file."""
    return name.startswith("/") and name.endswith(".hjson")


def load(folder: str, name: str, shape: type[T]) -> T:
    """Read the table `drivers/{folder}/{name}.hjson`, or one of a station's own; see `parse`.

    Raises `DriverError` where a table of one's own cannot be read, or is none.
    """
    if is_own(name):
        try:
            return parse(Path(name).read_text(encoding="utf-8"), shape)
        except (OSError, ValueError) as error:
            raise DriverError(f"{name}: {error}") from None
    return parse(resources.files("drivers").joinpath(folder, f"{name}.hjson").read_text(encoding="utf-8"), shape)
