"""The store: everything the centre keeps, in one SQLite file with one writer.

Deliveries may come in any order, cut in any way, and again: the same records give the same store. All calls block; the
programs' edge runs them on one thread (`central.writer`). `wall` is a function giving unix seconds.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Final

from central import cosigning, keys, witness
from central.agreement import join
from central.config import Station
from central.coverage import read_coverage, take_set_aside, write_coverage
from central.entries import Delivery, Entry
from central.events import put_event
from central.rollup import Touched, roll_up
from central.rows import write_rows
from central.shapes import CheckpointBody
from host.sqlite import adopt_schema, open_database
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import Birth, State
from protocols.mqtt.payload import SEQ_MAX
from protocols.tlog_cosign import Cosigner

SCHEMA_VERSION: Final = 6
# A centre's rows go to many places of its file: more memory, and fewer ways back from the WAL, than a station has.
CACHE_KIB: Final = 64 * 1024
CHECKPOINT_PAGES: Final = 8192
DEAD_LETTERS_MAX: Final = 1000
DEAD_LETTER_BYTES_MAX: Final = 64 * 1024
REFUSED_MAX: Final = 1000
CONFLICTS_MAX: Final = 100


class Store:
    """The one writer. `stations` are the enrolled ones: a delivery of another is a mistake of the caller."""

    def __init__(
        self,
        path: str,
        stations: Mapping[str, Station],
        wall: Callable[[], float],
        cosigner: Cosigner | None = None,
    ) -> None:
        """Open or create the file; `cosigner` answers believed checkpoints. Raises DatabaseRefusedError, apsw.Error."""
        self._cosigner = cosigner
        self.stations = stations
        self.wall = wall
        self.hours_due: set[tuple[str, str, str]] = set()
        self.db = open_database(path, exclusive=False, read_only=False)
        self.db.pragma("cache_size", -CACHE_KIB)
        self.db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        for version in range(2, SCHEMA_VERSION + 1):
            if self.db.pragma("user_version") == version - 1:
                with self.db:
                    self.db.execute(_sql(f"upgrade_{version}.sql"))
                    self.db.pragma("user_version", version)
        adopt_schema(self.db, _sql("schema.sql"), SCHEMA_VERSION)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def add(self, deliveries: Iterable[Delivery]) -> dict[tuple[str, int], Coverage]:
        """Commit deliveries in one transaction; what is covered by (station_id, epoch) holds once this returned."""
        touched = Touched()
        new: dict[tuple[str, int], set[int]] = {}
        covered: dict[tuple[str, int], Coverage] = {}
        with self.db:
            for delivery in deliveries:
                tree = delivery.tree
                entries = [entry for entry in delivery.entries if self._is_new(delivery, entry)]
                for entry in entries:
                    self._add_entry(delivery, entry, touched)
                    if entry.kind == "event" and (of := take_set_aside(self.db, tree[0], entry.fields)) is not None:
                        new.setdefault((tree[0], of), set())
                self._stamp(delivery, entries)
                new.setdefault(tree, set()).update(entry.seq for entry in entries)
                before = covered[tree] if tree in covered else read_coverage(self.db, *tree)
                # Beyond its bound a coverage stays as it is: the delivery is not acknowledged and comes again.
                covered[tree] = before.add(delivery.prev, delivery.last)
            for tree, after in covered.items():
                write_coverage(self.db, *tree, read_coverage(self.db, *tree), after)
            self._finish(touched, new)
        return covered

    def _is_new(self, delivery: Delivery, entry: Entry) -> bool:
        key = (*delivery.tree, entry.seq)
        row = self.db.execute("SELECT body FROM record WHERE station_id = ? AND epoch = ? AND seq = ?", key).fetchone()
        if row is not None and row[0] != entry.body:
            self._conflict(delivery, entry, row[0])
        return row is None

    def _conflict(self, delivery: Delivery, entry: Entry, stored: bytes) -> None:
        """Two bodies under one number: a rewritten or rolled back log. Both are the proof."""
        station_id, epoch = delivery.tree
        count = self.db.execute(
            "SELECT count(*) FROM event WHERE station_id = ? AND what = 'record-conflict'", (station_id,)
        ).get
        if count >= CONFLICTS_MAX:
            self._count_refused("ledger", station_id, "record-conflict")
            return
        bodies = sorted(base64.b64encode(body).decode() for body in (stored, entry.body))
        detail = {"epoch": epoch, "seq": entry.seq, "bodies": bodies}
        put_event(self.db, f"{epoch}/{entry.seq}/conflict", station_id, entry.at, "record-conflict", detail)

    def _add_entry(self, delivery: Delivery, entry: Entry, touched: Touched) -> None:
        write_rows(self.db, *delivery.tree, entry, touched)
        if isinstance(entry.shape, CheckpointBody):
            vkey = self.stations[delivery.station_id].vkey
            witness.take_checkpoint(self.db, delivery.tree, entry, entry.shape, vkey)
        elif entry.kind == "event":
            keys.take_key_record(self.db, delivery.tree, entry.seq, entry.fields)

    def _stamp(self, delivery: Delivery, new: list[Entry]) -> None:
        # Last of all that a record means, so that its time is that of the commit which follows.
        wall = self.wall()
        self.db.executemany(
            "INSERT INTO record VALUES(?, ?, ?, ?, ?, ?)",
            ((*delivery.tree, e.seq, e.kind, e.body, wall) for e in new),
        )

    def _finish(self, touched: Touched, trees: Mapping[tuple[str, int], set[int]]) -> None:
        for period in sorted(touched.periods):
            if self.stations[period[0]].outlets:
                join(self.db, *period)
        for hour in sorted(touched.hours):
            roll_up(self.db, *hour)
        for tree, seqs in trees.items():
            witness.check_late(self.db, *tree, seqs)
            witness.judge(self.db, *tree, self.stations[tree[0]].vkey)
            if self._cosigner:
                cosigning.cosign(self.db, *tree, self._cosigner, int(self.wall()))

    def put_dead_letter(self, source: str, origin: str, reason: str, data: bytes) -> None:
        """Keep bytes that could not be read; the same bytes again only count. The oldest give way to new ones."""
        wall = self.wall()
        with self.db:
            self.db.execute(
                "INSERT INTO dead_letter VALUES(?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + 1,"
                " last_wall = excluded.last_wall",
                (
                    hashlib.sha256(data).hexdigest(),
                    source,
                    printable(origin),
                    printable(reason),
                    wall,
                    wall,
                    data[:DEAD_LETTER_BYTES_MAX],
                ),
            )
            self.db.execute(
                "DELETE FROM dead_letter WHERE sha256 IN"
                " (SELECT sha256 FROM dead_letter ORDER BY last_wall DESC, sha256 LIMIT -1 OFFSET ?)",
                (DEAD_LETTERS_MAX,),
            )

    def count_refused(self, source: str, name: str, reason: str) -> None:
        """Count one who was not let in, by what it called itself."""
        with self.db:
            self._count_refused(source, name, reason)

    def _count_refused(self, source: str, name: str, reason: str) -> None:
        self.db.execute(
            "INSERT INTO refused VALUES(?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET count = count + 1,"
            " last_wall = excluded.last_wall",
            (source, printable(name), printable(reason), self.wall()),
        )
        self.db.execute(
            "DELETE FROM refused WHERE (source, name, reason) IN"
            " (SELECT source, name, reason FROM refused ORDER BY last_wall DESC LIMIT -1 OFFSET ?)",
            (REFUSED_MAX,),
        )

    def put_state(self, state: State) -> None:
        """Keep what a station (or its will) said of itself."""
        with self.db:
            self.db.execute(
                "INSERT INTO station(station_id, online, state_wall) VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET"
                " online = excluded.online, state_wall = excluded.state_wall",
                (state.station_id, state.online, self.wall()),
            )

    def put_birth(self, birth: Birth) -> None:
        """Keep what a station measures; a key other than the enrolled one is counted and shown."""
        with self.db:
            self.db.execute(
                "INSERT INTO station(station_id, online, state_wall, birth) VALUES(?, 1, ?, ?) ON CONFLICT DO UPDATE"
                " SET birth = excluded.birth",
                (birth.station_id, self.wall(), birth.model_dump_json()),
            )
            enrolled = self.stations[birth.station_id].vkey
            if birth.vkey != keys.in_force(self.db, birth.station_id, enrolled, birth.epoch, SEQ_MAX):
                self._count_refused("mqtt", birth.station_id, "signs with another key than enrolled")


def printable(text: str, most: int = 200) -> str:
    """Foreign text fit to be stored and shown: at most `most` characters, others than printable ones replaced."""
    return "".join(c if c.isprintable() else "�" for c in text[:most])


def _sql(name: str) -> str:
    return resources.files("central").joinpath(name).read_text(encoding="utf-8")
