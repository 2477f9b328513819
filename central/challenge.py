"""The centre asks its stations for random records behind accepted checkpoints, as they lie in their logs now.

Which record and when is drawn from the system's randomness, so no station can foresee it. What comes back is held
against the leaf that the station signed when it first sent the record: another body is proof of an alteration at rest.
"""

import base64
import random
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import apsw

from central import beginning
from central.events import put_event
from central.walked import Walks
from metrology.periods import iso
from protocols.mqtt.messages import Challenge, Challenged
from protocols.record import RecordError, decode
from protocols.tlog import Frontier, leaf_hash, split_hashes

TICK_WALL_S: Final = 60.0
TELL_AGAIN_WALL_S: Final = 600.0
OPEN_MAX: Final = 5
KEPT_MAX: Final = 5_000
# Of those that a person demands: how many are put on the list, under way at once, and told in a tick.
DEMANDED_MAX: Final = 4_000
UNDER_WAY_MAX: Final = 40
TOLD_MAX: Final = 20
DAY_S: Final = 86400.0

Tree = tuple[str, int]
Number = tuple[int, int]


class Challenger:
    """Works on the writer's thread. `per_day` records of each station, an answer due within `answer_h`."""

    def __init__(
        self,
        db: apsw.Connection,
        stations: Mapping[str, Any],
        wall: Callable[[], float],
        per_day: int,
        answer_h: float,
        drawn: random.Random | None = None,
        walk_h: float = 48,
    ) -> None:
        self._db, self._stations, self._wall = db, stations, wall
        self._chance = per_day * TICK_WALL_S / DAY_S
        self._answer_s = answer_h * 3600
        self._drawn = drawn or secrets.SystemRandom()
        self._walks = Walks(db, wall, walk_h)

    def due(self) -> list[tuple[str, Challenge]]:
        """What is to be asked now, once in TICK_WALL_S: new questions, and those still open again."""
        now = self._wall()
        with self._db:
            self._overdue(now)
            self._walks.look(self._stations)
            for station_id in self._stations:
                # More than one in a tick only where more than 1440 a day were configured, which is not allowed.
                if self._drawn.random() < self._chance:
                    self.draw(station_id)
                self._begin_demanded(station_id, now)
            found = list(self._untold(now))
        return found

    def _begin_demanded(self, station_id: str, now: float) -> None:
        """Of what a person demanded the next few: what is asked at once stays below what a station answers."""
        under_way = self._db.execute(
            "SELECT count(*) FROM challenge WHERE station_id = ? AND verdict = 'open'", (station_id,)
        ).get
        self._db.execute(
            "UPDATE challenge SET verdict = 'open', asked_wall = ?1, told_wall = 0 WHERE station_id = ?2"
            " AND (epoch, seq) IN (SELECT epoch, seq FROM challenge WHERE station_id = ?2 AND verdict = 'demanded'"
            " ORDER BY asked_wall, epoch, seq LIMIT ?3)",
            (now, station_id, max(min(TOLD_MAX, UNDER_WAY_MAX - under_way), 0)),
        )

    def draw(self, station_id: str) -> None:
        """Choose one record of a station, each as likely as any other."""
        rows: Any = self._db.execute(
            "SELECT epoch, frontier FROM witness WHERE station_id = ? ORDER BY epoch", (station_id,)
        ).fetchall()
        spans = [
            (epoch, beginning.first_listed(self._db, (station_id, epoch)), Frontier.from_bytes(frontier).size)
            for epoch, frontier in rows
        ]
        total = sum(max(0, size - first) for _, first, size in spans)
        count = self._db.execute(
            "SELECT count(*) FROM challenge WHERE station_id = ? AND verdict = 'open'", (station_id,)
        ).get
        if total == 0 or count >= OPEN_MAX:
            return
        number = self._drawn.randrange(total)
        for epoch, first, size in spans:
            if number < size - first:
                self.ask(station_id, epoch, first + number)
                return
            number -= max(0, size - first)

    def ask(self, station_id: str, epoch: int, seq: int) -> None:
        """Put a question on the list; an older answer about the same record is replaced."""
        row = (station_id, epoch, seq, self._wall(), 0.0)
        self._db.execute(
            "INSERT INTO challenge VALUES(?, ?, ?, ?, ?, 'open') ON CONFLICT DO UPDATE SET asked_wall ="
            " excluded.asked_wall, told_wall = 0, verdict = 'open' WHERE verdict != 'open'",
            row,
        )
        self._db.execute(
            "DELETE FROM challenge WHERE (station_id, epoch, seq) IN (SELECT station_id, epoch, seq FROM challenge"
            " WHERE station_id = ? AND verdict IN ('intact', 'gone') ORDER BY asked_wall DESC LIMIT -1 OFFSET ?)",
            (station_id, KEPT_MAX),
        )

    def _untold(self, now: float) -> Iterator[tuple[str, Challenge]]:
        rows: Any = self._db.execute(
            "SELECT station_id, epoch, seq FROM challenge WHERE verdict = 'open' AND told_wall <= ?",
            (now - TELL_AGAIN_WALL_S,),
        ).fetchall()
        for station_id, epoch, seq in rows:
            if station_id in self._stations:
                self._set(station_id, epoch, seq, "told_wall", now)
                yield station_id, Challenge(epoch=epoch, seq=seq)

    def _overdue(self, now: float) -> None:
        """An answer that did not come, although the station was heard behind its time: silence is then no outage."""
        rows: Any = self._db.execute(
            "SELECT station_id, epoch, seq, asked_wall FROM challenge WHERE verdict = 'open' AND asked_wall < ?",
            (now - self._answer_s,),
        ).fetchall()
        for station_id, epoch, seq, asked in rows:
            heard = self._db.execute(
                "SELECT 1 FROM record WHERE committed_wall > ? AND station_id = ? LIMIT 1",
                (asked + self._answer_s, station_id),
            ).get
            if heard:
                detail = {"epoch": epoch, "seq": seq, "asked_wall": asked}
                self._accuse((station_id, epoch), seq, "unanswered", detail, "challenge-unanswered")

    def take(self, answer: Challenged) -> None:
        """Judge an answer; one that nobody asked for is passed over."""
        tree, seq = (answer.station_id, answer.epoch), answer.seq
        with self._db:
            verdict = self._db.execute(
                "SELECT verdict FROM challenge WHERE station_id = ? AND epoch = ? AND seq = ?", (*tree, seq)
            ).get
            witnessed = _witnessed(self._db, tree, seq)
            if verdict not in ("open", "unanswered") or witnessed is None:
                return
            if answer.body is None:
                self._take_nothing(tree, answer)
                return
            found = _leaf(answer.body)
            listed, size, note = witnessed
            if found == listed:
                self._set(*tree, seq, "verdict", "intact")
                return
            detail = {
                "epoch": tree[1], "seq": seq, "listed": listed.hex(), "found": found.hex() if found else None,
                "at_rest": answer.body, "witnessed": self._held(tree, seq), "checkpoint": size, "note": note,
            }  # fmt: skip
            self._accuse(tree, seq, "altered", detail, "record-altered-at-rest")

    def _take_nothing(self, tree: Tree, answer: Challenged) -> None:
        if answer.gone is None or self._kind(tree, answer.seq) not in ("scan", None):
            detail = {"epoch": tree[1], "seq": answer.seq}
            self._accuse(tree, answer.seq, "missing", detail, "record-missing-at-rest")
        elif self._tells(tree, answer.seq, answer.gone):
            self._set(*tree, answer.seq, "verdict", "gone")
        # A deletion whose record is not here yet is no answer: the question stays open.

    def _tells(self, tree: Tree, seq: int, record: tuple[int, int]) -> bool:
        """Whether a record of the station, held here, says that this one was deleted."""
        body = self._body((tree[0], record[0]), record[1])
        try:
            told = decode(body) if body is not None else {}
        except RecordError:
            return False
        first, last = told.get("first"), told.get("last")
        return (
            told.get("what") == "raw-deleted"
            and told.get("of_epoch") == tree[1]
            and isinstance(first, int)
            and isinstance(last, int)
            and first <= seq <= last
        )

    def _accuse(self, tree: Tree, seq: int, verdict: str, detail: Mapping[str, Any], what: str) -> None:
        self._set(*tree, seq, "verdict", verdict)
        at = iso(datetime.fromtimestamp(self._wall(), UTC))
        put_event(self._db, f"{tree[1]}/{seq}/{what}", tree[0], at, what, detail)

    def _set(self, station_id: str, epoch: int, seq: int, column: str, value: float | str) -> None:
        sql = f"UPDATE challenge SET {column} = ? WHERE station_id = ? AND epoch = ? AND seq = ?"
        self._db.execute(sql, (value, station_id, epoch, seq))

    def _body(self, tree: Tree, seq: int) -> bytes | None:
        sql = "SELECT body FROM record WHERE station_id = ? AND epoch = ? AND seq = ?"
        found: bytes | None = self._db.execute(sql, (*tree, seq)).get
        return found

    def _kind(self, tree: Tree, seq: int) -> str | None:
        """Kind of a record held here: raw alone may be deleted."""
        sql = "SELECT kind FROM record WHERE station_id = ? AND epoch = ? AND seq = ?"
        found: str | None = self._db.execute(sql, (*tree, seq)).get
        return found

    def _held(self, tree: Tree, seq: int) -> str | None:
        body = self._body(tree, seq)
        return base64.b64encode(body).decode() if body is not None else None


