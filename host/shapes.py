"""Shapes that the configurations of a station and of the centre share."""

from typing import Annotated, Literal

from pydantic import Field

from host.hjson import Strict
from host.secrets import SecretRef

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
# `instrument.measurand`.
Series = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}[.][a-z0-9_]{1,40}$")]
Mn = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{14,24}$")]
SystemCode = Annotated[str, Field(pattern=r"^[0-9A-Z]{2}$")]


class Position(Strict):
    """Where an inlet stands; `height_m` is above the ground."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    height_m: float = Field(ge=0, le=1000)
    datum: Literal["WGS-84"]


class Tls(Strict):
    """TLS with a client certificate. A broker knows a station by its CN, the station id."""

    ca: str
    certificate: str
    key: SecretRef


class Factor(Strict):
    """How one series travels by HJ 212: absent members come from the measurand catalogue."""

    series: Series
    unit: str | None = None
    decimals: int | None = Field(default=None, ge=0, le=8)
    state: Literal["stack-dry", "ambient-298K"] | None = None
