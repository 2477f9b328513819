"""An inspector demands all records of a span: asked for at a bounded rate, and the evidence shows what came."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central.__main__ import main
from central.challenge import TICK_WALL_S, TOLD_MAX, UNDER_WAY_MAX, Challenger
from central.config import Station
from central.evidence import Evidence
from central.store import Store
from protocols.mqtt.messages import Challenged
from protocols.record import decode, encode

Maker = Callable[..., Any]
SPAN = ("--from", "2026-01-01", "--to", "2026-12-31")


@pytest.fixture
def config(tmp_path: Path, store: Store, stations: dict[str, Station], make_log: Maker) -> tuple[Path, Any]:
    """Configuration of a centre that holds a station's sixty scans under a checkpoint, and some after it."""
    (tmp_path / "key").write_text(base64.b64encode(b"w" * 32).decode())
    (tmp_path / "key").chmod(0o600)
    document = {
        "store": store.db.filename, "witness": {"name": "centre", "key": {"file": str(tmp_path / "key")}},
        "stations": {"tower": stations["tower"].model_dump(mode="json", exclude_none=True)},
    }  # fmt: skip
    (tmp_path / "central.hjson").write_text(json.dumps(document))
    log = make_log()
    for _ in range(60):
        log.scan()
    log.checkpoint()
    for _ in range(3):
        log.scan()
    store.add([log.delivery(0, 63)])
    return tmp_path / "central.hjson", log


def demanded(file: Path, *words: str, code: int = 0) -> None:
    assert main(["--lang", "en", "challenge", str(file), "--station", "tower", *SPAN, *words]) == code


def test_all_of_a_span_are_asked_for_at_a_bounded_rate(
    config: tuple[Path, Any], store: Store, stations: dict[str, Station], capsys: pytest.CaptureFixture[str]
) -> None:
    file, log = config
    demanded(file)
    assert "60 / 60: 3 min" in capsys.readouterr().out
    demanded(file)
    assert "0 / 60" in capsys.readouterr().out
    now = 1_900_000_000.0
    asking = Challenger(store.db, stations, lambda: now, 0, 24)
    # A station that does not answer holds no more than so many.
    asked = []
    for _ in range(4):
        now += TICK_WALL_S
        asked.append([question.seq for _, question in asking.due()])
    assert [len(seqs) for seqs in asked] == [TOLD_MAX, UNDER_WAY_MAX - TOLD_MAX, 0, 0]
    forged = encode({**decode(log.bodies[7]), "instrument": "other"})
    for seq in range(60):
        body = forged if seq == 7 else log.bodies[seq]
        asking.take(Challenged(station_id="tower", epoch=0, seq=seq, body=base64.b64encode(body).decode()))
        if seq == 39:
            now += TICK_WALL_S
            assert [question.seq for _, question in asking.due()] == list(range(40, 60))
    report = Evidence(store.db, "tower", stations["tower"].vkey, "2026-01-01", "2027-01-01").report()
    assert report["challenges"] == {"verdicts": {"intact": 59, "altered": 1}, "others": [[0, 7, "altered"]]}


def test_every_so_many_th_and_what_is_refused(
    config: tuple[Path, Any], store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = config
    demanded(file, "--every", "25")
    assert store.db.execute("SELECT group_concat(seq) FROM challenge").get == "0,25,50"
    demanded(file, "--every", "0", code=2)
    monkeypatch.setattr("central.demand.DEMANDED_MAX", 20)
    demanded(file, code=2)
    assert "write --every 3" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["challenge", str(file), "--station", "nobody", *SPAN]) == 2
    assert main(["challenge", str(file), "--station", "tower", "--from", "2020-01-01", "--to", "2020-01-02"]) == 1
    backwards = ["--from", "2026-03-02", "--to", "2026-03-01"]
    assert main(["challenge", str(file), "--station", "tower", *backwards]) == 2
    assert "ends before it begins" in capsys.readouterr().err
    file.write_text(json.dumps({**json.loads(file.read_text()), "witness": None}))
    demanded(file, code=2)
    assert "nobody asks the stations" in capsys.readouterr().err
