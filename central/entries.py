"""A delivery of records before it touches the store: bodies decoded, in order, of one epoch."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from central.shapes import Body, shape
from protocols.record import RecordError, decode

SEQ_MAX: Final = 2**53


class DeliveryError(ValueError):
    """Bytes that cannot be taken as records; nothing of them is stored or acknowledged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. `body` is the exact line; `shape` is its checked members, or one line saying what is wrong."""

    seq: int
    kind: str
    body: bytes
    fields: dict[str, Any]
    shape: Body | str

    @property
    def at(self) -> str:
        """When the station wrote it, as far as it says so; '' otherwise."""
        written = self.fields.get("t")
        return written if isinstance(written, str) and written.isascii() and len(written) <= 40 else ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one payload brings: `prev` is the last seq selected before the first body, -1 at the start of the epoch."""

    station_id: str
    epoch: int
    prev: int
    entries: tuple[Entry, ...]

    @property
    def last(self) -> int:
        """Seq of the last body."""
        return self.entries[-1].seq


def _entry(epoch: int, body: bytes) -> Entry:
    try:
        fields = decode(body)
    except RecordError as error:
        raise DeliveryError(str(error)) from error
    if fields["epoch"] != epoch:
        raise DeliveryError(f"a body of epoch {fields['epoch']} in an envelope of epoch {epoch}")
    return Entry(fields["seq"], fields["kind"], body, fields, shape(fields))


def read_delivery(station_id: str, epoch: int, prev: int, bodies: Iterable[bytes]) -> Delivery:
    """Decode a delivery. Raises DeliveryError where a body is no record or the sequence numbers do not ascend."""
    entries = tuple(_entry(epoch, body) for body in bodies)
    numbers = [prev, *(entry.seq for entry in entries)]
    if not entries or prev < -1 or epoch > SEQ_MAX or numbers[-1] > SEQ_MAX:
        raise DeliveryError("no bodies, or numbers out of bounds")
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise DeliveryError("sequence numbers do not ascend from prev")
    return Delivery(station_id, epoch, prev, entries)
