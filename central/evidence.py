"""The centre's evidence for an interval of one station: what it holds, what does not fit, what a signed tree proves.

Nothing is taken from verdicts that were stored: notes, roots and leaves are judged again while the report is made. The
tree is grown checkpoint by checkpoint, so memory holds the leaves of one.
"""

import base64
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from central import beginning, keys
from central.coverage import read_coverage, read_set_aside
from central.history import StoreSource
from protocols.record import RecordError, decode
from protocols.tlog import Frontier, NoteError, leaf_hash, open_checkpoint, split_hashes
from protocols.tlog_proofs import Grown, verify_inclusion

ACCUSING: Final = (
    "record-unreadable", "record-conflict", "record-edited", "checkpoint-bad-signature", "checkpoint-malformed",
    "checkpoint-fork", "checkpoint-overlap", "checkpoint-leaves-missing", "record-altered-at-rest",
    "record-missing-at-rest", "challenge-unanswered", "walk-differs", "walk-overdue",
    "key-refused", "key-unconfirmed",
)  # fmt: skip
LISTED_MAX: Final = 1_000
PERIODS: Final = "(60, 3600, 86400)"
_TEXT: Final = "CAST(body AS TEXT)"

Place = tuple[int, int]


@dataclass(slots=True)
class Trees:
    """What the walk along the checkpoints of all epochs found."""

    averages: dict[Place, bytes]
    wanted: Collection[Place]
    included: set[Place] = field(default_factory=set)
    cosigned: set[Place] = field(default_factory=set)
    altered: list[Place] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    proofs: list[dict[str, Any]] = field(default_factory=list)


