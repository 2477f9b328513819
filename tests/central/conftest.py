"""A station's log as the centre sees it, and a store to put it in."""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from central.config import Outlet, Station
from central.entries import Delivery, Entry
from central.store import Store
from host.secrets import SecretRef
from host.shapes import Factor, Position
from host.sqlite import open_database
from metrology.periods import iso
from protocols.record import decode, encode
from protocols.tlog import Frontier, Signer, leaf_hash, make_checkpoint

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
SIGNER = Signer("tower", SigningKey(b"\x07" * 32))
PLACE = Position(latitude=34.75, longitude=113.62, height_m=3, datum="WGS-84")


class StationLog:
    """Records of one station in one epoch: `bodies[seq]`; checkpoints are signed for real."""

    def __init__(self, station_id: str = "tower", epoch: int = 0) -> None:
        self.station_id, self.epoch = station_id, epoch
        self.bodies: list[bytes] = []
        self.frontier = self.before = Frontier()
        self.listed = 0

    def add(self, kind: str, **members: Any) -> bytes:
        """Append one record."""
        at = iso(START + timedelta(seconds=len(self.bodies)))
        fields = {"v": 1, "epoch": self.epoch, "seq": len(self.bodies), "kind": kind, "t": at, **members}
        body = encode(fields)
        self.bodies.append(body)
        self.frontier = self.frontier.append(leaf_hash(body))
        return body

    def scan(self, value: float | None = 400.0, *causes: str, instrument: str = "gas") -> bytes:
        """One reading of CO2."""
        at = iso(START + timedelta(seconds=len(self.bodies)))
        marks = [[cause, "test", at] for cause in causes]
        values = {"co2": {"x": value, "u": "umol/mol", **({"q": marks} if marks else {})}}
        return self.add("scan", instrument=instrument, at=at, values=values, status={})

    def minute(
        self, index: int, mean: float | None = 400.0, rev: int = 0, *causes: str, series: str = "gas.co2"
    ) -> bytes:
        """The average of one minute."""
        start = START + timedelta(minutes=index)
        row: dict[str, Any] = {
            "u": "umol/mol", "n": 60 if mean is not None else 0, "valid": 1, "mean": mean, "min": mean, "max": mean,
            "sd": 0.5, "rule": "ghg", "rev": rev, "final": True,
        }  # fmt: skip
        if causes:
            row["q"] = [[cause, "test", iso(start)] for cause in causes]
        end = iso(start + timedelta(minutes=1))
        return self.add("average", start=iso(start), end=end, period_s=60, rows={series: row})

    def delivery(self, first: int, last: int, prev: int | None = None) -> Delivery:
        """Records first..last as the centre takes them."""
        entries = tuple(Entry.of(body, decode(body)) for body in self.bodies[first : last + 1])
        return Delivery(self.station_id, self.epoch, first - 1 if prev is None else prev, entries)

    def checkpoint(self, **changed: Any) -> bytes:
        """A signed tree head over everything so far."""
        size, root = len(self.bodies), self.frontier.root()
        leaves = b"".join(leaf_hash(body) for body in self.bodies[self.listed :])
        self.listed = size
        members = {
            "size": size,
            "root": base64.b64encode(root).decode(),
            "note": make_checkpoint(f"plumeline/{self.station_id}/{self.epoch}", size, root, SIGNER),
            "leaves": base64.b64encode(leaves).decode(),
            "before": base64.b64encode(self.before.to_bytes()).decode(),
        }
        self.before = self.frontier
        return self.add("checkpoint", **{**members, **changed})


@pytest.fixture
def make_log() -> Callable[..., StationLog]:
    """Maker of logs."""
    return StationLog


@pytest.fixture
def minutes(make_log: Callable[..., Any]) -> Any:
    """Thirty minutes of scans and averages, a checkpoint every tenth."""
    log = make_log()
    for index in range(30):
        log.scan()
        log.minute(index)
        if index % 10 == 9:
            log.checkpoint()
    return log


@pytest.fixture
def stations(tmp_path: Path) -> dict[str, Station]:
    """One tower with an outlet, and a plain one beside it."""
    password = tmp_path / "pw"
    password.write_text("123456\n")
    password.chmod(0o600)
    outlet = Outlet(
        mn="88888880000001",
        st="31",
        pw=SecretRef(file=str(password)),
        factors={"a05001": Factor(series="gas.co2", unit="mg/m3", decimals=1, state="ambient-298K")},
    )
    common = {"network": "net", "name_zh": "塔", "name_en": "Tower", "position": PLACE, "vkey": SIGNER.vkey}
    return {
        "tower": Station(**common, instruments={"gas": PLACE}, outlets={"main": outlet}),  # type: ignore[arg-type]
        "plain": Station(**common),  # type: ignore[arg-type]
    }


@pytest.fixture
def make_store(tmp_path: Path, stations: dict[str, Station]) -> Iterator[Callable[..., Store]]:
    """Maker of stores in files of their own."""
    made: list[Store] = []

    def make(name: str = "") -> Store:
        path = name if name == ":memory:" else str(tmp_path / (name or f"store{len(made)}.db"))
        made.append(Store(path, stations, lambda: 1000.0))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    """An empty store."""
    return make_store()


@pytest.fixture
def rows(store: Store) -> Iterator[Callable[..., list[Any]]]:
    """Query of the store by a connection of its own; a single column comes without its tuple."""
    reader = open_database(store.db.db_filename("main"), exclusive=False, read_only=True)

    def query(sql: str, *values: Any) -> list[Any]:
        found = reader.execute(sql, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    yield query
    reader.close()


@pytest.fixture
def whole() -> Callable[[Store], dict[str, list[Any]]]:
    """Everything in a store, table by table, sorted."""

    def read(store: Store) -> dict[str, list[Any]]:
        tables = [name for (name,) in store.db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: sorted(store.db.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}

    return read
