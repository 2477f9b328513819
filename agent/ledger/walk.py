"""The walk along a log: what was altered, removed, reordered, or signed by somebody else, each named with its record.

Rows are given in the order of their numbers, epoch by epoch; what is held of them is bounded. Bodies are compared with
the leaves that checkpoints list, those with the roots that are signed: so one altered record is one finding.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from agent.analysis.ledger import listed
from agent.ledger.findings import Finding, Held, Row, brief
from agent.ledger.periods import Periods
from protocols import record
from protocols.tlog import (
    Checkpoint,
    NoteError,
    Verifier,
    checkpoint_text,
    leaf_hash,
    open_checkpoint,
    parse_checkpoint,
    split_note,
)
from protocols.tlog_cosign import WitnessKey
from protocols.tlog_keys import read_rotation

__all__ = ["Finding", "Row", "Walk"]

# A checkpoint comes at least once in 1000 records; the one that is due then may be the next.
UNCOVERED_MAX: Final = 1_010
HOLES_MAX: Final = 10_000
NOTES_MAX: Final = 200_000
WITNESSES_MAX: Final = 20

Fields = Mapping[str, Any]


class Walk:
    """Takes rows, gives findings. `vkeys` are the keys that may have signed; none: signatures are not judged.

    A walk that does not begin with the log goes on from `held`: what the file before ended with.
    """

    def __init__(self, vkeys: Iterable[str], witness_vkey: str | None = None, held: Held | None = None) -> None:
        """Raises NoteError for a key that is none."""
        self._vkeys = tuple(vkeys)
        for vkey in self._vkeys:
            Verifier.from_vkey(vkey)
        self._witness = WitnessKey.from_vkey(witness_vkey) if witness_vkey else None
        self._held = held
        self._origin: str | None = None
        self._replaced: int | None = None
        self._skipped: Finding | None = None
        self._jumps: list[Finding] = []
        self._restored: set[int] = set()
        self._periods = Periods()
        self._holes: list[tuple[int, int, int]] = []
        self._lost: list[tuple[int, int, int | None]] = []
        self._gone: dict[tuple[int, int], tuple[int, int]] = {}
        self._deleted: list[Fields] = []
        self._notes: dict[tuple[int, int], str] = {}
        # In the order they came into force; and how far each witness that the log names has cosigned.
        self.keys = list(self._vkeys)
        self.witnesses: dict[str, tuple[int, int]] = {}
        self.counts: Counter[str] = Counter()
        self.first = self.last = ""
        self.newest: Checkpoint | None = None

    def take(self, row: Row) -> Iterator[Finding]:
        """Look at the next record."""
        if self._held is None or row.epoch != self._held.epoch:
            self._begin(row.epoch)
        held = self._held
        assert held is not None, "begun just now"
        yield from self._number(held, row)
        if row.body is None:
            self._removed(held, row)
            return
        leaf = leaf_hash(row.body)
        if row.leaf not in (None, leaf):
            yield Finding("leaf-differs", row.epoch, row.seq)
        self.counts["records"] += 1
        try:
            fields = record.decode(row.body)
        except record.RecordError as error:
            held.since[row.seq] = leaf, "?"
            yield Finding("unreadable", row.epoch, row.seq, {"why": str(error)})
            return
        yield from row.says_otherwise(fields)
        try:
            # All at once: a body that somebody altered may lack what its kind has.
            yield from list(self._meaning(held, row, fields))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield Finding("unreadable", row.epoch, row.seq, {"why": f"{type(error).__name__}: {error}"})
        held.since[row.seq] = leaf, brief(fields)
        if len(held.since) > UNCOVERED_MAX:
            held.since.pop(next(iter(held.since)))
            if not held.overdue:
                yield Finding("checkpoint-overdue", row.epoch, row.seq, {"records": UNCOVERED_MAX})
            held.overdue = True

    def end(self) -> Iterator[Finding]:
        """What can be said only when all was seen: numbers that are not there."""
        self.counts["open"] = len(self._held.since) if self._held else 0
        for epoch, first, last in self._holes:
            told = any(
                own == epoch and begin <= first and (until is None or last <= until) for own, begin, until in self._lost
            )
            yield Finding("numbers-missing", epoch, first, {"from": first, "to": last}, told)
        yield from self._without_raw()
        yield from self._orphans()

    def _removed(self, held: Held, row: Row) -> None:
        """Raw whose body is gone: its leaf still has to be the one that was signed."""
        self.counts["gone"] += 1
        if row.leaf is not None:
            held.since[row.seq] = row.leaf, "scan"
        first, last = self._gone.get((row.epoch, row.file), (row.seq, row.seq))
        self._gone[row.epoch, row.file] = min(first, row.seq), max(last, row.seq)

    def _without_raw(self) -> Iterator[Finding]:
        """Files whose raw is gone: by a deletion on record, which says where a second copy is, or by nobody's word."""
        for (epoch, _), (first, last) in sorted(self._gone.items()):
            told = next(
                (
                    one
                    for one in self._deleted
                    if one["of_epoch"] == epoch and one["first"] <= first <= last <= one["last"]
                ),
                None,
            )
            span = {"from": first, "to": last}
            if told is None:
                yield Finding("raw-missing", epoch, first, span)
            else:
                where = " ".join(str(told["copy"].get(name, "")) for name in ("at", "uplink", "medium")).strip()
                yield Finding("raw-removed", epoch, first, {**span, "copy": where, "root": told["root"]}, told=True)

    def _orphans(self) -> Iterator[Finding]:
        """Epochs that begin for no reason the log tells; those before new hardware lie at the centre."""
        if self._skipped is not None:
            told = self._replaced == self._skipped.detail["to"]
            yield Finding("epochs-missing", self._skipped.epoch, None, self._skipped.detail, told)
        for jump in self._jumps:
            yield Finding(jump.what, jump.epoch, None, jump.detail, jump.epoch in self._restored)
        for epoch in self._periods.unexplained_epochs:
            yield Finding("epoch-unexplained", epoch, 0)

    def _begin(self, epoch: int) -> None:
        before = self._held.epoch if self._held else 0
        if epoch != before + 1 and (self._held or epoch > 1):
            skipped = Finding("epochs-missing", epoch, None, {"from": before + 1, "to": epoch - 1})
            if self._held is None:
                self._skipped = skipped
            else:
                self._jumps.append(skipped)
        self._held = Held(epoch)
        self._periods.begin(epoch)
        self.counts["epochs"] += 1

    def _number(self, held: Held, row: Row) -> Iterator[Finding]:
        if row.seq > held.next_seq and len(self._holes) < HOLES_MAX:
            self._holes.append((row.epoch, held.next_seq, row.seq - 1))
        if row.seq < held.next_seq:
            yield Finding("number-repeated", row.epoch, row.seq)
        held.next_seq = max(held.next_seq, row.seq + 1)

    def _meaning(self, held: Held, row: Row, fields: Fields) -> Iterator[Finding]:
        self.first = self.first or fields["t"]
        self.last = fields["t"]
        if fields["kind"] == "checkpoint":
            yield from self._checkpoint(held, fields)
        elif fields["kind"] == "event":
            yield from self._event(fields)
        for what, detail in self._periods.take(fields):
            yield Finding(what, row.epoch, row.seq, detail)

    def _event(self, fields: Fields) -> Iterator[Finding]:
        if fields.get("what") == "log-damaged" and "of_epoch" in fields:
            until = fields.get("until")
            self._lost.append((fields["of_epoch"], fields["first"], None if until is None else until - 1))
            if fields.get("restored"):  # behind a backup numbers of epochs are left out on purpose
                self._restored.add(fields["epoch"])
        elif fields.get("what") == "log-salvaged":
            self._lost += [(fields["of_epoch"], first, last) for first, last in fields["lost"]]
        elif fields.get("what") == "raw-deleted":
            self._deleted.append({name: fields[name] for name in ("of_epoch", "first", "last", "copy", "root")})
        elif fields.get("what") == "cosigned":
            yield from self._cosigned(fields)
        elif fields.get("what") == "key-rotated":
            yield from self._rotated(fields)
        elif fields.get("what") == "station-replaced":
            self._replaced = fields["former"]["epoch"]

    def _rotated(self, fields: Fields) -> Iterator[Finding]:
        """From here on the new key signs, where the one before says so."""
        if self._vkeys:
            station = str(fields["former"]).partition("+")[0].removeprefix("plumeline/")
            try:
                new = read_rotation(fields, station, str(fields["former"]))
                if fields["former"] not in self._vkeys:
                    raise NoteError("the former key is not the one in force")
            except NoteError as error:
                yield Finding("key-refused", fields["epoch"], fields["seq"], {"why": str(error)})
                return
            self._vkeys = (*(one for one in self._vkeys if one != fields["former"]), new)
            self.keys.append(new)

    def _cosigned(self, fields: Fields) -> Iterator[Finding]:
        self.counts["cosignatures"] += 1
        told = fields["checkpoint"]
        if told["witness"] in self.witnesses or len(self.witnesses) < WITNESSES_MAX:
            newest = self.witnesses.get(told["witness"], (0, 0))
            self.witnesses[told["witness"]] = max(newest, (told["epoch"], told["size"]))
        text = self._notes.get((told["epoch"], told["size"]))
        if self._witness is None or text is None:
            return
        try:
            seen = self._witness.seen(text, told["cosignature"])
        except NoteError:
            yield Finding("cosignature-wrong", fields["epoch"], fields["seq"], {"size": told["size"]})
            return
        self.counts["cosignatures-believed"] += seen is not None

    # -- checkpoints

    def _checkpoint(self, held: Held, fields: Fields) -> Iterator[Finding]:
        self.counts["checkpoints"] += 1
        seq = fields["seq"]
        try:
            opened = self._opened(fields["note"])
        except NoteError as error:
            yield Finding("checkpoint-signature", held.epoch, seq, {"why": str(error)})
            opened = None
        leaves = listed(fields)
        first = seq - len(leaves)
        if opened is not None:
            yield from self._signed(held, fields, opened, leaves)
        for number, leaf in enumerate(leaves, first):
            own = held.since.get(number)
            if own is not None and own[0] != leaf:
                yield Finding("altered", held.epoch, number, {"record": own[1], "checkpoint": seq})
        held.since.clear()
        held.overdue = False

    def _opened(self, note: str) -> Checkpoint:
        if self._vkeys:
            return open_checkpoint(note, self._vkeys)
        return parse_checkpoint(split_note(note)[0])

    def _signed(self, held: Held, fields: Fields, opened: Checkpoint, leaves: list[bytes]) -> Iterator[Finding]:
        """The statement itself, and that its tree is the one before, grown."""
        seq, root = fields["seq"], base64.b64encode(opened.root).decode()
        station, _, epoch = opened.origin.rpartition("/")
        self._origin = self._origin or station
        if (station, epoch) != (self._origin, str(held.epoch)):
            yield Finding("checkpoint-origin", held.epoch, seq, {"origin": opened.origin})
        if not opened.size == fields["size"] == seq or root != fields["root"]:
            yield Finding("checkpoint-malformed", held.epoch, seq, {"size": opened.size})
            return
        if len(self._notes) < NOTES_MAX:
            self._notes[held.epoch, seq] = checkpoint_text(opened.origin, opened.size, opened.root)
        self.newest = opened
        first = seq - len(leaves)
        if held.midway and first < held.tree.size:
            leaves, first = leaves[held.tree.size - first :], held.tree.size
        held.midway = False
        if first != held.tree.size and not held.broken:
            yield Finding("checkpoint-leaves", held.epoch, seq, {"first": first, "expected": held.tree.size})
        own = [held.since[one][0] for one in range(held.tree.size, seq) if one in held.since]
        for grown in (held.tree.extend(leaves), held.tree.extend(own)):
            if grown.size == seq and grown.root() == opened.root:
                held.tree = grown
                return
        if not held.broken:
            yield Finding("checkpoint-root", held.epoch, seq, {"root": root})
        held.broken = True
