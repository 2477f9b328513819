"""What one who has the station's machine can change, and how `plumeline verify` names it."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from protocols.record import encode
from protocols.tlog import Frontier, checkpoint_text, leaf_hash, make_checkpoint, signer_from_seed

Copied = Callable[[str], Any]
Keys = tuple[str, str]


@pytest.fixture
def verified(keys: Keys, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Exit code and what is found in a folder."""

    def run(folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
        code = main(["verify", str(folder), "--vkey", keys[0], "--witness-vkey", keys[1], "--json", *more])
        return code, json.loads(capsys.readouterr().out)

    return run


def named(found: dict[str, Any]) -> set[tuple[str, int | None]]:
    return {(one["what"], one["seq"]) for one in found["findings"]}


def test_an_honest_log_is_well(honest: Path, verified: Any) -> None:
    code, found = verified(honest)
    assert (code, found["findings"]) == (0, [])
    assert found["counts"]["checkpoints"] == found["counts"]["cosignatures-believed"] == 8
    assert found["counts"]["records"] == 2 + 40 * 3 + 8 * 2
    assert found["newest"]["origin"] == "plumeline/tower-01/1"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("scan", {"values": {"co2": {"x": 390.0, "u": "umol/mol"}}}),
        ("average", {"rows": {}}),
        ("calibration", {"slope": 0.9}),
        ("config", {"document": {"range": 50}}),
    ],
)
def test_an_edited_record_is_named(copied: Copied, verified: Any, kind: str, change: dict[str, Any]) -> None:
    forger = copied(kind)
    seq = forger.first(kind, -1 if kind in ("calibration", "config") else 40)
    forger.put(seq, {**forger.bodies()[seq], **change})
    code, found = verified(forger.folder)
    assert code == 1
    assert named(found) == {("altered", seq)}
    assert found["findings"][0]["detail"]["record"].startswith(kind)


