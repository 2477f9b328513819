"""A backup of a running station: whole or not there, proved by its ledger; what is restored from it is no fork."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from peers.lines import Weather, tcp
from peers.stations import StationProcess, bare

from agent.backup.live import Head, Snapshot
from agent.store.segment import Raw, Segment, segment_files
from protocols import record


@pytest.fixture
async def station(tmp_path: Path, root: Path) -> AsyncIterator[StationProcess]:
    """Asks a weather transmitter all the time."""
    weather = Weather()
    await weather.start()
    one = StationProcess(tmp_path, root, bare())
    one.document["buses"]["line"] = {"wire": tcp(weather.port), "protocol": "text"}
    one.document["instruments"]["weather"] = {
        "driver": "vaisala_wxt5xx", "bus": "line", "unit": 0, "poll_s": 0.05, "kind": "research", "rule": "ghg",
    }  # fmt: skip
    yield one
    await one.put_away()
    weather.stop()


async def backup(station: StationProcess, dest: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(await station.said("backup", str(station.file), str(dest), "--json"))
    return made


def records(folder: Path) -> dict[tuple[int, int], bytes]:
    found: dict[tuple[int, int], bytes] = {}
    for path in segment_files(folder):
        segment, after = Segment(path, exclusive=False), -1
        while rows := segment.read(after, record.KINDS, 500, None):
            found.update(((row.epoch, row.seq), row.body) for row in rows)
            after = rows[-1].seq
        segment.close()
    return found


async def test_a_station_backed_up_while_it_polls_comes_back_in_a_new_epoch(
    station: StationProcess, tmp_path: Path
) -> None:
    async with station.running():
        await station.until(lambda status: status["scans"] > 20)
        told = await backup(station, tmp_path / "disk")
        at = (await station.status())["scans"]
        await station.until(lambda status: status["scans"] > at + 5)
        assert not list((tmp_path / "store" / "backup").iterdir())
    copy = Path(told["folder"])
    assert told["signed"]
    assert told["findings"] == []
    vkey = (await station.said("config", "vkey", str(station.file))).strip().splitlines()[0]
    checked = json.loads(await station.said("restore", str(copy), "--check", "--vkey", vkey, "--json"))
    assert checked["records"] == told["next_seq"]
    kept, whole = records(copy / "segments"), records(tmp_path / "store" / "segments")
    assert sorted(kept) == [(1, seq) for seq in range(told["next_seq"])]
    assert kept.items() < whole.items()
    assert sorted(path.name for path in copy.iterdir()) == [
        "config.hjson",
        "manifest.json",
        "manifest.note",
        "segments",
    ]
    # As docs/run-a-station.md has it: the disk is lost, the backup takes the place of the store.
    shutil.rmtree(tmp_path / "store")
    shutil.copytree(copy, tmp_path / "store")
    async with station.running():
        status = await station.until(lambda status: status["scans"] > 5)
        assert status["log"]["epoch"] > 100, "behind every epoch the station may have begun since"
    again = records(tmp_path / "store" / "segments")
    assert kept.items() <= again.items()
    assert {epoch for epoch, _ in again.keys() - kept.keys()} == {status["log"]["epoch"]}
    events = [record.decode(body) for body in again.values()]
    [damaged] = [one for one in events if one.get("what") == "log-damaged"]
    assert "restored from a backup taken 20" in damaged["detail"]
    assert (damaged["of_epoch"], damaged["first"]) == (1, told["next_seq"])
    assert [one["reason"] for one in events if one["kind"] == "gap"] == ["log damaged"]
    walked = json.loads(await station.said("verify", str(station.file), "--json"))
    assert walked["wrong"] == 0
    assert "epochs-missing" in walked["by_kind"]
    async with station.running():
        goes_on = await station.until(lambda status: status["scans"] > 0)
    assert goes_on["log"]["epoch"] == status["log"]["epoch"], "once"


async def test_a_stopped_station_is_backed_up_too(station: StationProcess, tmp_path: Path) -> None:
    async with station.running():
        await station.until(lambda status: status["scans"] > 5)
    told = await backup(station, tmp_path / "disk")
    kept = records(Path(told["folder"]) / "segments")
    assert kept == records(tmp_path / "store" / "segments")
    assert told["signed"]
    later = await station.said("backup", str(station.file), str(tmp_path / "disk"), "--since", "2100-01-01T00:00:00Z")
    assert "the ledger holds" in later


@pytest.mark.parametrize("damage", ["flip", "remove", "add", "manifest"])
async def test_a_backup_that_was_touched_is_refused(station: StationProcess, tmp_path: Path, damage: str) -> None:
    async with station.running():
        await station.until(lambda status: status["scans"] > 5)
        copy = Path((await backup(station, tmp_path / "disk"))["folder"])
    path = segment_files(copy / "segments")[-1]
    if damage == "flip":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "remove":
        (copy / "segments" / "restored").unlink()
    elif damage == "add":
        (copy / "segments" / "witness-a").write_text("x")
    else:
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps({**manifest, "taken": "2020-01-01T00:00:00.000Z"}))
    assert "manifest" in await station.said("restore", str(copy), "--check", code=1)


@pytest.mark.parametrize("inside", ["", "segments", "../store/segments"])
async def test_a_copy_inside_the_store_is_refused(station: StationProcess, tmp_path: Path, inside: str) -> None:
    async with station.running():
        await station.until(lambda status: status["scans"] > 2)
        store = Path(station.document["store"]["path"])
        before = sorted(store.iterdir())
        said = await station.said("backup", str(station.file), str(store / inside), code=2)
        assert "the store itself" in said
        assert sorted(store.iterdir()) == before


async def test_a_backup_that_is_killed_leaves_nothing_that_passes_for_one(
    station: StationProcess, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    disk = tmp_path / "disk"
    async with station.running():
        await station.until(lambda status: status["scans"] > 20)
        made = await station.program("backup", str(station.file), str(disk))
        await eventually(lambda: disk.exists() and list(disk.iterdir()))
        made.kill()
        await made.communicate()
        for left in disk.iterdir():
            if left.suffix == ".part":
                await station.said("restore", str(left), "--check", code=1)
            else:
                await station.said("restore", str(left), "--check")
        told = await backup(station, disk)
        assert Path(told["folder"]).suffix == ""
        # Two at once would write one file.
        both = await asyncio.gather(*(station.program("backup", str(station.file), str(disk / n)) for n in "ab"))
        codes = [(await one.communicate(), one.returncode)[1] for one in both]
    assert 0 in codes


def test_a_backup_given_up_in_the_middle_of_a_slice_is_removed_when_that_has_ended(tmp_path: Path) -> None:
    made, began, go = tmp_path / "log.db", Event(), Event()

    def rows() -> Iterator[Raw]:
        began.set()
        go.wait()
        yield 1, "event", b"{}", bytes(32)

    snapshot = Snapshot(made, Head(made, 1, 1, 2, b"", [], []))
    with ThreadPoolExecutor(2) as threads:
        taken = threads.submit(snapshot.take, rows())
        began.wait()
        closed = threads.submit(snapshot.close)
        go.set()
        closed.result()
        taken.result()
    assert not list(tmp_path.iterdir())
