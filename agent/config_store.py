"""The shape of the store in a station's configuration: where the log lies, how much it may take, what gives way."""

from typing import Literal

from pydantic import Field

from host.hjson import Strict


class Space(Strict):
    """Free percent of quota or disk, whichever is worse, at which each step begins; and the ballast's size."""

    warning_percent: float = Field(default=15, ge=0, lt=100)
    alarm_percent: float = Field(default=10, ge=0, lt=100)
    optional_percent: float = Field(default=5, ge=0, lt=100)
    reserve_percent: float = Field(default=2, ge=0, lt=100)
    ballast_MB: float = Field(default=32, ge=0.125, le=10_000)


class Store(Strict):
    """The log and its index. `commit_ms`: how long the first waiting record may wait for company (50 SSD, 1000 SD).

    `commit_records`: where so many wait they are committed at once, however long they still might.
    """

    path: str
    commit_ms: int = Field(default=50, ge=0, le=10_000)
    commit_records: int = Field(default=1000, ge=1, le=10_000)
    quota_GB: float = Field(default=20, gt=0)
    keep_raw_years: float = Field(default=5, gt=0, le=100)
    second_copy: list[Literal["centre", "medium"]] = Field(default=[])
    space: Space = Space()
