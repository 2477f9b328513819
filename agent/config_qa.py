"""The shape of what a station's configuration says of quality assurance: rule sets, limits of its own, declarations."""

from typing import Annotated, Literal

from pydantic import Field

from agent.config_gas import Role
from host.hjson import Strict

Limit = Annotated[float, Field(gt=0)]


class OwnLimit(Strict):
    """Limits of the site, before those of the rule set: percent of full scale, amounts in `unit`, or both.

    Of both the wider one counts. `verified`: whether somebody saw them in the document `source` names.
    """

    measurands: list[str] = Field(default=[])
    role: Role
    scale_to: Limit | None = None
    assigned_to_percent: Limit | None = None
    unit: str | None = None
    warn_percent: Limit | None = None
    pass_percent: Limit | None = None
    out_percent: Limit | None = None
    warn_absolute: Limit | None = None
    pass_absolute: Limit | None = None
    out_absolute: Limit | None = None
    repeat_count: int | None = Field(default=None, ge=2, le=100)
    back_dates: bool = False
    source: str = Field(min_length=1)
    verified: bool = False


class Qa(Strict):
    """How checks of an instrument are judged. `sd`: standard deviations for charts, by measurand and role.

    `chart` is the one of en14181, CUSUM where absent.
    """

    rules: Literal["hj75", "40cfr60", "40cfr75", "en14181", "wmo", "wmo-south"] | None = None
    limits: list[OwnLimit] = Field(default=[])
    sd: dict[str, dict[Role, Limit]] = Field(default={})
    chart: Literal["cusum", "shewhart", "ewma"] | None = None


class Declared(Strict):
    """What an instrument is filed as. Texts are compared as they are, numbers within a part in a million."""

    serial: str | None = None
    approval: str | None = None
    range: dict[str, float] = Field(default={})
    slope: dict[str, float] = Field(default={})
    offset: dict[str, float] = Field(default={})
    fields: dict[str, str] = Field(default={})
