"""A closed file of the log, walked record by record up to a signed root: what a second copy is verified by."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from agent.store.segment import Segment
from host.sqlite import DatabaseRefusedError
from protocols.tlog import Frontier, NoteError, leaf_hash, open_checkpoint


class UnprovenError(Exception):
    """The file is not what was signed, or nothing signed covers it; the text says why."""


@dataclass(frozen=True, slots=True)
class Root:
    """What proves a file: the tree before it, the leaves behind it up to a checkpoint, and the checkpoint's record."""

    before: Frontier
    after: tuple[bytes, ...]
    checkpoint: dict[str, Any]

    def fields(self) -> dict[str, Any]:
        """As it lies beside a copy, and travels over the socket."""
        return {
            "before": base64.b64encode(self.before.to_bytes()).decode(),
            "after": base64.b64encode(b"".join(self.after)).decode(),
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Root":
        """Inverse of `fields`. Raises KeyError, ValueError."""
        after = base64.b64decode(fields["after"])
        hashes = tuple(after[at : at + 32] for at in range(0, len(after), 32))
        return cls(Frontier.from_bytes(base64.b64decode(fields["before"])), hashes, dict(fields["checkpoint"]))


@dataclass(frozen=True, slots=True)
class Proven:
    """Records `first` to `last` of an epoch are under `root` (base64) of a tree of `size`."""

    epoch: int
    first: int
    last: int
    size: int
    root: str


def proven(path: Path, root: Root, vkeys: Iterable[str], *, still: bool = False) -> Proven:
    """Walk a closed file: every body against its leaf, every leaf into the tree, the tree against the signature.

    `still` for a copy on a medium. Raises UnprovenError, naming the first record that does not hold.
    """
    try:
        segment = Segment(path, exclusive=False, still=still)
    except (apsw.Error, DatabaseRefusedError) as error:
        raise UnprovenError(f"{path.name} cannot be read: {error}") from error
    try:
        return _walked(segment, root, tuple(vkeys))
    except apsw.Error as error:
        raise UnprovenError(f"{path.name} cannot be read: {error}") from error
    finally:
        segment.close()


def _walked(segment: Segment, root: Root, vkeys: tuple[str, ...]) -> Proven:
    tree, expected = root.before, segment.first_seq
    if tree.size != expected:
        raise UnprovenError(
            f"{segment.path.name}: the tree before it ends at {tree.size}, the file begins at {expected}"
        )
    for seq, _, leaf, body in segment.walk():
        if seq != expected:
            raise UnprovenError(f"{segment.path.name}: record {expected} is missing")
        if body and leaf_hash(body) != leaf:
            raise UnprovenError(f"{segment.path.name}: record {seq} is not what was written")
        tree = tree.append(leaf)
        expected += 1
    if expected != segment.next_seq or expected == segment.first_seq:
        raise UnprovenError(f"{segment.path.name}: ends before record {segment.next_seq}")
    tree = tree.extend(root.after)
    try:
        signed = open_checkpoint(root.checkpoint["note"], vkeys)
    except NoteError as error:
        raise UnprovenError(f"{segment.path.name}: its checkpoint is not signed by this station: {error}") from error
    if (signed.size, signed.root) != (tree.size, tree.root()):
        raise UnprovenError(f"{segment.path.name}: its records do not give the signed root")
    if not signed.origin.endswith(f"/{segment.epoch}"):
        raise UnprovenError(f"{segment.path.name}: the checkpoint is one of {signed.origin}")
    told = base64.b64encode(signed.root).decode()
    return Proven(segment.epoch, segment.first_seq, expected - 1, signed.size, told)
