"""The centre's evidence, checked by tools that are not ours, and what it says of a station that forged."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree

from central.__main__ import main
from central.config import Station
from central.store import Store
from protocols.record import decode, encode
from protocols.tlog import Verifier, open_note, signer_from_seed
from protocols.tlog_cosign import cosigner_from_seed

Maker = Callable[..., Any]
SEED = base64.b64encode(b"w" * 32).decode()
COSIGNER = cosigner_from_seed(SEED, "centre.example/witness")
CENTRE = signer_from_seed(base64.b64encode(b"r" * 32).decode(), "plumeline/centre")


class Centre:
    """A store that witnesses, its configuration, and the command."""

    def __init__(self, folder: Path, stations: dict[str, Station], capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        for name, seed in (("witness.key", SEED), ("report.key", base64.b64encode(b"r" * 32).decode())):
            (folder / name).write_text(seed)
            (folder / name).chmod(0o600)
        self.store = Store(str(folder / "store.db"), stations, lambda: 1_800_000_000.0, COSIGNER)
        document = {
            "store": str(folder / "store.db"),
            "witness": {"name": COSIGNER.name, "key": {"file": str(folder / "witness.key")}},
            "stations": {"tower": stations["tower"].model_dump(mode="json", exclude_none=True)},
        }
        (folder / "central.hjson").write_text(json.dumps(document))

    def deliver(self, log: Any, first: int = 0, last: int | None = None) -> None:
        self.store.add([log.delivery(first, len(log.bodies) - 1 if last is None else last)])

    def verify(self, *more: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, report, signed text."""
        out = self.folder / "evidence.json"
        interval = ["--from", "2026-03-01", "--to", "2026-03-02", "--key", str(self.folder / "report.key")]
        line = ["--lang", "en", "verify", str(self.folder / "central.hjson"), "--station", "tower", *interval]
        code = main([*line, "--out", str(out), *more])
        self._capsys.readouterr()
        return code, json.loads(out.read_bytes()), out.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.fixture
def centre(tmp_path: Path, stations: dict[str, Station], capsys: pytest.CaptureFixture[str]) -> Any:
    made = Centre(tmp_path, stations, capsys)
    yield made
    made.store.close()


def signature(note: str, name: str) -> bytes:
    line = next(one for one in note.split("\n\n")[1].splitlines() if one.split(" ")[1] == name)
    return base64.b64decode(line.split(" ")[2])


def public(vkey: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(vkey.split("+", 2)[2])[1:])


def test_every_average_of_an_honest_station_is_in_a_cosigned_tree(centre: Centre, minutes: Any) -> None:
    centre.deliver(minutes)
    code, report, text = centre.verify()
    assert code == 0
    found = report["averages"]
    assert (found["held"], found["included"], found["cosigned"], found["not_included_count"]) == (30, 30, 30, 0)
    assert report["records"] == {"scan": 30, "average": 30, "checkpoint": 3}
    assert "things that speak against the data: 0" in text


def test_a_station_that_was_added_in_the_middle_of_its_ledger_is_proven_from_there_on(
    centre: Centre, minutes: Any
) -> None:
    centre.store.add([minutes.delivery(30, len(minutes.bodies) - 1, prev=-1)])
    code, report, _ = centre.verify("--record", "0:35")
    assert code == 0
    found = report["averages"]
    assert (found["held"], found["included"], found["cosigned"]) == (16, 16, 16)
    (proof,) = report["proofs"]
    assert proof["included"]
    leaf, index = hashlib.sha256(b"\x00" + minutes.bodies[35]).digest(), 35
    peer = InmemoryTree(algorithm="sha256")
    for one in minutes.bodies[: proof["size"]]:
        peer.append_entry(one)
    theirs = peer.prove_inclusion(index + 1, proof["size"]).serialize()
    assert leaf.hex() == proof["leaf"]
    assert {base64.b64decode(one).hex() for one in proof["path"]} <= set(theirs["path"])
    # What comes of before, and late, proves nothing and takes nothing away.
    centre.store.add([minutes.delivery(0, 24, prev=-1)])
    code, report, text = centre.verify("--record", "0:35", "--record", "0:25", "--record", "0:3")
    assert "epoch 0: witnessed from number 20 on" in text
    assert report["averages"]["cosigned"] == 16 + 2
    assert [proof["record"] for proof in report["proofs"]] == [[0, 35]]
    assert report["unproven"] == [[0, 3], [0, 25]]
    assert code == 1, "what was asked for is not proven"
    assert centre.verify()[0] == 0


