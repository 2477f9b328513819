"""The rules of a run: held at each committed record, every ten minutes, and at the end.

I1 each record whose commit returned is at the centre, the same bytes; I2 nothing acknowledged is missing there; I3 no
number with two bodies, no hole; I4 the ledger verifies and accuses nobody; I5 each minute has its average or a gap
record, and no period two of one revision; I6 buffers within their bounds; I7 measuring goes on soon after a fault;
I8 no run without an end, no gas unmarked, the valve on sample air.
"""

import hashlib
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim_station import STATION

from agent.store.log import PENDING_BYTES_MAX, Place
from metrology.periods import MINUTE_S, parse_iso
from protocols.mqtt.coverage import SPANS_MAX
from protocols.record import decode

if TYPE_CHECKING:
    from sim_world import World

# After a wire: what the bus leaves a silent unit alone for, and polls: the analyzer gives each row once, and questions
# held up on a silent wire may have taken all there was, answered too late.
RESUME_S, LEFT_ALONE_S, POLLS = {"boot": 10.0, "disk": 10.0}, 15.0, {"cems": 1, "crds": 2}
HOME_S = 120.0
MINUTE = timedelta(minutes=1)
CLOCK_BELIEVED = 2026
FINE = ("consistent", "pending")
ACCUSATIONS = ("record-conflict", "record-edited", "checkpoint-%", "hj212-disagreement")
BODY_SLACK_BYTES = 1024 * 1024


