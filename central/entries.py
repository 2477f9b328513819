"""A delivery of records on its way into the store: bodies decoded, members checked."""

from dataclasses import dataclass
from typing import Any

from central.shapes import Body, shape
from protocols.mqtt.payload import Payload


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. `body` is the exact line; `shape` is its checked members, or one line saying what is wrong."""

    seq: int
    kind: str
    body: bytes
    fields: dict[str, Any]
    shape: Body | str

    @classmethod
    def of(cls, body: bytes, fields: dict[str, Any]) -> "Entry":
        """Entry of a body and its decoded members."""
        return cls(fields["seq"], fields["kind"], body, fields, shape(fields))

    @property
    def at(self) -> str:
        """When the station wrote it, as far as it says so; '' otherwise."""
        written = self.fields.get("t")
        return written if isinstance(written, str) and written.isascii() and len(written) <= 40 else ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records of one epoch with ascending numbers; it accounts for (prev, last]."""

    station_id: str
    epoch: int
    prev: int
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, payload: Payload) -> "Delivery":
        """Delivery of a message that was taken."""
        entries = tuple(Entry.of(row.body, row.fields) for row in payload.rows)
        return cls(payload.station_id, payload.epoch, payload.prev, entries)

    @property
    def tree(self) -> tuple[str, int]:
        """(station_id, epoch): one ledger, one coverage."""
        return self.station_id, self.epoch

    @property
    def last(self) -> int:
        """Seq of the last body."""
        return self.entries[-1].seq