def test_one_who_edits_the_listed_leaf_too_is_named_by_the_signed_root(copied: Copied, verified: Any) -> None:
    forger = copied("listed")
    seq = forger.first("scan")
    bodies = forger.bodies()
    edited = {**bodies[seq], "values": {"co2": {"x": 390.0, "u": "umol/mol"}}}
    forger.put(seq, edited)
    checkpoint = forger.first("checkpoint", seq)
    leaves = base64.b64decode(bodies[checkpoint]["leaves"])
    at = (seq - (checkpoint - len(leaves) // 32)) * 32
    listed = leaves[:at] + leaf_hash(encode(edited)) + leaves[at + 32 :]
    forger.put(checkpoint, {**bodies[checkpoint], "leaves": base64.b64encode(listed).decode()})
    code, found = verified(forger.folder)
    assert code == 1
    assert ("checkpoint-root", checkpoint) in named(found)
    assert ("altered", checkpoint) in named(found)


def test_a_record_hidden_under_another_kind_is_named(copied: Copied, verified: Any) -> None:
    forger = copied("kind")
    seq = forger.first("average")
    forger.execute("UPDATE rec SET kind = 'event' WHERE seq = ?", seq)
    code, found = verified(forger.folder)
    assert (code, named(found)) == (1, {("says-another-kind", seq)})


@pytest.mark.parametrize("body", ["abc", 7, 0, 1.5])
def test_a_body_of_another_type_of_sqlite_is_named(copied: Copied, verified: Any, body: object) -> None:
    forger = copied("type")
    seq = forger.first("average")
    forger.execute("UPDATE rec SET body = ? WHERE seq = ?", body, seq)
    code, found = verified(forger.folder)
    assert code == 1
    assert {("leaf-differs", seq), ("unreadable", seq)} <= named(found)


@pytest.mark.parametrize("kind", ["checkpoint", "average", "event"])
def test_a_body_without_its_members_is_named_and_the_walk_goes_on(copied: Copied, verified: Any, kind: str) -> None:
    forger = copied(f"bare-{kind}")
    seq = forger.first(kind)
    fields = forger.bodies()[seq]
    forger.put(seq, {name: fields[name] for name in ("v", "epoch", "seq", "kind", "t")} | {"what": "cosigned"})
    code, found = verified(forger.folder)
    assert code == 1
    assert {("unreadable", seq), ("altered", seq)} <= named(found)
    assert found["counts"]["records"] == 138


def test_a_deleted_stretch_is_named_by_its_numbers_and_minutes(copied: Copied, verified: Any) -> None:
    forger = copied("deleted")
    first, last = forger.first("scan", 50), forger.first("scan", 80)
    forger.remove(first, last)
    code, found = verified(forger.folder)
    assert code == 1
    assert ("numbers-missing", first) in named(found)
    missing = next(one for one in found["findings"] if one["what"] == "numbers-missing")
    assert missing["detail"] == {"from": first, "to": last}
    assert "periods-missing" in {what for what, _ in named(found)}


def test_records_in_another_order_are_named(copied: Copied, verified: Any) -> None:
    forger = copied("swapped")
    one = forger.first("scan", 60)
    other = forger.first("scan", one)
    forger.swap(one, other)
    code, found = verified(forger.folder)
    assert code == 1
    assert {("altered", one), ("altered", other)} <= named(found)


def test_removed_newest_records_are_named_by_the_head(copied: Copied, verified: Any) -> None:
    forger = copied("cut")
    last = max(forger.bodies())
    forger.remove(last - 5, last)
    code, found = verified(forger.folder)
    assert code == 1
    assert ("head-differs", last - 6) in named(found)


async def test_a_log_rolled_back_and_gone_on_is_well_in_itself(
    honest: Path, tmp_path: Path, station: Any, verified: Any
) -> None:
    """Only who saw the later tree knows: the centre does (tests/central/test_evidence.py)."""
    backup = tmp_path / "backup"
    shutil.copytree(honest, backup)
    again = station(backup, minute=40)
    await again.run(10, value=380.0)
    code, found = verified(backup)
    assert (code, found["findings"]) == (0, [])


async def test_files_of_a_backup_beside_the_newer_notes_of_their_end_are_named(
    tmp_path: Path, station: Any, verified: Any
) -> None:
    made = station(tmp_path / "segments")
    await made.run(10)
    shutil.copytree(made.folder, tmp_path / "backup")
    again = station(made.folder, minute=10)
    await again.run(10)
    for path in made.folder.glob("log-*"):
        path.unlink()
    for path in (tmp_path / "backup").glob("log-*"):
        shutil.copy(path, made.folder)
    code, found = verified(made.folder)
    assert code == 1
    (finding,) = found["findings"]
    assert (finding["what"], finding["detail"]["next"]) == ("log-short", finding["seq"] + 34)


async def test_a_log_signed_anew_is_named_at_every_checkpoint(
    tmp_path: Path, station: Any, verified: Any, keys: Keys
) -> None:
    forged = station(tmp_path / "anew", signer_from_seed(base64.b64encode(b"f" * 32).decode(), "plumeline/tower-01"))
    await forged.run(40, value=390.0)
    code, found = verified(forged.folder)
    assert code == 1
    assert found["by_kind"] == {"checkpoint-signature": 8}


def test_a_fork_by_one_who_has_the_key_is_named_and_the_witness_did_not_see_it(copied: Copied, verified: Any) -> None:
    forger = copied("forked")
    bodies = forger.bodies()
    checkpoint = forger.first("checkpoint", 60)
    signer = signer_from_seed(base64.b64encode(b"k" * 32).decode(), "plumeline/tower-01")
    root = Frontier().extend([leaf_hash(b"other")]).root()
    note = make_checkpoint("plumeline/tower-01/1", checkpoint, root, signer)
    changed = {"note": note, "root": base64.b64encode(root).decode()}
    forger.put(checkpoint, {**bodies[checkpoint], **changed})
    code, found = verified(forger.folder)
    assert code == 1
    assert {("checkpoint-root", checkpoint), ("cosignature-wrong", checkpoint + 1)} <= named(found)
    assert checkpoint_text("plumeline/tower-01/1", checkpoint, root) in note


def test_a_file_that_is_no_database_is_named(copied: Copied, verified: Any) -> None:
    forger = copied("noise")
    path = sorted(forger.folder.glob("log-*.db"))[0]
    path.write_bytes(b"noise" * 5000)
    code, found = verified(forger.folder)
    assert code == 1
    assert "file-damaged" in found["by_kind"]


def test_a_removed_file_is_named(copied: Copied, verified: Any) -> None:
    forger = copied("gone")
    path = sorted(forger.folder.glob("log-*.db"))[0]
    path.unlink()
    code, found = verified(forger.folder)
    assert code == 1
    assert ("numbers-missing", 0) in named(found)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_people_read_it_in_two_languages(
    copied: Copied, keys: Keys, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forger = copied("words")
    seq = forger.first("scan")
    forger.put(seq, {**forger.bodies()[seq], "instrument": "other"})
    assert main(["--lang", lang, "verify", str(forger.folder), "--vkey", keys[0]]) == 1
    out = capsys.readouterr().out
    assert str(seq) in out
    assert ("被改动" in out) == (lang == "zh")


def test_where_nothing_is_to_be_verified_it_says_so(
    tmp_path: Path, honest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["verify", str(empty)]) == 2
    assert main(["verify", str(honest), "--vkey", "no key"]) == 2
    assert main(["verify", "--socket", str(tmp_path / "no.sock")]) == 2
    capsys.readouterr()
    assert main(["--lang", "en", "verify", str(honest)]) == 0
    assert "signatures were not judged" in capsys.readouterr().out
