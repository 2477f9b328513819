"""Where a record stands in the ledger: its leaf, the checkpoint over it, the proof; and whether it is as it was.

A body is canonical, so that it can be written again from its members: another leaf hash than the one a checkpoint lists
means that the body was altered after it was written, or the checkpoint was.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

from host.history import History, Ledger, Source
from metrology.periods import EPOCH
from protocols.record import encode
from protocols.tlog import Frontier, NoteError, leaf_hash, open_checkpoint, split_hashes
from protocols.tlog_keys import read_rotation
from protocols.tlog_proofs import Grown, verify_inclusion

Fields = Mapping[str, Any]
Seal = Literal["kept", "altered", "open"]
# So many lists of leaves are held: the records of one trace lie under few checkpoints.
LISTS_MAX: Final = 64
# Leaves of one file of the log: a day of sixty records a second.
LEAVES_MAX: Final = 6_000_000
ALWAYS: Final = datetime(9999, 1, 1, tzinfo=UTC)
CHECKPOINT: Final = frozenset({"checkpoint"})


class Kept(Source, Ledger, Protocol):
    """A source that holds the log itself."""


class Seals:
    """Compares bodies with the leaves that checkpoints list."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._lists: dict[tuple[int, int], list[bytes]] = {}

    def of(self, fields: Fields) -> Seal:
        """`kept`: the leaf a checkpoint lists is that of this body. `open`: no checkpoint covers it yet."""
        epoch, seq = fields["epoch"], fields["seq"]
        leaf = self._listed(epoch, seq)
        if leaf is None:
            checkpoint = self._history.checkpoint_over(epoch, seq)
            if checkpoint is None:
                return "open"
            leaves = listed(checkpoint)
            self._lists[epoch, checkpoint["size"] - len(leaves)] = leaves
            while len(self._lists) > LISTS_MAX:
                self._lists.pop(next(iter(self._lists)))
            leaf = self._listed(epoch, seq)
        # Where the checkpoint over it does not list it, one of the two is not as it was.
        return "kept" if leaf == leaf_hash(encode(fields)) else "altered"

    def _listed(self, epoch: int, seq: int) -> bytes | None:
        """The leaf listed for a record in the lists at hand."""
        for (own, first), leaves in self._lists.items():
            if own == epoch and first <= seq < first + len(leaves):
                return leaves[seq - first]
        return None


def listed(checkpoint: Fields) -> list[bytes]:
    """Leaf hashes a checkpoint lists, those since the one before it; none where they make no sense."""
    try:
        return split_hashes(base64.b64decode(checkpoint["leaves"], validate=True))
    except (ValueError, binascii.Error):
        return []


def position(source: Kept, history: History, fields: Fields) -> dict[str, Any]:
    """Epoch, number and leaf of a record; the checkpoint that covers it and whether the proof to its root holds."""
    epoch, seq = fields["epoch"], fields["seq"]
    leaf = leaf_hash(encode(fields))
    found: dict[str, Any] = {"epoch": epoch, "seq": seq, "leaf": leaf.hex(), "checkpoint": None}
    checkpoint = history.checkpoint_over(epoch, seq)
    if checkpoint is None:
        return found
    found["checkpoint"] = {
        "seq": checkpoint["seq"],
        "t": checkpoint["t"],
        "size": checkpoint["size"],
        "root": checkpoint["root"],
        "note": checkpoint["note"],
        **_signature(checkpoint, _vkeys(source.vkey(), history), history),
    }
    return {**found, **_proof(source, checkpoint, seq, leaf)}


def _vkeys(vkey: str | None, history: History) -> list[str]:
    """The key of today and those before it, back through the changes of key that both keys signed."""
    if vkey is None:
        return []
    found = [vkey]
    rotated = {fields["vkey"]: fields for fields in history.told("event", EPOCH, ALWAYS, ("key-rotated",))}
    while len(found) <= len(rotated) and (change := rotated.get(found[-1])) is not None:
        former = str(change["former"])
        try:
            read_rotation(change, former.partition("+")[0].removeprefix("plumeline/"), former)
        except NoteError:
            break
        found.append(former)
    return found


def _signature(checkpoint: Fields, vkeys: Sequence[str], history: History) -> dict[str, Any]:
    """The key that is said to have signed, and whether it did; None where its public half is not known here.

    That of an epoch that ended because its key was lost is not known.
    """
    line = checkpoint["note"].rstrip("\n").rsplit("\n", 1)[-1].split(" ")
    key = line[1] if len(line) > 1 else None
    if not vkeys:
        return {"key": key, "signature": None}
    try:
        opened = open_checkpoint(checkpoint["note"], vkeys)
    except NoteError:
        lost = (fields["of_epoch"] for fields in history.told("event", EPOCH, ALWAYS, ("key-lost",)))
        return {"key": key, "signature": None if max(lost, default=-1) >= checkpoint["epoch"] else False}
    same = (opened.size, base64.b64encode(opened.root).decode()) == (checkpoint["size"], checkpoint["root"])
    return {"key": key, "signature": same}


def _proof(source: Kept, checkpoint: Fields, seq: int, leaf: bytes) -> dict[str, Any]:
    """The path from the leaf to the root of the checkpoint, made of the leaves that checkpoints list."""
    tree = _tree(source, checkpoint, seq)
    if tree is None:
        return {"path": None, "included": None}
    path = tree.prove_inclusion(seq)
    root = base64.b64decode(checkpoint["root"])
    return {
        "path": [one.hex() for one in path],
        "included": verify_inclusion(leaf, seq, checkpoint["size"], path, root),
    }


def _tree(source: Kept, checkpoint: Fields, seq: int) -> Grown | None:
    """The tree of the checkpoint from the beginning of the file that holds the record; None where that is not known."""
    epoch, size = checkpoint["epoch"], checkpoint["size"]
    told = source.tree_before(epoch, seq)
    if told is None:
        return None
    begin = Frontier.from_bytes(base64.b64decode(told))
    leaves: list[bytes] = []
    after = begin.size
    while begin.size + len(leaves) < size and len(leaves) < LEAVES_MAX:
        page = source.numbered(epoch, after, CHECKPOINT, 200)
        if not page:
            return None
        for one in page:
            known = begin.size + len(leaves)
            own = listed(one)
            first = one["size"] - len(own)
            if first > known:
                return None
            leaves += own[known - first :] if one["size"] <= size else []
        after = page[-1]["seq"]
    return Grown(begin, leaves) if begin.size + len(leaves) == size else None
