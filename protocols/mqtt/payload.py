"""The payload of `up/{kind}`: an envelope line, then 1..n record bodies byte for byte as they lie in the log.

Lines end with LF except the last. All bodies are of the topic's kind (on `up/backlog` of any) and, among the records
meant for this peer, consecutive; `prev` is the number of the one before the first of them, -1 at the start.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocols import record
from protocols.mqtt.topics import BACKLOG, Topic
from protocols.record import KINDS

ENVELOPE_BYTES_MAX: Final = 1024
PAYLOAD_BYTES_MAX: Final = record.BODY_BYTES_MAX + ENVELOPE_BYTES_MAX
BATCH_BYTES: Final = 128 * 1024
RECORDS_MAX: Final = 1000
SEQ_MAX: Final = 2**53
# An escape of half a pair; behind a backslash that is itself escaped, these are letters of a text.
_SURROGATE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")


class Envelope(BaseModel):
    """First line of a payload. Unknown members are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    v: int = Field(ge=1, le=1)
    station_id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    epoch: int = Field(ge=0, le=SEQ_MAX)
    prev: int = Field(ge=-1, le=SEQ_MAX)


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a payload: the bytes that were logged and what they say."""

    seq: int
    body: bytes
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Payload:
    """What one message brought: it accounts for the sequence numbers (prev, last] of the epoch."""

    station_id: str
    epoch: int
    prev: int
    kind: str
    rows: tuple[Row, ...]

    @property
    def last(self) -> int:
        """Number of the last record."""
        return self.rows[-1].seq


@dataclass(frozen=True, slots=True)
class Refusal:
    """A payload that is not to be believed, and why."""

    reason: str


def build_payload(station_id: str, epoch: int, prev: int, bodies: Iterable[bytes]) -> bytes:
    """Payload of bodies in order. Raises pydantic.ValidationError for an impossible envelope."""
    envelope = Envelope(v=1, station_id=station_id, epoch=epoch, prev=prev)
    return b"\n".join([envelope.model_dump_json().encode(), *bodies])


def parse_payload(topic: Topic, data: bytes) -> Payload | Refusal:
    """Read a message on an `up/{kind}` topic. Whatever the bytes, the answer is a payload or a refusal."""
    if len(data) > PAYLOAD_BYTES_MAX:
        return Refusal(f"{len(data)} bytes, at most {PAYLOAD_BYTES_MAX} are taken")
    head, *bodies = data.split(b"\n", RECORDS_MAX + 1)
    if not 1 <= len(bodies) <= RECORDS_MAX or len(head) > ENVELOPE_BYTES_MAX:
        return Refusal(f"no envelope line followed by 1 to {RECORDS_MAX} bodies")
    try:
        envelope = Envelope.model_validate_json(head)
        rows = tuple(_row(body) for body in bodies)
    except ValidationError as error:
        return Refusal(f"envelope: {error.errors()[0]['msg']}")
    except ValueError as error:  # record.RecordError, and json's refusal of numbers of more than 4300 digits
        return Refusal(f"body: {error}")
    if wrong := _mismatch(topic, envelope, rows):
        return Refusal(wrong)
    return Payload(envelope.station_id, envelope.epoch, envelope.prev, topic.leaf, rows)


def parse_envelope(data: bytes) -> Envelope | None:
    """The first line alone, of a payload whose bodies are refused; None where that is none of ours."""
    head = data[: ENVELOPE_BYTES_MAX + 1].partition(b"\n")[0]
    try:
        return Envelope.model_validate_json(head)
    except ValidationError:
        return None


def _row(body: bytes) -> Row:
    # RFC 8785 writes characters as UTF-8; an escape of a surrogate half would be text that no store can keep.
    if _SURROGATE.search(body):
        raise record.RecordError("surrogate escape, not canonical")
    fields = record.decode(body)
    return Row(fields["seq"], body, fields)


def _mismatch(topic: Topic, envelope: Envelope, rows: Sequence[Row]) -> str | None:
    if envelope.station_id != topic.station_id:
        return f"station {envelope.station_id} on the topic of {topic.station_id}"
    seqs = [envelope.prev, *(row.seq for row in rows)]
    if any(later <= earlier for earlier, later in itertools.pairwise(seqs)) or seqs[-1] > SEQ_MAX:
        return "sequence numbers do not ascend from prev"
    kinds = KINDS if topic.leaf == BACKLOG else {topic.leaf}
    for row in rows:
        if row.fields["epoch"] != envelope.epoch or row.fields["kind"] not in kinds:
            return f"record {row.seq} is of another epoch or kind"
    return None


def runs(records: Iterable[tuple[str, bytes]], count_max: int, bytes_max: int) -> Iterator[int]:
    """Lengths of the payloads that (kind, body) records make: one kind each, at most `count_max` and `bytes_max`.

    A single body may exceed `bytes_max`.
    """
    kind, count, size = "", 0, 0
    for next_kind, body in records:
        if count and (next_kind != kind or count >= count_max or size + len(body) + 1 > bytes_max):
            yield count
            count, size = 0, 0
        kind, count, size = next_kind, count + 1, size + len(body) + 1
    if count:
        yield count