class Checks:
    """What is checked, and what it needs to know."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._active, self._begun, self._astray_since = 0, 0, float("inf")
        self._averages: set[tuple[str, str, int, int]] = set()
        self._verified: dict[int, int] = {}
        self._counts: Counter[str] = Counter()

    # -- at each record

    def committed(self, row: Any) -> None:
        """A commit returned."""
        self._counts[row.kind] += 1
        if row.kind == "average":
            self._average(row.fields)
        elif row.kind == "scan" and b'"instrument":"cems"' in row.body:
            self._gas(row.fields)
        elif row.kind == "event" and row.fields["what"].startswith(("log-damaged", "log-behind")):
            self.world.violation("I2", f"the log says {row.fields}")
        elif row.epoch != 1:
            self.world.violation("I2", f"epoch {row.epoch} was begun")

    def _average(self, fields: dict[str, Any]) -> None:
        for series, one in fields["rows"].items():
            key = (series, fields["start"], fields["period_s"], one["rev"])
            if key in self._averages:
                self.world.violation("I5", f"average {key} was written twice")
            self._averages.add(key)

    def _gas(self, fields: dict[str, Any]) -> None:
        one = fields["values"].get("so2", {})
        port = self.world.field.ports.get(one.get("x"), "sample")
        causes = {mark[0] for mark in one.get("q", [])}
        if port != "sample":
            self._counts["gas readings"] += 1
            if not causes & {"calibration", "recovery"}:
                self.world.violation("I8", f"a reading of {port} gas at {fields['at']} without its mark: {causes}")
        self._astray(port)

    def _astray(self, port: str) -> None:
        """The instrument's own word marks gas too, so that a valve nobody brought home shows in no mark."""
        now, daemon = self.world.loop.time(), self.world.station.daemon
        if port == "sample" or self._active or daemon is None or daemon.calibrator.busy:
            self._astray_since = float("inf")
            return
        self._astray_since = min(self._astray_since, now)
        if now - self._astray_since > HOME_S:
            self._astray_since = now
            self.world.violation("I8", f"the valve stands at {port}, and no run goes on")

    # -- in between

    def disturbed(self, disturbs: bool, by: int) -> None:
        """A fault that keeps the station from measuring begins or ends."""
        if disturbs:
            self._active += by
            self._begun += by > 0

    def recovers(self, what: str) -> None:
        """Measuring has to go on from here, unless the next fault comes first."""
        if self._active:
            return
        loop, since = self.world.loop, self.world.loop.time()
        for name, polls in POLLS.items():
            limit = RESUME_S.get(what, LEFT_ALONE_S + 10.0)
            limit += (self.world.station.config.instruments[name].poll_s or 0.0) * polls
            seen = what, name, since, limit, self._begun
            loop.call_later(limit, self._resumed, *seen, context=self.world.net.context)

    def _resumed(self, what: str, name: str, since: float, limit: float, begun: int) -> None:
        undisturbed = not self._active and self._begun == begun and self.world.station.up
        if undisturbed and self.world.station.scans.get(name, 0.0) < since:
            self.world.violation("I7", f"{name}: no reading within {limit:g} s after {what} at {since - 1000:.1f} s")
        self._counts["resumptions"] += undisturbed

    def look(self) -> None:
        """Every ten minutes."""
        world, daemon = self.world, self.world.station.daemon
        world.verdict.violations += [f"error {text}" for text in world.loop.errors[:5]]
        world.loop.errors.clear()
        self._accusations()
        if daemon is None or not world.station.up:
            return
        if daemon.log._waiting.size > PENDING_BYTES_MAX + BODY_SLACK_BYTES:
            world.violation("I6", f"{daemon.log._waiting.size} bytes wait for their commit")

    def placed(self, uplink: str, place: Place) -> None:
        """What a place that is about to be kept calls delivered is at the centre."""
        if uplink != "centre":
            return
        if len(place.above) > SPANS_MAX:
            self.world.violation("I6", f"{len(place.above)} spans in a place")
        done = self._verified.get(place.epoch, -1)
        there = self._one(
            "SELECT count(*) FROM record WHERE station_id = ? AND epoch = ? AND seq > ? AND seq <= ?",
            STATION, place.epoch, done, place.through,
        )  # fmt: skip
        if there != max(0, place.through - done):
            self.world.violation(
                "I2", f"the place says {place.through}, the centre misses {place.through - done - there}"
            )
        self._verified[place.epoch] = max(done, place.through)

    def _accusations(self) -> None:
        for what in ACCUSATIONS:
            for row in self._rows("SELECT what, detail FROM event WHERE what LIKE ?", what):
                self.world.violation("I4", f"the centre accuses: {row[0]} {row[1][:300]}")

    # -- at the end

    def drained(self) -> bool:
        """Whether both uplinks have handed over what there is."""
        station = self.world.station
        if not station.up or station.daemon is None:
            return False
        mqtt = station.daemon.uplinks["centre"].status()
        if mqtt.get("backlog", 1) > 20 or mqtt.get("earlier_epochs", 1) or mqtt.get("set_aside", 1):
            return False
        have = self._have()
        return not self._lacking({at for at in have if at < max(have) - 2 * MINUTE})

    def final(self) -> None:
        """The station has stopped in order; the centre still runs."""
        at_centre = {
            (epoch, seq): hashlib.sha256(body).digest()[:12]
            for epoch, seq, body in self._rows("SELECT epoch, seq, body FROM record WHERE station_id = ?", STATION)
        }
        reported = self.world.station.reported
        if lost := sorted(key for key in reported if key not in at_centre):
            self.world.violation("I1", f"{len(lost)} records whose commit returned are not there: {lost[:5]}")
        if other := sorted(key for key, body in reported.items() if at_centre.get(key, body) != body):
            self.world.violation("I3", f"{len(other)} records are otherwise at the centre: {other[:5]}")
        seqs = sorted(seq for epoch, seq in at_centre if epoch == 1)
        if seqs != list(range(len(seqs))):
            self.world.violation("I3", f"{len(seqs)} numbers up to {seqs[-1] if seqs else -1}")
        self._counts["records"] = len(at_centre)
        self._ledger()
        self._minutes()
        self._readings()
        self._runs()

    def _ledger(self) -> None:
        self._accusations()
        pending = self._one("SELECT count(*) FROM checkpoint WHERE verdict = 'pending'")
        if (bad := self._rows(f"SELECT size, verdict FROM checkpoint WHERE verdict NOT IN {FINE}")) or pending > 1:
            self.world.violation("I4", f"checkpoints: {bad[:3]}, {pending} pending")
        self._counts["checkpoints"] = self._one("SELECT count(*) FROM checkpoint WHERE verdict = 'consistent'")

    def _have(self) -> set[datetime]:
        """Starts of minutes at the centre: a commit that was kept from returning may be durable all the same."""
        averages = (decode(body) for (body,) in self._rows("SELECT body FROM record WHERE kind = 'average'"))
        return {parse_iso(fields["start"]) for fields in averages if fields["period_s"] == MINUTE_S}

    def _minutes(self) -> None:
        """Each minute from the first to the last has its average, or lies in a gap."""
        if len(have := self._have()) < 2:
            return
        gaps = [
            (parse_iso(since), parse_iso(until))
            for since, until in self._rows("SELECT from_at, to_at FROM gap WHERE station_id = ?", STATION)
        ]
        if (early := min(have)).year < CLOCK_BELIEVED:
            self.world.violation("I5", f"an average of {early}, which no believable clock showed")
            have = {start for start in have if start.year >= CLOCK_BELIEVED}
        # A clock gone back behind the first start measures in a time that was never this station's.
        at, missing = max(min(have), min(one for one in have if one >= self.world.began)), []
        while at < max(have):
            end = at + MINUTE
            if at not in have and not any(since < end and until > at for since, until in gaps):
                missing.append(at.isoformat())
            at = end
        self._counts["minutes"] = len(have)
        if missing:
            self.world.violation(
                "I5", f"{len(missing)} minutes have neither average nor gap: {missing[:3]} .. {missing[-1]}"
            )
        self._hj212(have)

    def _hj212(self, minutes: set[datetime]) -> None:
        told = self._one("SELECT count(DISTINCT start) FROM hj212_average WHERE period_s = 60 AND series = 'cems.so2'")
        self._counts["hj212 minutes"] = told
        if twice := self._rows(
            "SELECT start FROM hj212_average GROUP BY start, period_s, series, mn HAVING count(*) > 1"
        ):
            self.world.violation("I3", f"HJ 212 minutes twice: {twice[:3]}")
        if lacking := self._lacking(minutes):
            self.world.violation("H1", f"{len(lacking)} minutes never came by HJ 212: {lacking[:3]} .. {lacking[-1]}")

    def _lacking(self, minutes: set[datetime]) -> list[str]:
        came = {parse_iso(start) for (start,) in self._rows("SELECT start FROM hj212_average WHERE period_s = 60")}
        # What came while the station's clock was wrong is kept as a frame, and taken for no value.
        for (told,) in self._rows("SELECT DISTINCT data_time FROM hj212_frame WHERE cn = '2051' AND problem <> ''"):
            came.add(parse_iso(told))
        return sorted(at.isoformat() for at in minutes - came)

    def _readings(self) -> None:
        rows = self._rows(  # both: a wrong bit on the wire may turn one value into that of another row
            "SELECT one.value, other.value, count(*) FROM raw one JOIN raw other USING (station_id, epoch, seq)"
            " WHERE one.measurand = 'ch4_dry' AND other.measurand = 'co2_dry' AND one.value IS NOT NULL"
            " GROUP BY one.value, other.value HAVING count(*) > 1"
        )
        if rows:
            self.world.violation("I1", f"{len(rows)} readings are there twice: {rows[:3]}")

    def _runs(self) -> None:
        started, ended = Counter[str](), Counter[str]()
        for (body,) in self._rows("SELECT body FROM record WHERE kind = 'calibration' ORDER BY epoch, seq"):
            fields = decode(body)
            if fields["what"] == "run-started":
                started[fields["run"]] += 1
            elif fields["what"] in ("run-finished", "run-aborted"):
                ended[fields["run"]] += 1
                self._counts[fields["what"]] += 1
        if started != ended:
            self.world.violation("I8", f"runs begun and not ended once: {dict((started - ended) | (ended - started))}")
        if self.world.field.valve.open != "sample":
            self.world.violation("I8", f"the valve stands at {self.world.field.valve.open}")
        if self.world.field.valve.clashes:
            self.world.violation("I8", f"two ports were open at once {self.world.field.valve.clashes} times")

    # --

    def figures(self) -> dict[str, int]:
        """For the result file."""
        disk = self.world.disk
        return {**self._counts, "boots": self.world.station.boots, "writes": disk.writes, "syncs": disk.syncs}

    def stores(self) -> bytes:
        """What both stores hold, for the digest of the run; without what is random by its making."""
        found = hashlib.sha256()
        for path in sorted(Path("store").rglob("*")):
            if path.is_file() and path.name != "ballast" and not path.name.endswith(("-wal", "-shm")):
                found.update(str(path).encode() + path.read_bytes())
        for table in ("record", "average", "event", "hj212_frame", "cosignature"):
            for row in self._rows(f"SELECT * FROM {table}"):
                found.update(repr(row).encode())
        return found.digest()

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        return list(store.db.execute(statement, values)) if (store := self.world.centre.store) is not None else []

    def _one(self, statement: str, *values: Any) -> int:
        return int(self._rows(statement, *values)[0][0])
