"""What the centre requires of a record's members, by kind: bytes of a station are foreign until they passed here.

The members are those of `protocols.record`; unknown ones are let pass, since stations may be newer than the centre.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, Strict, ValidationError

from metrology.periods import iso, parse_iso
from protocols.record import RecordError, encode


def _canonical(text: str) -> str:
    try:
        return iso(parse_iso(text))
    except OverflowError as error:
        raise ValueError(str(error)) from error


Instant = Annotated[str, Field(max_length=40), AfterValidator(_canonical)]
Text = Annotated[str, Field(max_length=200)]
Origin = Annotated[str, Field(max_length=2000)]
Count = Annotated[int, Field(ge=0, le=2**53)]
# A JSON array is a list, which the strict mode would not take for a tuple.
Marks = list[Annotated[tuple[Text, Origin, Instant], Strict(False)]]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Value(_Shape):
    """One value of a scan."""

    x: FiniteFloat | None
    u: Text
    q: Marks = []


class ScanBody(_Shape):
    """One answer of one instrument."""

    instrument: Text
    at: Instant
    values: dict[Text, Value] = Field(max_length=1000)


class Row(_Shape):
    """One series of an average record."""

    u: Text
    n: Count
    valid: FiniteFloat
    mean: FiniteFloat | None
    min: FiniteFloat | None
    max: FiniteFloat | None
    sd: FiniteFloat | None
    rule: Text
    rev: Count
    final: bool
    q: Marks = []
    unc: list[FiniteFloat] | None = None


class AverageBody(_Shape):
    """All series of one period."""

    start: Instant
    period_s: Annotated[int, Field(ge=1, le=400 * 86400)]
    rows: dict[Text, Row] = Field(max_length=1000)


class CalibrationBody(_Shape):
    """A step of a run or what came of it."""

    t: Instant
    what: Text
    run: Text | None = None


class EventBody(_Shape):
    """Something that happened at the station."""

    t: Instant
    what: Text
    origin: Text


class ConfigBody(_Shape):
    """A configuration in force from here on."""

    t: Instant
    sha256: Text
    version: Text | int


class GapBody(_Shape):
    """A span without data that the station itself declares."""

    t: Instant
    from_: Annotated[Instant, Field(alias="from")]
    to: Instant
    reason: Text


class CheckpointBody(_Shape):
    """A signed tree head with the leaf hashes since the one before it, and the tree these were added to."""

    t: Instant
    size: Count
    root: Text
    note: Annotated[str, Field(max_length=16 * 1024)]
    leaves: Annotated[str, Field(max_length=200 * 1024)]
    before: Annotated[str, Field(max_length=4096)] = ""


Body = ScanBody | AverageBody | CalibrationBody | EventBody | ConfigBody | GapBody | CheckpointBody
_SHAPES: dict[str, type[Body]] = {
    "scan": ScanBody,
    "average": AverageBody,
    "calibration": CalibrationBody,
    "event": EventBody,
    "config": ConfigBody,
    "gap": GapBody,
    "checkpoint": CheckpointBody,
}


def shape(fields: dict[str, Any]) -> Body | str:
    """Members of a decoded record as its kind's shape, or one line saying what is wrong with them."""
    try:
        if fields["kind"] in ("event", "calibration"):
            encode(fields)  # all of their members are kept, so all must be fit to be kept
        return _SHAPES[fields["kind"]].model_validate(fields)
    except RecordError as error:
        return str(error)[:500]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:500]


def causes(marks: Marks) -> str:
    """Sorted causes joined by commas; '' is good."""
    return ",".join(sorted({cause for cause, _, _ in marks}))