def test_tools_that_are_not_ours_agree(centre: Centre, minutes: Any) -> None:
    """A Merkle library on the bodies, and Ed25519 of another library on both signatures, from the report alone."""
    centre.deliver(minutes)
    _, report, text = centre.verify("--record", "0:25")
    (proof,) = report["proofs"]
    body, size = base64.b64decode(proof["body"]), proof["size"]
    assert body == minutes.bodies[25]
    peer = InmemoryTree(algorithm="sha256")
    for one in minutes.bodies[:size]:
        peer.append_entry(one)
    note_text = proof["note"].split("\n\n")[0] + "\n"
    assert base64.b64decode(note_text.split("\n")[2]) == peer.get_root()
    theirs = peer.prove_inclusion(26, size).serialize()
    path = {base64.b64decode(one).hex() for one in proof["path"]}
    assert len(path) >= 5
    assert path <= set(theirs["path"])
    station, witness = signature(proof["note"], "tower"), signature(proof["note"], COSIGNER.name)
    public(report["vkey"]).verify(station[4:], note_text.encode())
    at = int.from_bytes(witness[4:12], "big")
    public(report["witness"]).verify(witness[12:], f"cosignature/v1\ntime {at}\n{note_text}".encode())
    digest = hashlib.sha256((centre.folder / "evidence.json").read_bytes()).hexdigest()
    said, signers = open_note(text, [Verifier.from_vkey(CENTRE.vkey)])
    assert signers == (CENTRE.name,)
    assert digest in said
    assert proof["tlog_proof"].splitlines()[:2] == ["c2sp.org/tlog-proof@v1", "index 25"]


def test_the_path_alone_leads_from_the_body_to_the_signed_root(centre: Centre, minutes: Any) -> None:
    """RFC 9162 section 2.1.3.2, written out here once more."""
    centre.deliver(minutes)
    _, report, _ = centre.verify("--record", "0:3", "--record", "0:40")
    for proof in report["proofs"]:
        index, last = proof["record"][1], proof["size"] - 1
        found = hashlib.sha256(b"\0" + base64.b64decode(proof["body"])).digest()
        for sibling in map(base64.b64decode, proof["path"]):
            if index % 2 or index == last:
                found = hashlib.sha256(b"\1" + sibling + found).digest()
                while index % 2 == 0 and index:
                    index, last = index // 2, last // 2
            else:
                found = hashlib.sha256(b"\1" + found + sibling).digest()
            index, last = index // 2, last // 2
        assert found == base64.b64decode(proof["note"].split("\n")[2])


def test_a_log_rolled_back_to_a_backup_and_gone_on_is_named(centre: Centre, minutes: Any, make_log: Maker) -> None:
    centre.deliver(minutes)
    again = make_log()
    for index in range(30):
        again.scan(400.0 if index < 20 else 380.0)
        again.minute(index, 400.0 if index < 20 else 380.0)
        if index % 10 == 9:
            again.checkpoint()
    centre.deliver(again, 40)
    code, report, text = centre.verify()
    assert code == 1
    assert {(one["what"], one["detail"]["seq"]) for one in report["events"]} == {
        ("record-conflict", seq) for seq in range(42, 63)
    }
    assert "record-conflict" in text


def test_an_edited_and_a_withheld_record_are_named(centre: Centre, minutes: Any) -> None:
    minutes.bodies[3] = encode({**decode(minutes.bodies[3]), "rows": {}})
    centre.deliver(minutes, 0, 20)
    centre.deliver(minutes, 31)
    code, report, _ = centre.verify("--record", "0:3")
    assert code == 1
    assert report["averages"]["altered"] == [[0, 3]]
    assert [(one["what"], one["detail"]["seq"]) for one in report["events"]] == [("record-edited", 3)]
    assert report["epochs"][0]["holes"] == [[21, 30]]
    assert not report["proofs"][0]["included"]


def test_a_key_that_is_not_enrolled_proves_nothing(centre: Centre, minutes: Any) -> None:
    seq = 41
    other = signer_from_seed(base64.b64encode(b"x" * 32).decode(), "tower")
    fields = decode(minutes.bodies[seq])
    assert fields["kind"] == "checkpoint"
    text = fields["note"].split("\n\n")[0] + "\n"
    minutes.bodies[seq] = encode({**fields, "note": other.sign(text)})
    centre.deliver(minutes)
    code, report, _ = centre.verify()
    assert code == 1
    assert {one["what"] for one in report["events"]} >= {"checkpoint-bad-signature"}
    assert report["checkpoints_refused"][0]["record"] == [0, seq]
    assert report["averages"]["included"] == 10


def test_what_is_on_its_way_speaks_against_nobody(centre: Centre, minutes: Any) -> None:
    minutes.minute(30)
    centre.deliver(minutes)
    code, report, _ = centre.verify()
    assert (code, report["averages"]["not_included_count"]) == (0, 1)


