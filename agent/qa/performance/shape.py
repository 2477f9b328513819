"""The shape of RULES: what the series are, when which gas flowed, what stood beside the instrument, own limits."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from calibration.qa.performance.limits import Basis, Limit, Test
from drivers.recorded.stamps import Reader, StampError, layout
from host.hjson import Strict
from metrology.recorded import SECOND

_STAMP: Final = Reader(layout("ymd"))


def seconds(text: str, utc_offset_h: float) -> float:
    """Unix seconds of a stamp; one without a zone is so many hours ahead of UTC. Raises ValueError."""
    at, zone = _STAMP(text)
    return at / SECOND - (zone / SECOND if zone is not None else utc_offset_h * 3600.0)


def _stamp(text: str) -> str:
    try:
        _STAMP(text)
    except StampError:
        raise ValueError(f"no date and time: {text}") from None
    return text


Stamp = Annotated[str, AfterValidator(_stamp)]
Above0 = Annotated[float, Field(gt=0)]


class Columns(Strict):
    """Names of the columns where they are not found by themselves."""

    time: str | None = None
    series: str | None = None
    value: str | None = None


class SeriesRules(Strict):
    """One series of the files; `column` is its name there where that differs. `measurand` chooses limits and units."""

    measurand: str | None = None
    unit: str
    full_scale: Above0 | None = None
    column: str | None = None


class Gas(Strict):
    """A gas of known amount on the inlet from `from` to `to`, of which the first `flush_s` do not count.

    `every_h` and `times` repeat it: a check each day is written once.
    """

    gas: str
    assigned: dict[str, float] = Field(min_length=1)
    from_: Stamp = Field(alias="from")
    to: Stamp
    flush_s: float = Field(default=0, ge=0)
    every_h: Above0 | None = None
    times: int = Field(default=1, ge=1, le=10_000)


class Run(Strict):
    """One run of a reference method."""

    from_: Stamp = Field(alias="from")
    to: Stamp


class Reference(Strict):
    """A series of a reference method or a comparison instrument; with `runs` its means are paired (RATA).

    Without, every reading is paired with the reference interpolated in time, both neighbours within `tolerance_s`;
    `average_s` makes means of both first. `u` and `u_reference` are standard uncertainties, for York's line.
    """

    series: str
    reference: str
    runs: list[Run] = Field(default=[])
    tolerance_s: Above0 = 60.0
    average_s: Above0 | None = None
    u: Above0 | None = None
    u_reference: Above0 | None = None
    from_: Stamp | None = Field(default=None, alias="from")
    to: Stamp | None = None


class SiteLimit(Strict):
    """A limit of the site, looked at before those of the standard."""

    test: Test
    measurands: list[str] = Field(default=[])
    basis: Basis
    limit: float = Field(ge=0)
    unit: str | None = None
    source: str = Field(min_length=1)
    verified: bool = False


class Declaration(Strict):
    """The whole of RULES. Stamps without a zone, here and in the files, are `utc_offset_h` ahead of UTC."""

    standard: Literal["hj76", "40cfr60", "40cfr75"] | None = None
    utc_offset_h: float = Field(default=0, ge=-14, le=14)
    columns: Columns = Columns()
    series: dict[str, SeriesRules] = Field(min_length=1)
    gases: list[Gas] = Field(default=[])
    references: list[Reference] = Field(default=[])
    limits: list[SiteLimit] = Field(default=[])
    tests: list[Test] = Field(default=[])

    def own_limits(self) -> list[Limit]:
        """The site's rows."""
        return [
            Limit(one.test, one.basis, one.limit, one.source, one.verified, measurands=tuple(one.measurands),
                  unit=one.unit)
            for one in self.limits
        ]  # fmt: skip

    def names(self) -> Mapping[str, str]:
        """Series by their name in the files, in small letters."""
        return {(one.column or name).strip().lower(): name for name, one in self.series.items()}
