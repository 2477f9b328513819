"""A report carries the proof that its records lie in a tree the station signed: paths, and the notes they lead to.

Paths of neighbours share most hashes: each stands once in `nodes`, a path is a list of places there. `checkpoints`
holds the signed note of each checkpoint, with the witness's line where the station has it; `records` says per record
which.
"""

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from calibration.reports.document import RecordId, record_name
from host.history import Fields, History
from protocols.tlog import Frontier, NoteError, open_checkpoint, parse_checkpoint, split_hashes, split_note
from protocols.tlog_proofs import Grown, verify_inclusion

# Records behind so many that no beginning of a tree is known for go without: the leaves of years are not hashed anew.
UNKNOWN_MAX: Final = 5_000_000
_UNSIGNED: Final = "no signature of a known key"


def ledger_of(history: History, wanted: Collection[RecordId]) -> dict[str, Any] | None:
    """Proofs for records; those under no checkpoint yet have none, and without any there is nothing."""
    nodes: dict[bytes, int] = {}
    notes: dict[str, str] = {}
    records: dict[str, Any] = {}
    for epoch in sorted({epoch for epoch, _ in wanted}):
        numbers = sorted(seq for own, seq in wanted if own == epoch)
        for seq, size, note, path in _proven(history, epoch, numbers):
            name = f"{epoch}:{size}"
            notes.setdefault(name, note + _cosignature(history, epoch, size))
            records[record_name((epoch, seq))] = [name, [nodes.setdefault(one, len(nodes)) for one in path]]
    if not records:
        return None
    return {
        "checkpoints": notes, "nodes": [base64.b64encode(one).decode() for one in nodes], "records": records,
    }  # fmt: skip


def _proven(history: History, epoch: int, numbers: Sequence[int]) -> Iterator[tuple[int, int, str, list[bytes]]]:
    """Number, size, note and path of each record that a checkpoint covers, ascending."""
    left = list(numbers)
    while left:
        begin = _begin(history, epoch, left[0])
        if begin is None and left[-1] > UNKNOWN_MAX:
            return
        tree = begin or Frontier()
        # A centre may have begun later than the oldest of them.
        left = [seq for seq in left if seq >= tree.size]
        before = len(left)
        for fields in history.checkpoints(epoch, tree.size):
            leaves = _leaves(fields, tree.size)
            if leaves is None:
                break
            here = [seq for seq in left if seq < fields["size"]]
            if here:
                grown = Grown(tree, leaves)
                for seq in here:
                    yield seq, fields["size"], fields["note"], grown.prove_inclusion(seq)
                left = left[len(here) :]
            tree = tree.extend(leaves)
            if not left:
                return
            # A later file knows its own beginning: what lies between is not walked.
            if here and ((later := _begin(history, epoch, left[0])) is not None and later.size > tree.size):
                break
        if len(left) == before:
            return


def _begin(history: History, epoch: int, seq: int) -> Frontier | None:
    told = history.tree_before(epoch, seq)
    return Frontier.from_bytes(base64.b64decode(told)) if told else None


def _leaves(fields: Fields, known: int) -> list[bytes] | None:
    """Leaves from `known` on; None where the checkpoint does not continue the tree."""
    try:
        leaves = split_hashes(base64.b64decode(fields["leaves"], validate=True))
    except ValueError:
        return None
    first = fields["size"] - len(leaves)
    return leaves[known - first :] if first <= known <= fields["size"] else None


def _cosignature(history: History, epoch: int, size: int) -> str:
    """The witness's line behind a note, where the station recorded one soon after."""
    for fields in history.after(epoch, size, frozenset({"event"})):
        told = fields.get("checkpoint") if fields.get("what") == "cosigned" else None
        if isinstance(told, dict) and (told.get("epoch"), told.get("size")) == (epoch, size):
            return str(told["cosignature"])
    return ""


def fault(report: Mapping[str, Any], vkeys: Sequence[str]) -> str:
    """The first record whose proof does not hold, `ledger` and its name; '' where all hold, or the report has none.

    A note by a key that is not among the known is not judged; one that names a known key must be its signature. Raises
    KeyError, TypeError, ValueError for a report that makes no sense.
    """
    ledger = report.get("ledger")
    if ledger is None:
        return ""
    nodes = [base64.b64decode(one, validate=True) for one in ledger["nodes"]]
    station = report["header"]["station"]
    for name, (checkpoint, places) in ledger["records"].items():
        epoch, _, seq = name.partition("-")
        held = _opened(ledger["checkpoints"][checkpoint], vkeys)
        leaf = base64.b64decode(report["leaves"][name])
        path = [nodes[place] for place in places]
        if held is None or held.origin != f"plumeline/{station}/{epoch}":
            return f"ledger {name}"
        if not verify_inclusion(leaf, int(seq), held.size, path, held.root):
            return f"ledger {name}"
    return ""


def _opened(note: str, vkeys: Sequence[str]) -> Any:
    try:
        return open_checkpoint(note, vkeys)
    except NoteError as error:
        return parse_checkpoint(split_note(note)[0]) if str(error) == _UNSIGNED else None