def demand(db: apsw.Connection, station_id: str, wanted: Iterable[Number], wall: float) -> int:
    """Put on the list what a person wants to see at rest, (epoch, seq) each; how many of them are new to it."""
    before = db.total_changes()
    with db:
        db.executemany(
            "INSERT INTO challenge VALUES(?, ?, ?, ?, 0, 'demanded') ON CONFLICT DO UPDATE SET asked_wall ="
            " excluded.asked_wall, told_wall = 0, verdict = 'demanded' WHERE verdict NOT IN ('open', 'demanded')",
            ((station_id, epoch, seq, wall) for epoch, seq in wanted),
        )
    return db.total_changes() - before


def _leaf(body: str) -> bytes | None:
    try:
        return leaf_hash(base64.b64decode(body, validate=True))
    except ValueError:
        return None


def _witnessed(db: apsw.Connection, tree: Tree, seq: int) -> tuple[bytes, int, str] | None:
    """Leaf, size and note of the accepted checkpoint that lists a record."""
    row = db.execute(
        "SELECT size, first FROM checkpoint WHERE station_id = ? AND epoch = ? AND size > ? AND first <= ?"
        " AND verdict = 'consistent' ORDER BY size LIMIT 1",
        (*tree, seq, seq),
    ).fetchone()
    if row is None:
        return None
    size, first = row
    body: Any = db.execute("SELECT body FROM record WHERE station_id = ? AND epoch = ? AND seq = ?", (*tree, size)).get
    fields = decode(body)
    return split_hashes(base64.b64decode(fields["leaves"]))[seq - first], size, fields["note"]
