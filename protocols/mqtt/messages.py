"""The messages that are no records: the centre's acknowledgement, the station's state and birth.

Strict in what they hold, tolerant of members a later version adds.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.mqtt.coverage import Coverage, Span
from protocols.mqtt.payload import SEQ_MAX, Refusal
from protocols.record import BODY_BYTES_MAX

MISSING_MAX: Final = 100
REFUSED_MAX: Final = 20
REASON_MAX: Final = 200
STORE_MAX: Final = 40
MESSAGE_BYTES_MAX: Final = 64 * 1024
# A birth names every series: room for some ten thousand.
BIRTH_BYTES_MAX: Final = 1024 * 1024
# A record in base64, and what is around it.
CHALLENGED_BYTES_MAX: Final = BODY_BYTES_MAX * 4 // 3 + 1024

Seq = Annotated[int, Field(ge=0, le=SEQ_MAX)]
Prev = Annotated[int, Field(ge=-1, le=SEQ_MAX)]
Reason = Annotated[str, Field(max_length=REASON_MAX)]


class Message(BaseModel):
    """What all have in common."""

    # JSON may hold 1e400, which is read as infinity and cannot be written again.
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    bytes_max: ClassVar[int] = MESSAGE_BYTES_MAX

    v: Literal[1] = 1


class Ack(Message):
    """What the centre has committed of one epoch: all of 0..upto except `missing`.

    `through` is the number before the first hole, -1 where 0 is missing. Where more than MISSING_MAX holes exist,
    `upto` ends before the first that is not listed. An ack without `upto` knows nothing behind its last hole.
    `refused` names messages that came and cannot be stored: the `prev` of each, and why. `store` names the opening of
    the store that says so: a new one may hold less than the one before acknowledged (an older copy was put back).
    """

    epoch: Seq
    through: int = Field(ge=-1, le=SEQ_MAX)
    missing: tuple[tuple[Seq, Seq], ...] = Field(default=(), max_length=MISSING_MAX)
    upto: int | None = Field(default=None, ge=-1, le=SEQ_MAX)
    refused: tuple[
        tuple[Annotated[int, Field(ge=-1, le=SEQ_MAX)], Annotated[str, Field(max_length=REASON_MAX)]], ...
    ] = Field(default=(), max_length=REFUSED_MAX)
    store: str | None = Field(default=None, max_length=STORE_MAX)

    @model_validator(mode="after")
    def _ordered(self) -> "Ack":
        edge = self.through
        for first, last in self.missing:
            if first <= edge or last < first:
                raise ValueError("missing ranges must ascend above through")
            edge = last
        if self.upto is not None and self.upto < edge:
            raise ValueError("upto lies below through or a missing range")
        return self

    @property
    def highest(self) -> int:
        """Up to where the ack knows."""
        if self.upto is not None:
            return self.upto
        return self.missing[-1][1] if self.missing else self.through

    def stored(self) -> Iterator[Span]:
        """Inclusive spans the centre has."""
        yield from Coverage.of(self.missing).holes(self.highest)

    @classmethod
    def of(
        cls, epoch: int, coverage: Coverage, refused: Mapping[int, str] | None = None, store: str | None = None
    ) -> "Ack":
        """Acknowledge what is covered; `refused` gives the reason by `prev`, the first REFUSED_MAX are told."""
        holes = list(coverage.holes(coverage.highest))
        upto = coverage.highest if len(holes) <= MISSING_MAX else holes[MISSING_MAX][0] - 1
        told = tuple((prev, reason[:REASON_MAX]) for prev, reason in (refused or {}).items())[:REFUSED_MAX]
        missing = tuple(holes[:MISSING_MAX])
        return cls(epoch=epoch, through=coverage.through, missing=missing, upto=upto, refused=told, store=store)


class Witnessed(Message):
    """The centre saw a checkpoint and that it continues those before: its cosignature, one signature line.

    `size` is the checkpoint's in the tree of `epoch`. What it covers is covered by every later one too: a lost message
    of this kind costs nothing.
    """

    epoch: Seq
    size: Seq
    line: str = Field(max_length=400)


class Challenge(Message):
    """The centre asks for a record as it lies in the station's log now."""

    epoch: Seq
    seq: Seq


class Challenged(Message):
    """The station's answer: the record's bytes, or the record that tells of their deletion; neither: it has none."""

    bytes_max: ClassVar[int] = CHALLENGED_BYTES_MAX

    station_id: str
    epoch: Seq
    seq: Seq
    body: str | None = Field(default=None, max_length=CHALLENGED_BYTES_MAX)
    gone: tuple[Seq, Seq] | None = None


class State(Message):
    """Retained: whether the station is connected. The broker publishes the will (`online` false) when it vanishes."""

    station_id: str
    online: bool
    t: str


class BirthSeries(Message):
    """One series a station measures: its unit, and whether it goes to a government platform uncorrected."""

    unit: str
    kind: Literal["regulated", "research"]


class Birth(Message):
    """Who the station is, after each connect: names, place, key, and the series it will send.

    A birth is at most BIRTH_BYTES_MAX long: `series_left_out` counts series it has no room for.
    """

    bytes_max: ClassVar[int] = BIRTH_BYTES_MAX

    station_id: str
    network: str
    t: str
    epoch: Seq
    name_zh: str
    name_en: str
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    height_m: float
    simulated: bool
    vkey: str
    series: dict[str, BirthSeries]
    series_left_out: int | None = Field(default=None, ge=1)

    def fitted(self) -> "Birth":
        """The same with as many of its series as fit, the first of them."""
        room = self.bytes_max - len(build_message(self.model_copy(update={"series": {}, "series_left_out": SEQ_MAX})))
        kept: dict[str, BirthSeries] = {}
        for name, series in self.series.items():
            room -= len(json.dumps(name)) + len(build_message(series)) + len(":,")
            if room < 0:
                break
            kept[name] = series
        left_out = len(self.series) - len(kept)
        return self.model_copy(update={"series": kept, "series_left_out": left_out}) if left_out else self


M = TypeVar("M", bound=Message)


def build_message(message: Message) -> bytes:
    """Payload of a message; members that are None are left out."""
    return message.model_dump_json(exclude_none=True).encode()


def parse_message(model: type[M], data: bytes) -> M | Refusal:
    """Read a message of the given kind. Whatever the bytes, the answer is a message or a refusal."""
    if len(data) > model.bytes_max:
        return Refusal(f"{len(data)} bytes, at most {model.bytes_max} are taken")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        return Refusal(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
