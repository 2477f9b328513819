"""The fault campaigns themselves: the model of the disk, the cumulative file, and planted bugs that must be found."""

import logging
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "tools" / "faulting"
sys.path.insert(0, str(FOLDER))

from campaign import Result, keep, lines, table, totals  # noqa: E402
from flip import flipped  # noqa: E402
from frozen_tree import COMMIT, absolute, copy, git  # noqa: E402
from powercut import replay  # noqa: E402
from powercut_bugs import BUGS  # noqa: E402
from powercut_disk import Disk  # noqa: E402
from powercut_trace import Event, record, whole  # noqa: E402
from report import dates  # noqa: E402

CUTS = 200


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def outcomes(*events: Event, folders_synced: bool = True) -> set[tuple[tuple[str, bytes], ...]]:
    """All that cuts after these events have left."""
    disk = Disk({"old": b"before"}, folders_synced=folders_synced)
    for event in events:
        disk.take(event)
    dice = random.Random(1)
    return {tuple(sorted(disk.cut(dice).items())) for _ in range(CUTS)}


def test_what_was_synced_with_its_name_survives_every_cut() -> None:
    found = outcomes(
        Event("create", "new"), Event("write", "new", b"data", 0), Event("sync", "new"), Event("syncdir", ".")
    )
    assert found == {(("new", b"data"), ("old", b"before"))}


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_station_database_keeps_its_name_behind_a_sync_of_its_folder(tmp_path: Path) -> None:
    """The trace and the disk call the store itself the same; else no name in it would ever be durable."""
    (tmp_path / "store").mkdir()
    disk = Disk({})
    events = record(tmp_path / "store", 1, 3)
    for event in events[: max(at for at, one in enumerate(events) if one == Event("syncdir", ".")) + 1]:
        disk.take(event)
    dice = random.Random(1)
    assert all("station.db" in disk.cut(dice) for _ in range(CUTS))


def test_a_name_is_lost_whose_folder_was_not_synced() -> None:
    events = Event("create", "new"), Event("write", "new", b"data", 0), Event("sync", "new")
    kept, gone = (("new", b"data"), ("old", b"before")), (("old", b"before"),)
    assert outcomes(*events) == {kept, gone}
    assert outcomes(*events, Event("syncdir", "."), folders_synced=False) == {kept, gone}


def test_writes_are_dropped_reordered_and_torn_at_sectors() -> None:
    found = outcomes(Event("write", "old", b"a" * 1024, 0), Event("write", "old", b"b" * 1024, 1024))
    contents = {dict(one)["old"] for one in found}
    assert {
        b"before",
        b"a" * 1024,
        b"a" * 1024 + b"b" * 1024,
        b"before".ljust(1024, b"\0") + b"b" * 1024,
    } <= contents
    assert b"a" * 512 in contents
    assert b"a" * 1024 + b"b" * 512 in contents


def test_a_removal_and_a_new_name_are_not_durable_before_the_folder() -> None:
    assert outcomes(Event("unlink", "old")) == {(("old", b"before"),), ()}
    assert outcomes(Event("rename", "old", other="new")) == {(("old", b"before"),), (("new", b"before"),)}
    assert outcomes(Event("rename", "old", other="new"), Event("syncdir", ".")) == {(("new", b"before"),)}


def test_halves_of_a_call_are_joined(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(
        '7 pwrite64(3, "\\x61", 1, 0 <unfinished ...>\n8 fsync(4) = 0\n7 <... pwrite64 resumed>) = 1\n'
        "7 fdatasync(3) = -1 EIO (Input/output error)\n+++ exited with 0 +++\n"
    )
    assert list(whole(trace)) == [("fsync", "(4", 0), ("pwrite64", '(3, "\\x61", 1, 0 ', 1), ("fdatasync", "(3", -1)]


def test_results_add_up_over_slices_and_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    keep(tmp_path, "kill", 1, 2.0, Result(points=20, periods_missing=0))
    keep(tmp_path, "kill", 2, 2.0, Result(points=20, lost=1, failures=["one"], periods_missing=0))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"campaign": "kill", "se')
    found = lines(tmp_path)
    assert [line["held"] for line in found] == [True, False]
    sums = totals(found)
    assert sums["kill"]["failures"] == ["seed 2: one"]
    assert table(sums).splitlines()[-1] == "| kill | 40 | 1 | 0 | 0 | 0 | – |"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("bug", ["", *BUGS])
def test_a_planted_bug_is_found_and_nothing_without_one(tmp_path: Path, quiet: None, bug: str) -> None:
    result = replay(1, tmp_path, (15,), 0.2, bug)
    assert result.points > 20
    assert result.held == (not bug), result.failures[:3]


def test_folders_mean_the_same_from_the_copy_of_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = absolute(["--quick", "--state", "results", "--folder=here", "--seed", "3"])
    assert found == ["--quick", "--state", f"{tmp_path}/results", f"--folder={tmp_path}/here", "--seed", "3"]


def test_what_is_kept_comes_from_what_is_committed(tmp_path: Path) -> None:
    if not (commit := git("rev-parse", "--short", "HEAD").decode().strip()):
        pytest.skip("no git repository")
    assert copy(tmp_path, committed=True) == commit
    assert (tmp_path / "agent" / "daemon.py").read_bytes() == git("show", f"{commit}:agent/daemon.py")


def test_a_report_names_the_commits_of_its_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, commit in enumerate(("abc1", "abc2", "abc1"), start=1):
        monkeypatch.setenv(COMMIT, commit)
        keep(tmp_path, "kill", number, 2.0, Result(points=20))
    assert "abc1, abc2" in dates(totals(lines(tmp_path)))


def test_a_flipped_bit_lies_in_a_file_of_the_log_alone() -> None:
    files = {"segments/log-0001-000000000000.db": b"abc", "segments/witness-a": b"w", "station.db": b"s"}
    for seed in range(20):
        after = flipped(files, random.Random(seed))
        assert [name for name in files if files[name] != after[name]] == ["segments/log-0001-000000000000.db"]
