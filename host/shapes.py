"""Shapes that the configurations of a station and of the centre share."""

from typing import Annotated, Literal

from pydantic import Field

from host.address import is_loopback
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


class PageTls(Strict):
    """TLS of a page: its certificate with those above it, and its key (PEM)."""

    certificate: str
    key: SecretRef


class WebPage(Strict):
    """How people reach a page. Beyond loopback it speaks TLS, itself or by a proxy (`behind_proxy`).

    `names` are the host names it is asked for by, beside addresses and localhost. `notice` is shown before a sign-in.
    """

    host: str = "127.0.0.1"
    tls: PageTls | None = None
    behind_proxy: bool = False
    names: list[str] = Field(default=[], max_length=20)
    idle_min: float = Field(default=30, ge=1, le=720)
    session_h: float = Field(default=12, ge=0.1, le=24)
    notice: str = Field(default="", max_length=1000)

    @property
    def exposed(self) -> bool:
        """Whether passwords would pass a network in clear."""
        return self.tls is None and not self.behind_proxy and not is_loopback(self.host)

    @property
    def reached_by(self) -> list[str] | None:
        """Host names a visitor may ask for; None where a proxy or a network decides and none are given."""
        given = bool(self.names) or not (self.behind_proxy or not is_loopback(self.host))
        return ["localhost", *self.names] if given else None


class Factor(Strict):
    """How one series travels by HJ 212: absent members come from the measurand catalogue."""

    series: Series
    unit: str | None = None
    decimals: int | None = Field(default=None, ge=0, le=8)
    state: Literal["stack-dry", "ambient-298K"] | None = None
