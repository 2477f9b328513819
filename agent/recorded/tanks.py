"""Cylinders of a rules file: what means them in the rows, when they were there, until when they are certified."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from host.hjson import Strict
from metrology.recorded import DAY, SECOND

DATE_CHARACTERS = len("2026-01-01")


def _moment(text: str) -> str:
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError("a date or time of the rows' own clock, without a zone")
    return text


# ISO 8601, a date alone or with a time, in the clock that the averages are in.
Moment = Annotated[str, AfterValidator(_moment)]
# A text that says something.
Lower = Annotated[str, Field(min_length=1)]


class Assigned(Strict):
    """The value of a cylinder for one species, in the unit the file has it in; `uncertainty` is standard (k = 1)."""

    value: float
    uncertainty: float = Field(ge=0)
    unit: str = ""
    scale: Lower


class Tank(Strict):
    """A cylinder: its role, the ports or the words of the gas column that mean it, its assigned values by species.

    It is used from `from` to before `to`. `expires` is the last day of its certificate, or a time: it is used after it
    too, and said to be expired.
    """

    role: Literal["reference", "standard", "target"] = "standard"
    number: str = ""
    ports: list[str] = Field(default=[])
    gases: list[str] = Field(default=[])
    assigned: dict[str, Assigned] = Field(default={})
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    expires: Moment | None = None

    @model_validator(mode="after")
    def _one_after_the_other(self) -> "Tank":
        if self.begin >= self.end:
            raise ValueError("to: after from")
        return self

    @property
    def begin(self) -> float:
        """From when on it was connected, microseconds of the rows' clock."""
        return -math.inf if self.from_ is None else _micros(self.from_)

    @property
    def end(self) -> float:
        """When it was taken away."""
        return math.inf if self.to is None else _micros(self.to)

    @property
    def expired(self) -> float:
        """From when on its certificate is over: a date's own day still counts."""
        if self.expires is None:
            return math.inf
        return _micros(self.expires) + (DAY if len(self.expires) == DATE_CHARACTERS else 0)

    def connected(self, at: float) -> bool:
        """Whether it was connected at a time, microseconds."""
        return self.begin <= at < self.end


def _micros(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * SECOND


class Tanks:
    """The cylinders behind ports, or behind words of the gas column; several may follow each other on one."""

    def __init__(self, standards: Mapping[str, Tank], words: Literal["ports", "gases"]) -> None:
        self._names: dict[str, list[tuple[str, Tank]]] = {}
        for name, one in standards.items():
            for word in getattr(one, words):
                self._names.setdefault(word.lower() if words == "gases" else word, []).append((name, one))

    def at(self, word: str | None, at: float) -> tuple[str, Tank] | None:
        """Name and cylinder that a word meant at a time; the first declared where none was connected; None of none.

        What flowed on the port of a cylinder that was not there is no air either.
        """
        found = self._names.get(word or "", [])
        return next((one for one in found if one[1].connected(at)), found[0] if found else None)
