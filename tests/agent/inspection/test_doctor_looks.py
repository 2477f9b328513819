"""`plumeline doctor` beyond security: what it says of disk, log, ports and process of a station that runs or stands."""

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.stations import StationProcess, bare

from agent.inspection import disk
from agent.inspection.finding import Finding, Subject
from agent.store.log import Log
from host.clock import ManualClock
from protocols.tlog import signer_from_seed
from protocols.tlog_cosign import cosigner_from_seed

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /run rw - tmpfs tmpfs rw,size=1m
31 22 0:41 / /var/lib/with\\040space ro,noatime - nfs4 srv:/x rw
32 22 8:2 / /var rw - ext4 /dev/sdb rw,nobarrier,data=ordered
"""


@pytest.fixture
async def station(tmp_path: Path, root: Path) -> AsyncIterator[StationProcess]:
    one = StationProcess(tmp_path, root, bare())
    yield one
    await one.put_away()


async def found(station: StationProcess) -> dict[str, dict[str, Any]]:
    """Findings by code."""
    made = await station.program("doctor", str(station.file), "--json")
    out, wrong = await made.communicate()
    told = json.loads(out)
    assert made.returncode == int(told["weak"] > 0), wrong
    return {row["code"]: row for row in told["findings"]}


def test_the_mount_of_a_path_is_the_longest_that_holds_it() -> None:
    def kind(path: str) -> tuple[str, str]:
        one = disk.mounted(Path(path), TABLE)
        assert one
        return one.point, one.kind

    assert kind("/home/x") == ("/", "ext4")
    assert kind("/runner/x") == ("/", "ext4")
    assert kind("/run/plumeline") == ("/run", "tmpfs")
    assert kind("/var/lib/with space/store") == ("/var/lib/with space", "nfs4")
    assert disk.mounted(Path("/var/x"), TABLE) == disk.Mount(
        "/var", "ext4", frozenset({"rw", "nobarrier", "data=ordered"})
    )
    assert disk.mounted(Path("/x"), "nonsense\n") is None


@pytest.mark.parametrize(
    ("store", "codes"),
    [("run", {"disk-memory"}), ("nfs", {"disk-network", "disk-read-only"}), ("var", {"disk-barrier"}), ("", set())],
)
def test_what_a_log_must_not_lie_on_is_named(
    tmp_path: Path, station: StationProcess, monkeypatch: pytest.MonkeyPatch, store: str, codes: set[str]
) -> None:
    from agent.config import Config

    path = tmp_path / "store"
    path.mkdir()
    kinds = {"run": "rw - tmpfs tmpfs rw", "nfs": "ro - nfs4 s:/x rw", "var": "rw - ext4 /dev/b rw,nobarrier"}
    table = tmp_path / "mountinfo"
    table.write_text(f"22 1 8:1 / {path} {kinds.get(store, 'rw - ext4 /dev/b rw')}\n")
    monkeypatch.setattr(disk, "MOUNTS", table)
    subject = Subject(Config.model_validate(station.document), station.file, None)
    assert {one.code for one in disk.mount(subject)} == codes


def test_a_disk_that_answers_sooner_than_it_can_have_written_lies(
    tmp_path: Path, station: StationProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.config import Config

    subject = Subject(Config.model_validate(station.document), station.file, None)
    assert list(disk.sync(subject)) == [], "no store yet"
    (tmp_path / "store").mkdir()
    [told] = disk.sync(subject)
    assert float(told.values["ms"]) > 0
    for took, code, note in ((1e-6, "sync-lies", False), (0.9, "sync-slow", False), (0.004, "sync-took", True)):
        monkeypatch.setattr(disk, "sync_s", lambda _, took=took: took)
        [told] = disk.sync(subject)
        assert (told.code, told.note) == (code, note)
    assert isinstance(told, Finding)


async def test_a_station_that_runs_and_one_that_stands(station: StationProcess, tmp_path: Path) -> None:
    station.document["buses"]["line"] = {
        "wire": {"kind": "serial", "device": "/dev/ttyUSB99"}, "protocol": "modbus-rtu"
    }  # fmt: skip
    async with station.running():
        await station.until(lambda status: status["log"]["records"] > 0)
        told = await found(station)
        assert told["port-missing"]["state"] == told["port-number"]["state"] == "weak"
        assert {"sync-took", "sync-lies", "sync-slow"} & told.keys()
        assert "sqlite-told" in told
        assert "unit-none" not in told, "it runs: the question is who supervises it"
        cgroup = Path(f"/proc/{os.getpid()}/cgroup").read_text()
        assert ("not-supervised" in told) == (".service" not in cgroup)
        assert not {"witness-files", "log-quarantine", "log-waits", "uplink-down"} & told.keys()
    segments = tmp_path / "store" / "segments"
    (segments / "quarantine").mkdir()
    shutil.copy(next(segments.glob("log-*.db")), segments / "quarantine" / "log-0001-000000000000.db")
    for name in ("witness-a", "witness-b"):
        (segments / name).unlink(missing_ok=True)
    told = await found(station)
    assert {"log-unsalvaged", "witness-files", "log-quarantine"} <= told.keys()
    assert told["log-quarantine"]["state"] == "note"
    assert "was set aside" in told["log-unsalvaged"]["what"]


async def test_what_a_witness_has_not_signed_for_hours_is_named(station: StationProcess) -> None:
    cosigner = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre")
    station.document["uplinks"] = {
        "centre": {"kind": "mqtt", "host": "127.0.0.1", "port": 9, "witness": cosigner.vkey},
    }  # fmt: skip
    async with station.running():
        await station.until(lambda status: status["log"]["records"] > 0)
        assert {"cosigned-none", "cosigned-old"} & (await found(station)).keys() == {"cosigned-none"}
    clock = ManualClock(datetime.now(UTC) - timedelta(hours=7))
    segments = Path(station.document["store"]["path"]) / "segments"
    signer = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
    log = Log(segments, clock, station_id="test-01", signer=signer, commit_s=0)
    task = asyncio.create_task(log.run())
    detail = {"epoch": 1, "size": 3, "witness": "centre", "cosignature": "-"}
    await log.append("event", {"what": "cosigned", "origin": "uplink centre", "checkpoint": detail})
    task.cancel()
    await asyncio.wait([task])
    async with station.running():
        await station.until(lambda status: status["log"]["records"] > 0)
        told = await found(station)
    assert "cosigned-none" not in told
    assert "7.0 h" in told["cosigned-old"]["what"]
