"""Example blocks of single instruments (`config/blocks/NAME.hjson`): each, put into a bare station, checks clean."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hjson
import pytest

from agent.checks.check import check_file

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BLOCKS = sorted((Path(__file__).resolve().parents[2] / "config" / "blocks").glob("*.hjson"))


def bare_station(folder: Path) -> dict[str, Any]:
    key = folder / "station.key"
    key.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    key.chmod(0o600)
    place = {"latitude": 31.0, "longitude": 121.0, "height_m": 4, "datum": "WGS-84"}
    return {
        "station": {"id": "block-01", "network": "examples", "name_zh": "例", "name_en": "Example", "position": place},
        "store": {"path": str(folder / "store"), "quota_GB": 2000},
        "ledger": {"key": {"file": str(key)}},
        "socket": str(folder / "socket"),
    }


VALVES = sorted((Path(__file__).resolve().parents[2] / "config" / "blocks" / "valves").glob("*.hjson"))


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_a_block_put_into_a_station_is_clean(path: Path, tmp_path: Path) -> None:
    block = hjson.loads(path.read_text(encoding="utf-8"))
    assert set(block) == {"buses", "instruments"}
    assert path.stem in {instrument["driver"] for instrument in block["instruments"].values()}
    station = tmp_path / "station.hjson"
    station.write_text(json.dumps(bare_station(tmp_path) | block), encoding="utf-8")
    checked = check_file(station, now=NOW)
    assert [str(problem) for problem in checked.problems] == []
    assert checked.config is not None


@pytest.mark.parametrize("path", VALVES, ids=lambda path: path.stem)
def test_a_valve_put_into_a_station_is_told_of_its_way_home_alone(path: Path, tmp_path: Path) -> None:
    block = hjson.loads(path.read_text(encoding="utf-8"))
    assert {valve["kind"] for valve in block["valves"].values()} == {path.stem}
    station = tmp_path / "station.hjson"
    station.write_text(json.dumps(bare_station(tmp_path) | block), encoding="utf-8")
    assert [problem.code for problem in check_file(station, now=NOW).problems] == ["valve-no-passive-way"]