class Evidence:
    """Asks a store by a reading connection. `since` and `until` are ISO text (UTC), `until` exclusive."""

    def __init__(self, db: apsw.Connection, station_id: str, vkey: str, since: str, until: str) -> None:
        self._db, self._station, self._vkey = db, station_id, vkey
        self._since, self._until = since, until
        self._source = StoreSource(db, station_id)
        self._spans = {epoch: self._span(epoch) for epoch in self._source.epochs()}

    def _span(self, epoch: int) -> Place:
        """Numbers [first, last) that were written in the interval."""
        return self._source.seq_at(epoch, self._since), self._source.seq_at(epoch, self._until)

    def report(self, wanted: Collection[Place] = ()) -> dict[str, Any]:
        """The report; proofs for `wanted` records (epoch, seq), else for the newest average of the interval.

        `unproven` are those asked for that are not held, or lie under no checkpoint that is believed.
        """
        averages = self._averages()
        trees = Trees(averages, wanted or sorted(averages)[-1:])
        for epoch in self._spans:
            self._walk(epoch, trees)
        missing = sorted(set(averages) - trees.included)
        proven = {tuple(proof["record"]) for proof in trees.proofs}
        return {
            "station": self._station, "vkey": self._vkey or keys.newest(self._db, self._station, ""),
            "from": self._since, "to": self._until,
            "keys": keys.history(self._db, self._station, self._vkey),
            "epochs": [self._epoch(epoch) for epoch in self._spans],
            "records": dict(self._kinds()),
            "gaps": self._gaps(),
            "events": self._events(),
            "challenges": self._challenges(),
            "checkpoints": self._verdicts(),
            "checkpoints_refused": trees.refused,
            "averages": {
                "held": len(averages), "included": len(trees.included), "cosigned": len(trees.cosigned),
                "altered": trees.altered[:LISTED_MAX], "not_included": missing[:LISTED_MAX],
                "not_included_count": len(missing),
            },
            "proofs": trees.proofs,
            "unproven": [list(place) for place in sorted(set(wanted) - proven)],
        }  # fmt: skip

    def _averages(self) -> dict[Place, bytes]:
        """Leaf hashes of the average records whose period begins in the interval."""
        rows: Any = self._db.execute(
            f"SELECT epoch, seq, body FROM record WHERE station_id = ? AND kind = 'average'"
            f" AND {_TEXT} ->> '$.period_s' IN {PERIODS} AND {_TEXT} ->> '$.start' >= ? AND {_TEXT} ->> '$.start' < ?",
            (self._station, self._since, self._until),
        )
        return {(epoch, seq): leaf_hash(body) for epoch, seq, body in rows}

    def _epoch(self, epoch: int) -> dict[str, Any]:
        first, end = self._spans[epoch]
        holes = [
            (max(first, low), min(end - 1, high))
            for low, high in read_coverage(self._db, self._station, epoch).holes(end - 1)
            if high >= first
        ]
        aside = read_set_aside(self._db, self._station, epoch).items()
        told = [[seq, why] for seq, why in aside if any(low <= seq <= high for low, high in holes)]
        return {
            "epoch": epoch, "first": first, "end": end, "holes": holes[:LISTED_MAX], "holes_count": len(holes),
            "set_aside": told, "witnessed_from": beginning.first_listed(self._db, (self._station, epoch)),
        }  # fmt: skip

    def _kinds(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for epoch, (first, end) in self._spans.items():
            rows: Any = self._db.execute(
                "SELECT kind, count(*) FROM record WHERE station_id = ? AND epoch = ? AND seq >= ? AND seq < ?"
                " GROUP BY kind",
                (self._station, epoch, first, end),
            )
            found.update(dict(rows))
        return found

    def _gaps(self) -> list[dict[str, Any]]:
        rows: Any = self._db.execute(
            "SELECT epoch, seq, from_at, to_at, reason FROM gap WHERE station_id = ? AND to_at > ? AND from_at < ?"
            " ORDER BY from_at LIMIT ?",
            (self._station, self._since, self._until, LISTED_MAX),
        )
        return [{"record": [e, s], "from": low, "to": high, "reason": why} for e, s, low, high, why in rows]

    def _events(self) -> list[dict[str, Any]]:
        """What the centre holds against the station, with the proof that it kept; oldest first."""
        rows: Any = self._db.execute(
            f"SELECT at, what, detail FROM event WHERE station_id = ? AND origin = 'centre' AND at >= ? AND at < ?"
            f" AND what IN ({', '.join('?' * len(ACCUSING))}) ORDER BY at, id LIMIT ?",
            (self._station, self._since, self._until, *ACCUSING, LISTED_MAX),
        )
        return [{"at": at, "what": what, "detail": json.loads(detail)} for at, what, detail in rows]

    def _challenges(self) -> dict[str, Any]:
        """How many records of the interval were asked for as they lie at the station, by verdict; and which of them
        are neither intact nor lawfully gone.
        """
        counts: Counter[str] = Counter()
        shown: list[list[Any]] = []
        for epoch, (first, end) in self._spans.items():
            rows: Any = self._db.execute(
                "SELECT seq, verdict FROM challenge WHERE station_id = ? AND epoch = ? AND seq >= ? AND seq < ?"
                " ORDER BY seq",
                (self._station, epoch, first, end),
            )
            for seq, verdict in rows:
                counts[verdict] += 1
                if verdict not in ("intact", "gone") and len(shown) < LISTED_MAX:
                    shown.append([epoch, seq, verdict])
        return {"verdicts": dict(counts), "others": shown}

    def _verdicts(self) -> dict[str, int]:
        rows: Any = self._db.execute(
            "SELECT verdict, count(*) FROM checkpoint WHERE station_id = ? AND at >= ? AND at < ? GROUP BY verdict",
            (self._station, self._since, self._until),
        )
        return dict(rows)

    # -- the trees

    def _walk(self, epoch: int, trees: Trees) -> None:
        """Grow the tree of an epoch; it ends where a checkpoint does not continue the one before."""
        tree = beginning.tree_at(self._db, (self._station, epoch))
        asked = [seq for one, seq in trees.wanted if one == epoch]
        end = max([self._spans[epoch][1], *(seq + 1 for seq in asked)])
        through = self._db.execute(
            "SELECT max(size) FROM cosignature WHERE station_id = ? AND epoch = ?", (self._station, epoch)
        ).get
        for size, body in self._checkpoints(epoch, tree.size):
            try:
                leaves, note = self._believed(size, body, tree, epoch)
            except (NoteError, ValueError, KeyError, TypeError, RecordError) as error:
                if len(trees.refused) < LISTED_MAX:
                    trees.refused.append({"record": [epoch, size], "why": str(error)})
                continue
            if tree.size < end:
                self._include(epoch, tree, leaves, through or 0, trees)
                here = [(epoch, seq) for seq in asked if tree.size <= seq < size]
                bodies = [(place, self._body(place)) for place in here]
                trees.proofs += [self._proof(place, body, tree, leaves, note) for place, body in bodies if body]
            else:
                return
            tree = tree.extend(leaves)

    def _checkpoints(self, epoch: int, above: int) -> Iterator[tuple[int, bytes]]:
        rows: Any = self._db.execute(
            "SELECT size, body FROM checkpoint JOIN record ON record.station_id = checkpoint.station_id AND"
            " record.epoch = checkpoint.epoch AND seq = size WHERE checkpoint.station_id = ? AND checkpoint.epoch = ?"
            " AND verdict != 'pending' AND size > ? ORDER BY size",
            (self._station, epoch, above or -1),
        )
        yield from rows

    def _believed(self, size: int, body: bytes, tree: Frontier, epoch: int) -> tuple[list[bytes], str]:
        """Leaves and note of a checkpoint that the key signed and that continues the tree. Raises ValueError."""
        fields = decode(body)
        vkey = keys.in_force(self._db, self._station, self._vkey, epoch, size)
        signed = open_checkpoint(fields["note"], [vkey])
        leaves = split_hashes(base64.b64decode(fields["leaves"], validate=True))
        if signed.origin != f"plumeline/{self._station}/{epoch}" or signed.size != size:
            raise ValueError(f"the note speaks of {signed.origin}, size {signed.size}")
        if tree.size + len(leaves) != size:
            raise ValueError(f"lists leaves from {size - len(leaves)} on, {tree.size} was due")
        if tree.extend(leaves).root() != signed.root:
            raise ValueError("the signed root does not follow from the leaves")
        return leaves, fields["note"]

    def _include(self, epoch: int, tree: Frontier, leaves: list[bytes], through: int, trees: Trees) -> None:
        for seq, leaf in enumerate(leaves, tree.size):
            held = trees.averages.get((epoch, seq))
            if held == leaf:
                trees.included.add((epoch, seq))
                if seq < through:
                    trees.cosigned.add((epoch, seq))
            elif held is not None:
                trees.altered.append((epoch, seq))

    def _body(self, place: Place) -> bytes | None:
        sql = "SELECT body FROM record WHERE station_id = ? AND epoch = ? AND seq = ?"
        body: bytes | None = self._db.execute(sql, (self._station, *place)).get
        return body

    def _proof(self, place: Place, body: bytes, tree: Frontier, leaves: list[bytes], note: str) -> dict[str, Any]:
        """Body, path and cosigned note of one record, and the same as a C2SP tlog-proof."""
        epoch, seq = place
        grown = Grown(tree, leaves)
        line = self._db.execute(
            "SELECT line FROM cosignature WHERE station_id = ? AND epoch = ? AND size = ?",
            (self._station, epoch, grown.size),
        ).get
        note += line or ""
        path = grown.prove_inclusion(seq)
        hashes = [base64.b64encode(one).decode() for one in path]
        held = leaf_hash(body)
        return {
            "record": [epoch, seq], "body": base64.b64encode(body).decode(),
            "leaf": held.hex(), "size": grown.size, "path": hashes, "note": note,
            "included": verify_inclusion(held, seq, grown.size, path, tree.extend(leaves).root()),
            "tlog_proof": "\n".join(["c2sp.org/tlog-proof@v1", f"index {seq}", *hashes, "", note]),
        }  # fmt: skip


def wrong(report: dict[str, Any]) -> int:
    """How many things of a report speak against the station's data; what is still on its way does not."""
    averages = report["averages"]
    return int(
        len(report["events"])
        + len(report["checkpoints_refused"])
        + len(averages["altered"])
        + sum(epoch["holes_count"] for epoch in report["epochs"])
        + sum(not proof["included"] for proof in report["proofs"])
        + len(report["unproven"])
    )
