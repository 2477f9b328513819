"""A key that changed twice: `plumeline verify` follows the chain from its first key, whichever of its keys is given."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from peers.stations import StationProcess, bare

from agent.__main__ import main
from agent.ledger.chain import first_key
from protocols.tlog import Signer, signer_from_seed
from protocols.tlog_keys import rotation_fields

Run = pytest.CaptureFixture[str]


def key_of(letter: bytes) -> Signer:
    return signer_from_seed(base64.b64encode(letter * 32).decode(), "plumeline/tower-01")


FIRST, SECOND, THIRD, STRANGER = (key_of(letter) for letter in (b"o", b"n", b"t", b"s"))


def put_key(folder: Path, letter: bytes) -> Path:
    path = folder / f"key-{letter.decode()}"
    path.write_bytes(base64.b64encode(letter * 32))
    path.chmod(0o600)
    return path


def rotate(capsys: Run, config: Path, new: Path) -> dict[str, Any]:
    line = ["key", "rotate", str(config), "--new-key", str(new), "--reason", "yearly", "--who", "li", "--json"]
    assert main(line) == 0
    return dict(json.loads(capsys.readouterr().out))


def walked(capsys: Run, *words: object) -> tuple[int, dict[str, Any]]:
    code = main(["verify", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_stopped_station_is_walked_by_any_key_of_its_chain(tmp_path: Path, capsys: Run, bare_config: Any) -> None:
    config, folder = bare_config(tmp_path)
    for letter in (b"n", b"t"):
        new = put_key(tmp_path, letter)
        rotate(capsys, config, new)
        document = json.loads(config.read_text())
        document["ledger"]["key"]["file"] = str(new)
        config.write_text(json.dumps(document))
    chain = [FIRST.vkey, SECOND.vkey, THIRD.vkey]
    code, found = walked(capsys, config)
    assert (code, found["key"], found["keys"], found["findings"]) == (0, "own", chain, [])
    assert main(["--lang", "en", "verify", str(config)]) == 0
    told = capsys.readouterr().out
    assert "the station's own word" in told
    assert f"2 changes of the key are followed, from {FIRST.vkey} on" in told
    for key in chain:
        code, found = walked(capsys, folder, "--vkey", key)
        assert (code, found["key"], found["keys"]) == (0, "given", chain)
    code, found = walked(capsys, folder, "--vkey", STRANGER.vkey)
    assert (code, set(found["by_kind"])) == (1, {"checkpoint-signature", "key-refused"})


def test_a_statement_the_given_key_did_not_sign_leads_nowhere() -> None:
    forged = {"epoch": 1, **rotation_fields("tower-01", 1, STRANGER, SECOND, "x", "y"), "former": FIRST.vkey}
    assert first_key([forged], SECOND.vkey) == SECOND.vkey
    there = {"epoch": 1, **rotation_fields("tower-01", 1, FIRST, SECOND, "x", "y")}
    back = {"epoch": 1, **rotation_fields("tower-01", 1, SECOND, FIRST, "x", "y")}
    assert first_key([there, back], SECOND.vkey) in (FIRST.vkey, SECOND.vkey)  # a ring has no beginning, and an end


async def test_a_running_daemon_changes_its_key_twice_over_its_socket(tmp_path: Path, root: Path, capsys: Run) -> None:
    station = StationProcess(tmp_path, root, bare("tower-01"))
    begun = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/tower-01").vkey
    chain = [begun, SECOND.vkey, THIRD.vkey]
    async with station.running():
        await station.until(lambda status: status)
        for letter, vkey in ((b"n", SECOND.vkey), (b"t", THIRD.vkey)):
            told = await asyncio.to_thread(rotate, capsys, station.file, put_key(tmp_path, letter))
            assert told["vkey"] == vkey
            assert told["checkpoint"] == told["record"][1] + 1
        again = ["key", "rotate", str(station.file), "--new-key", str(tmp_path / "key-t"), "--reason", "again"]
        assert await asyncio.to_thread(main, again) == 1
        assert "it is the one in force" in capsys.readouterr().err
        code, found = await asyncio.to_thread(walked, capsys, station.file)
        assert (code, found["key"], found["keys"], found["findings"]) == (0, "own", chain, [])
    code, found = walked(capsys, tmp_path / "store", "--vkey", begun)
    assert (code, found["keys"]) == (0, chain)
