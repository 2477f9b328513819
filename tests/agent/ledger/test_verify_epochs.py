"""An epoch has a reason, and a loss that the log tells of is told as such."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main


def verified(folder: Path, key: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["verify", str(folder), "--vkey", key, "--json"])
    return code, json.loads(capsys.readouterr().out)


async def damaged(folder: Path, station: Any) -> Any:
    """Forty minutes, the second of two files spoiled, and the station started again: it begins an epoch."""
    made = station(folder)
    await made.run(40)
    second = sorted(folder.glob("log-*.db"))[1]
    second.write_bytes(b"noise" * 5000)
    again = station(folder, minute=40)
    assert (again.log.epoch, len(again.log.quarantined)) == (2, 1)
    return again


async def test_an_epoch_without_a_reason_is_named(
    tmp_path: Path, station: Any, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    again = await damaged(tmp_path / "segments", station)
    await again.run(10)
    code, found = verified(again.folder, keys[0], capsys)
    assert code == 1
    assert {"epoch-unexplained", "periods-missing"} <= set(found["by_kind"])
    assert found["counts"]["epochs"] == 2


async def test_damage_the_log_tells_of_explains_its_epoch(
    tmp_path: Path, station: Any, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    again = await damaged(tmp_path / "segments", station)
    lost = again.log.quarantined[0]
    detail = {"detail": lost.detail, "of_epoch": lost.epoch, "first": lost.first, "until": lost.until}
    again.log.post("event", {"what": "log-damaged", "origin": "daemon", **detail})
    again.log.post(
        "gap", {"from": "2026-03-01T15:59:00.000Z", "to": "2026-03-01T16:20:00.000Z", "reason": "log damaged"}
    )
    await again.run(10)
    code, found = verified(again.folder, keys[0], capsys)
    assert (code, found["findings"]) == (0, [])


async def test_an_epoch_whose_files_are_gone_is_named(
    tmp_path: Path, station: Any, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    again = await damaged(tmp_path / "segments", station)
    await again.run(10)
    for path in again.folder.glob("log-0001-*.db"):
        path.unlink()
    code, found = verified(again.folder, keys[0], capsys)
    assert code == 1
    missing = next(one for one in found["findings"] if one["what"] == "epochs-missing")
    assert missing["detail"] == {"from": 1, "to": 1}