@pytest.mark.parametrize(
    "more",
    [
        ["--station", "nobody"],
        ["--record", "x"],
        ["--record", f"0:{2**53}"],
        ["--from", "when"],
        ["--key", "/no/such/file"],
    ],
)
def test_a_wrong_request_is_two(centre: Centre, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    line = ["verify", str(centre.folder / "central.hjson"), "--station", "tower", "--from", "2026", "--to", "2026"]
    assert main([*line, *more]) == 2
    assert capsys.readouterr().err


def test_a_record_asked_for_that_is_not_held_is_said(
    centre: Centre, minutes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    centre.deliver(minutes)
    config = str(centre.folder / "central.hjson")
    line = ["--lang", "en", "verify", config, "--station", "tower", "--from", "2026-03-01", "--to", "2026-03-02"]
    assert main([*line, "--record", "0:1"]) == 0
    capsys.readouterr()
    assert main([*line, "--record", "0:1", "--record", "0:99999", "--record", "7:1"]) == 1
    assert "--record 0:99999, 7:1: not held" in capsys.readouterr().err
    code, report, text = centre.verify("--record", "0:99999", "--record", "0:1")
    assert (code, report["unproven"]) == (1, [[0, 99999]])
    assert "record 99999 of epoch 0: NO PROOF" in text
    assert "things that speak against the data: 1" in text


def test_an_interval_of_which_nothing_is_held_proves_nothing(centre: Centre, minutes: Any) -> None:
    centre.deliver(minutes)
    code, report, text = centre.verify("--from", "2027-01-01", "--to", "2027-01-02")
    assert (code, report["records"]) == (1, {})
    assert "NO RECORD OF THIS INTERVAL IS HELD" in text


def test_a_file_that_cannot_be_written_is_two(centre: Centre, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = str(centre.folder / "central.hjson"), str(centre.folder / "none" / "march.json")
    line = ["verify", config, "--station", "tower", "--from", "2026", "--to", "2026", "--out", out]
    assert main(line) == 2
    assert f"--out {out}: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [("2026-03-02", "2026-03-01", "ends before it begins"), ("0001", "9999-12", "calendar")],
)
def test_an_interval_that_is_none_is_two(
    centre: Centre, capsys: pytest.CaptureFixture[str], since: str, until: str, said: str
) -> None:
    config = str(centre.folder / "central.hjson")
    assert main(["--lang", "en", "verify", config, "--station", "tower", "--from", since, "--to", until]) == 2
    assert said in capsys.readouterr().err


def test_a_store_of_an_older_centre_is_a_message(
    centre: Centre, minutes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    centre.deliver(minutes)
    centre.store.db.execute("DROP TABLE cosignature")
    line = ["verify", str(centre.folder / "central.hjson"), "--station", "tower", "--from", "2026", "--to", "2026"]
    assert main(line) == 2
    assert "cosignature" in capsys.readouterr().err


def test_the_text_has_two_languages(centre: Centre, minutes: Any) -> None:
    centre.deliver(minutes)
    _, _, text = centre.verify("--lang", "zh")
    assert "均值记录：30 条" in text


def test_the_script_for_inspectors_needs_nothing_of_ours(centre: Centre, minutes: Any, root: Path) -> None:
    centre.deliver(minutes)
    _, report, _ = centre.verify(*(word for seq in range(0, 63, 7) for word in ("--record", f"0:{seq}")))
    file, script = centre.folder / "evidence.json", root / "tools" / "inspect_evidence.py"

    def inspected(document: Any, *keys: str) -> "subprocess.CompletedProcess[bytes]":
        file.write_text(json.dumps(document))
        # Elsewhere, so that none of our packages is near.
        line = [sys.executable, "-P", str(script), str(file), *keys]
        return subprocess.run(line, capture_output=True, check=False, cwd=centre.folder)

    done = inspected(report, report["vkey"], report["witness"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"is in the signed tree of") == 9
    forged = json.loads(json.dumps(report))
    body = {**decode(base64.b64decode(forged["proofs"][2]["body"])), "forged": True}
    forged["proofs"][2]["body"] = base64.b64encode(encode(body)).decode()
    assert b"is not in the signed tree" in inspected(forged, report["vkey"]).stderr
    other = json.loads(json.dumps(report))
    lines = other["proofs"][0]["note"].split("\n")
    other["proofs"][0]["note"] = "\n".join([lines[0], str(int(lines[1]) + 1), *lines[2:]])
    assert b"InvalidSignature" in inspected(other, report["vkey"]).stderr
    assert inspected(report, COSIGNER.vkey).returncode != 0
