"""The shape of an HJ 212 uplink in a station's configuration."""

from typing import Annotated, Literal

from pydantic import Field

from agent.config_since import Since
from host.hjson import WHOLE, Strict
from host.secrets import SecretRef
from host.shapes import Factor, Mn, Name, Series, SystemCode

MinuteInterval = Annotated[Literal[1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30], WHOLE]


class Calibrate(Strict):
    """Which configured sequence a platform's command starts for a factor; without one the command is refused."""

    zero: Name | None = None
    span: Name | None = None
    both: Name | None = None
    check: Name | None = None
    blowback: Name | None = None


class SentFactor(Factor):
    """A factor of a platform, what that platform may start for it, and minutes from sample to result (3018)."""

    converted: Series | None = None
    emission: Series | None = None
    calibrate: Calibrate | None = None
    result_min: int | None = Field(default=None, ge=1, le=120)


class Unit(Strict):
    """A treatment unit (`SB1`): it runs while the series is above a value; without one, while the series is valid."""

    series: Series
    running_above: float | None = None


class Info(Strict):
    """One item of station information: of a series, or fixed; neither where the station itself knows it."""

    series: Series | None = None
    decimals: int = Field(default=1, ge=0, le=8)
    value: str | None = None


class Hj212Uplink(Strict):
    """To a platform by HJ 212. `factors` maps pollutant codes to series; time-outs are wall time."""

    kind: Literal["hj212"]
    host: str
    port: int = Field(ge=1, le=65535)
    outlet: Name
    mn: Mn
    st: SystemCode = "31"
    pw: SecretRef
    edition: Annotated[Literal[2005, 2017, 2025], WHOLE] = 2017
    since: Since = "beginning"
    leniencies: list[str] = Field(default=[])
    sm4_key: SecretRef | None = None
    ack: Literal["required", "none"] = "required"
    overtime_s: float = Field(default=10, ge=1, le=99)
    recount: int = Field(default=3, ge=1, le=99)
    realtime_s: int = Field(default=30, ge=30, le=3600)
    minute_min: MinuteInterval = 1
    heartbeat_s: float | None = Field(default=None, ge=10, le=3600)
    allow: list[str] = Field(default=[])
    clock_step_max_s: float = Field(default=3600, gt=0, le=315_576_000)
    periods: list[Literal["minute", "hour", "day"]] = Field(default=["minute", "hour", "day"])
    backfill_per_s: float = Field(default=10, gt=0)
    factors: dict[str, SentFactor] = Field(min_length=1)
    status: dict[str, Unit] = Field(default={})
    info: dict[str, Info] = Field(default={})
    checkpoints: bool = False
