"""`plumeline-central report`: what a station would tell of itself, from the store; signed by the centre's key."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main as station_main
from calibration.qa.rules import DEFAULT
from central.__main__ import main
from central.config import Config
from central.store import Store
from protocols.tlog import signer_from_seed

SEED = base64.b64encode(b"\x07" * 32).decode()


@pytest.fixture
def place(make_store: Any, make_log: Any, tmp_path: Path) -> Path:
    """A centre whose station `tower` read its span gas thrice, the last time far off."""
    log = make_log()
    for number, off in enumerate((0.4, 0.9, 12.0)):
        rules = DEFAULT["regulated"].judgement("so2", "span", 100.0, 80.0, "mg/m3")
        assert rules is not None
        log.add(
            "calibration", what="drift", run=f"daily-{number}", sequence="daily", instrument="gas", series="gas.so2",
            role="span", gas="span", reading=80.0 + off, assigned=80.0, span=100.0, drift_percent=off, unit="mg/m3",
            stable=True, verdict=rules.verdict(off), limit_percent=2.5, limit_verified=False, rules=rules.fields(),
        )  # fmt: skip
        log.add("calibration", what="run-finished", run=f"daily-{number}", sequence="daily", instrument="gas",
                adopted=[], refused={}, unusable={})  # fmt: skip
    store: Store = make_store("store.db")
    store.add([log.delivery(0, len(log.bodies) - 1)])
    stations = {name: one.model_dump(mode="json") for name, one in store.stations.items()}
    path = tmp_path / "central.hjson"
    path.write_text(json.dumps({"store": str(tmp_path / "store.db"), "stations": stations}), encoding="utf-8")
    Config.model_validate_json(path.read_text(encoding="utf-8"))
    return tmp_path


def test_a_report_of_the_store_is_signed_by_the_centre(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, out = place / "centre.key", place / "tower.html"
    key.write_text(SEED)
    words = [
        "report",
        "drift",
        str(place / "central.hjson"),
        "--station",
        "tower",
        "--from",
        "2026-01",
        "--to",
        "2026-12",
    ]
    key.chmod(0o644)
    assert main([*words, "--key", str(key), "--out", str(out)]) == 2
    key.chmod(0o600)
    assert main([*words, "--key", str(key), "--out", str(out), "--lang", "zh"]) == 1
    assert "漂移报告" in out.read_text(encoding="utf-8")
    vkey = signer_from_seed(SEED, "plumeline/centre").vkey
    assert station_main(["report", "verify", str(out), "--vkey", vkey]) == 0
    assert "plumeline/centre" in capsys.readouterr().out

    other = place / "other.key"
    other.write_text(base64.b64encode(b"\x08" * 32).decode())
    other.chmod(0o600)
    config = place / "central.hjson"
    document = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**document, "report_key": {"file": str(key)}}), encoding="utf-8")
    for more, told in (([], 0), (["--key", str(other)], 1)):
        assert main([*words, "--out", str(out), *more]) == 1
        assert station_main(["report", "verify", str(out), "--vkey", vkey]) == told, "--key overrides"
    key.chmod(0o644)
    assert main([*words, "--out", str(out)]) == 2, "a key that others may read signs nothing"
    key.chmod(0o600)
    config.write_text(json.dumps(document), encoding="utf-8")

    plain = place / "tower.json"
    assert main([*words, "--out", str(plain)]) == 1
    found = json.loads(plain.read_text(encoding="utf-8"))
    assert found["note"] == ""
    (row,) = found["report"]["sections"][0]["tables"][0]["rows"]
    assert row["cells"][2:4] == [3, 12]
    assert json.loads(found["bodies"][f"0-{row['records'][0][1]}"])["reading"] == 92


def test_a_wrong_request_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "report",
        "account",
        str(place / "central.hjson"),
        "--station",
        "nobody",
        "--from",
        "2026-02",
        "--to",
        "2026-01",
    ]
    assert main([*words, "--out", "report.docx"]) == 2
    said = capsys.readouterr().err
    assert [part for part in ("nobody", "--fuel", "2026-01", ".xlsx") if part not in said] == []
