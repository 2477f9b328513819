"""The shape of what a station's configuration says about the machine's clock."""

from pydantic import Field

from host.hjson import Strict

HELPER: str = "/run/plumeline-clock.sock"


class ClockCare(Strict):
    """`trusted`: kept right by something that this machine cannot see. `wait_min`: null waits for ever."""

    trusted: bool = False
    wait_min: float | None = Field(default=10, ge=0)
    helper: str = HELPER
