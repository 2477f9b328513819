"""Days on a removable medium: verified by what was signed, refused where a single byte differs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.space.archive import copied, medium_of, verified
from agent.space.proof import UnprovenError

Life = Any


async def test_a_day_is_copied_once_and_proven_from_the_medium_alone(
    life: Callable[..., Life], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, medium = life(), tmp_path / "medium"
    await one.days(2)
    made = []
    for day in await one.deletion.days.closed():
        root = await one.deletion.days.root(day)
        made.append(copied(day.path, medium, "old", root, one.log.vkeys))
        assert (made[-1].proven.first, made[-1].proven.last) == (day.first, day.next_seq - 1)
        assert made[-1].proven.root == root.checkpoint["root"]
        # Again: what is there is verified, not copied.
        before = made[-1].path.stat().st_mtime_ns
        assert copied(day.path, medium, "old", root, one.log.vkeys) == made[-1]
        assert made[-1].path.stat().st_mtime_ns == before
    assert len({copy.medium for copy in made}) == 1
    assert main(["--lang", "en", "archive", "verify", str(medium), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["last"] for row in told["files"]] == [copy.proven.last for copy in made]
    # Nothing is left beside the copies, and a medium that can only be read is read.
    assert {path.suffix for path in (medium / "old").iterdir()} == {".db", ".json"}
    (medium / "old").chmod(0o555)
    assert main(["--lang", "en", "archive", "verify", str(medium), "--vkey", one.log.vkey]) == 0
    (medium / "old").chmod(0o755)
    assert "each under its signed root" in capsys.readouterr().out


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.98])
async def test_a_flipped_byte_is_refused(life: Callable[..., Life], tmp_path: Path, place: float) -> None:
    one, medium = life(), tmp_path / "medium"
    await one.days(1)
    [day] = await one.deletion.days.closed()
    root = await one.deletion.days.root(day)
    copy = copied(day.path, medium, "old", root, one.log.vkeys)
    data = bytearray(copy.path.read_bytes())
    data[int(place * len(data))] ^= 0x10
    copy.path.write_bytes(data)
    with pytest.raises(UnprovenError, match=r"\.db"):
        copied(day.path, medium, "old", root, one.log.vkeys)
    assert main(["--lang", "en", "archive", "verify", str(medium)]) == 1


async def test_a_copy_altered_with_its_note_is_refused_by_the_signature(
    life: Callable[..., Life], tmp_path: Path
) -> None:
    """Whoever alters the copy alters what lies beside it too; the signed root they cannot make."""
    import hashlib

    import apsw

    from agent.store.packing import unpack
    from protocols.tlog import leaf_hash

    one, medium = life(), tmp_path / "medium"
    await one.days(1)
    [day] = await one.deletion.days.closed()
    copy = copied(day.path, medium, "old", await one.deletion.days.root(day), one.log.vkeys)
    db = apsw.Connection(str(copy.path))
    body = unpack(db.execute("SELECT body FROM rec WHERE seq = 1").get).replace(b'"x":1', b'"x":7')
    db.execute("UPDATE rec SET body = ?, leaf = ? WHERE seq = 1", (body, leaf_hash(body)))
    db.close()
    note = copy.path.with_name(copy.path.name + ".json")
    told = json.loads(note.read_text())
    note.write_text(json.dumps({**told, "sha256": hashlib.sha256(copy.path.read_bytes()).hexdigest()}))
    with pytest.raises(UnprovenError, match="do not give the signed root"):
        verified(copy.path, medium_of(medium), [one.log.vkey])


async def test_a_copy_that_was_cut_short_is_made_again(life: Callable[..., Life], tmp_path: Path) -> None:
    one, medium = life(), tmp_path / "medium"
    await one.days(1)
    [day] = await one.deletion.days.closed()
    medium_of(medium)
    (medium / "old").mkdir()
    shutil.copyfile(day.path, medium / "old" / day.path.name)
    (medium / "old" / (day.path.name + ".part")).write_bytes(b"half")
    copy = copied(day.path, medium, "old", await one.deletion.days.root(day), one.log.vkeys)
    assert copy.path.read_bytes() == day.path.read_bytes()


def test_a_folder_that_is_no_medium_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "en", "archive", "list", str(tmp_path)]) == 2
    assert "no medium" in capsys.readouterr().err
