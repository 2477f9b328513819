"""What a walk along the log takes and gives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocols.tlog import Frontier


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it lies in the log; `leaf` is the hash kept beside it, None where that is not told.

    `body` is None for raw that was removed; `file` then is the first number of the file it was in.
    """

    epoch: int
    seq: int
    body: bytes | None
    leaf: bytes | None = None
    file: int = 0
    kind: str | None = None

    def says_otherwise(self, fields: Mapping[str, Any]) -> "Iterator[Finding]":
        """Where its body names another place, or another kind than it is kept as: who looks for a kind looks there."""
        if (fields["epoch"], fields["seq"]) != (self.epoch, self.seq):
            yield Finding("says-another-number", self.epoch, self.seq, {"says": [fields["epoch"], fields["seq"]]})
        if self.kind not in (None, fields["kind"]):
            yield Finding(
                "says-another-kind", self.epoch, self.seq, {"kept_as": str(self.kind), "says": fields["kind"]}
            )


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong (`what` is a key of findings.toml) with which record; `told`: the log itself says so."""

    what: str
    epoch: int
    seq: int | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    told: bool = False


@dataclass(slots=True)
class Held:
    """The epoch being walked: the tree under its last believed checkpoint, and the records since then."""

    epoch: int
    next_seq: int = 0
    tree: Frontier = field(default_factory=Frontier)
    broken: bool = False
    since: dict[int, tuple[bytes, str]] = field(default_factory=dict)
    overdue: bool = False
    # Taken over in mid epoch: the first checkpoint may list leaves that are in the tree already.
    midway: bool = False


def brief(fields: Mapping[str, Any]) -> str:
    """Kind of a record and what it is about, for people."""
    about = fields.get("what") or fields.get("instrument") or fields.get("start") or ""
    return f"{fields['kind']} {about} {fields['t']}".replace("  ", " ")
