"""A station enrols with one command and a one-time code, over a real HTTPS endpoint; nothing else lets it in."""

import contextlib
import http.client
import json
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from peers.centres import EnrollingCentre
from peers.stations import bare

from agent.__main__ import main as station_main
from agent.config_tls import StationTls
from agent.enrol import enrol, new_key, new_seed
from agent.enrol_renewal import renewed
from central import keys
from central.__main__ import main as centre_main
from host.enrolment import EnrolError
from host.tls import ClientContext, certificate_of
from protocols.tlog import Signer, signer_from_seed

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def centre(tmp_path: Path, root: Path) -> Iterator[EnrollingCentre]:
    (tmp_path / "centre").mkdir()
    made = EnrollingCentre(tmp_path / "centre", root)
    yield made
    made.end()


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """A station's file: no key, no store, no uplink yet."""
    folder = tmp_path / "station"
    folder.mkdir()
    document = bare("tower-01") | {
        "ledger": {"key": {"file": str(folder / "secrets" / "key")}}, "socket": str(folder / "sock"),
        "store": {"path": str(folder / "store"), "quota_GB": 1},
    }  # fmt: skip
    (folder / "station.hjson").write_text(json.dumps(document))
    return folder / "station.hjson"


@pytest.fixture
def run(centre: EnrollingCentre, station: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(code, *words, centre=, fingerprint=)`: exit code of `plumeline enrol`, what it said on both lines."""

    def ask(code: str, *words: str, **other: str) -> tuple[int, str, str]:
        capsys.readouterr()
        given = {"centre": centre.address, "ca-fingerprint": centre.fingerprint, "code": code, **other}
        line = [word for name, value in given.items() for word in (f"--{name}", value)]
        status = station_main(["--lang", "en", "enrol", str(station), *line, *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return ask


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_command_with_a_code_enrols_a_station(
    centre: EnrollingCentre, station: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert centre_main(["enrol", str(centre.file), "tower-01", "--code", "--who", "Li Wei", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}", told["code"])
    assert (told["centre"], told["fingerprint"]) == (centre.address, centre.fingerprint)
    kept = b"".join(file.read_bytes() for file in centre.folder.glob("centre.db*"))
    assert told["code"].encode() not in kept
    assert told["code"].replace("-", "").encode() not in kept

    code, said, wrong = run(told["code"].lower(), "--json")
    assert code == 0, wrong
    found = json.loads(said)
    tls = station.parent / "store" / "tls"
    assert (mode(tls / "key.pem"), mode(station.parent / "secrets" / "key")) == (0o600, 0o600)
    certificate = certificate_of((tls / "certificate.pem").read_bytes())
    assert certificate.name == "tower-01"
    assert 89 < (certificate.ends - certificate.begins).days < 91
    # The block it prints, put into the file, stands before the station's own check.
    document = json.loads(station.read_text()) | {"uplinks": found["uplinks"]}
    document["uplinks"]["centre"].pop("witness")
    station.write_text(json.dumps(document))
    capsys.readouterr()
    assert station_main(["--lang", "en", "check", str(station)]) == 0, capsys.readouterr().out
    # The centre knows the key by which it will judge the ledger, and has on record who enrolled what.
    assert keys.newest(centre.store.db, "tower-01", "") == found["vkey"]
    (event,) = centre.events("station-enrolled")
    assert (event["who"], event["vkey"], event["serial"]) == ("Li Wei", found["vkey"], certificate.serial)


def test_what_is_wrong_with_a_code_is_said_and_changes_nothing(
    centre: EnrollingCentre, station: Path, run: Run
) -> None:
    old, fresh, other = centre.code(), centre.code(), centre.code("tower-02")
    refusals = {
        "does not know this code": "A" * 20, "replaced by a newer one": old, "for another station": other,
        "has expired": centre.code(valid_s=-1),
    }  # fmt: skip
    for sentence, code in refusals.items():
        status, _, wrong = run(code)
        assert (status, sentence in wrong) == (1, True), wrong
    assert "replaced by a newer one" in run(fresh)[2], "a new code ends the one before"
    assert not (station.parent / "store" / "tls" / "certificate.pem").exists()
    assert centre.store.db.execute("SELECT count(*) FROM certificate").get == 0
    assert centre.store.db.execute("SELECT count(*) FROM station_key").get == 0
    reasons = sorted(one["reason"] for one in centre.events("enrolment-refused"))
    assert reasons == ["code-expired", "code-replaced", "code-replaced", "other-station"]


def test_a_code_serves_once_and_bears_a_lost_answer(centre: EnrollingCentre, station: Path, run: Run) -> None:
    code = centre.code()
    assert run(code)[0] == 0
    tls = station.parent / "store" / "tls"
    first = (tls / "certificate.pem").read_bytes()
    (tls / "certificate.pem").unlink()
    assert run(code)[0] == 0, "the same keys get the same certificate again"
    assert (tls / "certificate.pem").read_bytes() == first
    (tls / "key.pem").unlink()
    status, _, wrong = run(code)
    assert (status, "used already, by other keys" in wrong) == (1, True), wrong
    assert centre.store.db.execute("SELECT count(*) FROM certificate").get == 1
    # Another ledger key is not taken over by a code alone.
    (station.parent / "secrets" / "key").unlink()
    status, _, wrong = run(centre.code())
    assert (status, "knows this station by another ledger key" in wrong) == (1, True), wrong


def test_who_is_not_the_centre_hears_no_code(centre: EnrollingCentre, run: Run) -> None:
    code = centre.code()
    for words, sentence in (
        ({"ca-fingerprint": "00" * 32}, "shows another authority"),
        ({"centre": centre.address.replace("https", "http")}, "write https://HOST:PORT"),
        ({"centre": "https://localhost:1"}, "is not reached"),
    ):
        status, _, wrong = run(code, **words)
        assert (status, sentence in wrong) == (1, True), wrong
    assert run(code)[0] == 0, "the code is still good"


def ask(centre: EnrollingCentre, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=Path(centre.block.folder) / "ca.pem")
    line = http.client.HTTPSConnection("localhost", centre.port, timeout=10, context=context)
    try:
        line.request(method, path, body)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def test_the_endpoint_bears_what_strangers_send(centre: EnrollingCentre) -> None:
    assert ask(centre, "GET", "/authority")[0] == 200
    for path in ("/", "/sign-in", "/api/stations"):
        assert ask(centre, "GET", path)[0] == 404
    assert ask(centre, "GET", "/enrol")[0] == 405
    for body in (b"", b"{}", b"\xff", b'{"code": 1}', b"[" * 5000):
        assert ask(centre, "POST", "/enrol", body) == (400, b'{"error":"form"}')
    with contextlib.suppress(ssl.SSLEOFError, ConnectionError):  # who still sends when the answer comes is cut off
        assert ask(centre, "POST", "/enrol", b"x" * 70_000)[0] == 413
    assert ask(centre, "POST", "/renew", b"{}") == (401, b'{"error":"certificate-missing"}')


def test_what_cannot_be_a_code_or_a_fingerprint_is_said_before_anybody_is_asked(
    centre: EnrollingCentre, run: Run
) -> None:
    code, _, said = run("ABCD", **{"ca-fingerprint": "ab" * 33})
    assert (code, "these are 66 characters" in said) == (1, True)
    code, _, said = run("A" * 101)
    assert code == 1
    assert "this cannot be asked: code: " in said
    assert "pydantic" not in said
    assert centre.store.db.execute("SELECT count(*) FROM refused").get == 0


def test_what_nobody_has_is_taken_back_in_words(centre: EnrollingCentre, capsys: pytest.CaptureFixture[str]) -> None:
    assert centre_main(["--lang", "en", "revoke", str(centre.file), "--station", "tower-01", "--reason", "lost"]) == 0
    assert "tower-01 has no certificate that is valid" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        centre_main(["revoke", str(centre.file), "--station", "tower-01", "--reason", " "])
    assert ended.value.code == 2
    assert "say why" in capsys.readouterr().err


def test_guessing_is_braked(centre: EnrollingCentre, run: Run) -> None:
    said = [run(letter * 20)[2] for letter in "ABCDE"]
    assert "does not know this code" in said[0]
    assert "too many wrong codes" in said[-1]
    assert centre.store.db.execute("SELECT count FROM refused WHERE source = 'enrolment'").get in (3, 4)


def enrolled(centre: EnrollingCentre, folder: Path) -> tuple[StationTls, Signer]:
    """A station with its files, enrolled without its command."""
    signer, key = signer_from_seed(new_seed().decode(), "plumeline/tower-01"), new_key()
    granted = enrol(centre.address, centre.fingerprint, centre.code(), ("tower-01", "n"), signer, key, "")
    for name, text in (("ca.pem", granted.authority), ("c.pem", granted.answer.certificate), ("k.pem", key.decode())):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    files = {"ca": str(folder / "ca.pem"), "certificate": str(folder / "c.pem"), "key": {"file": str(folder / "k.pem")}}
    return StationTls.model_validate({**files, "renew": centre.address}), signer


def test_a_certificate_is_renewed_under_the_present_one_and_not_once_it_is_revoked(
    centre: EnrollingCentre, tmp_path: Path
) -> None:
    tls, _ = enrolled(centre, tmp_path)
    files = (Path(tls.ca), Path(tls.certificate), tmp_path / "k.pem")
    context = ClientContext(*files)
    before = certificate_of(files[1].read_bytes())
    after = renewed(tls, "tower-01")
    assert after.serial != before.serial
    assert certificate_of(files[1].read_bytes()) == after
    assert renewed(tls, "tower-01") == after, "asked again at once it is the same"
    # A context that was made before shows the new one from the next handshake on.
    with socket.create_connection(("localhost", centre.port), timeout=5) as line:
        context.wrap_socket(line, server_hostname="localhost").close()
    assert context.own == after
    reason = ["--station", "tower-01", "--reason", "stolen", "--json"]
    assert centre_main(["revoke", str(centre.file), *reason]) == 0
    listed = x509.load_pem_x509_crl((centre.folder / "authority" / "broker" / "crl.pem").read_bytes())
    assert {format(one.serial_number, "x") for one in listed} == {before.serial, after.serial}
    with pytest.raises(EnrolError, match="certificate-revoked"):
        renewed(tls, "tower-01")


def test_an_authority_closed_by_a_passphrase_opens_with_it_alone(
    tmp_path: Path, centre: EnrollingCentre, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "word").write_text("a heron over the weir")
    (tmp_path / "word").chmod(0o600)
    block = centre.document["authority"] | {"folder": str(tmp_path / "closed")}
    block["passphrase"] = {"file": str(tmp_path / "word")}
    file = tmp_path / "other.hjson"
    file.write_text(json.dumps(centre.document | {"authority": block}))
    assert centre_main(["ca", "init", str(file)]) == 0
    assert b"ENCRYPTED" in (tmp_path / "closed" / "ca.key").read_bytes()
    assert centre_main(["ca", "show", str(file)]) == 0
    assert centre_main(["ca", "init", str(file)]) == 1, "an authority is never made over"
    (tmp_path / "word").write_text("another")
    capsys.readouterr()
    assert centre_main(["ca", "show", str(file)]) == 1
    assert "does not open" in capsys.readouterr().err


def test_no_station_bears_the_name_of_the_centre(centre: EnrollingCentre, capsys: pytest.CaptureFixture[str]) -> None:
    stations = {"plumeline-central": centre.document["stations"]["tower-01"]}
    centre.file.write_text(json.dumps(centre.document | {"stations": stations}))
    assert centre_main(["check", str(centre.file)]) == 1
    assert "no station may bear it" in capsys.readouterr().out
