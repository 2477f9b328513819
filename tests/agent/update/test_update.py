"""Updates: bundles of small wheels, real environments, a trial that is stood or not."""

import base64
import hashlib
import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.stations import bare

from agent.__main__ import PROGRAM
from agent.update.bundle import BUNDLE_BYTES_MAX, BundleError, verified, written
from agent.update.guard import GOOD_NEEDED, HEALTH, LOOKS_MAX, look
from agent.update.install import UpdateError, Wanted, digest, install
from agent.update.manifest import Manifest, order, parsed, pinned
from agent.update.versions import Update, Versions
from protocols.tlog import NoteError, signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(b"r" * 32).decode(), "plumeline-release")
OTHER = signer_from_seed(base64.b64encode(b"o" * 32).decode(), "plumeline-release")
# A program that answers as the self-test asks: its version, and a configuration that it takes or not.
PROGRAM_TEXT = """
import sys
def main():
    if sys.argv[3] == "version":
        print("plumeline {says}")
    sys.exit({code} if sys.argv[3] == "check" else 0)
"""


def wheel(folder: Path, version: str, says: str | None = None, code: int = 0) -> Path:
    """A wheel of a program named plumeline."""
    name = f"plumeline-{version}"
    files = {
        "small.py": PROGRAM_TEXT.format(says=says or version, code=code),
        f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: plumeline\nVersion: {version}\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": "[console_scripts]\nplumeline = small:main\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{name}.dist-info/RECORD"])
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{name}.dist-info/RECORD": record}.items():
            archive.writestr(file, text)
    return path


@pytest.fixture
def released(tmp_path: Path) -> Callable[..., Path]:
    """Make a bundle of one version."""

    def release(version: str, signer: Any = SIGNER, **how: Any) -> Path:
        folder = tmp_path / f"of-{version}"
        (folder / "wheels").mkdir(parents=True)
        made = wheel(folder / "wheels", version, **how)
        hashed = hashlib.sha256(made.read_bytes()).hexdigest()
        (folder / "requirements.txt").write_text(f"plumeline=={version} --hash=sha256:{hashed}\n")
        written(folder, tmp_path / f"{version}.bundle", version, "2026-11-22T12:00:00Z", signer)
        return tmp_path / f"{version}.bundle"

    return release


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """An installation with 1.0.0 in use, put there without an environment."""
    made = Versions(tmp_path / "opt")
    made.begin("1.0.0")
    made.whole("1.0.0")
    made.use("1.0.0")
    return made


def wanted(bundle: Path, **how: Any) -> Wanted:
    return Wanted(bundle, [SIGNER.vkey], bundle.with_name("station.hjson"), bundle.parent, "li", **how)


def nobody(_: Manifest, __: Update) -> None:
    """No daemon runs."""


def test_a_bundle_is_installed_tested_and_taken_into_use(versions: Versions, released: Callable[..., Path]) -> None:
    told: list[tuple[str, str]] = []
    bundle = released("1.1.0")
    update = install(versions, wanted(bundle), lambda manifest, new: told.append((manifest.version, new.id)))
    assert told == [("1.1.0", update.id)]
    assert (versions.current(), versions.names()) == ("1.1.0", ["1.0.0", "1.1.0"])
    assert (update.former, update.phase, update.who) == ("1.0.0", "trial", "li")
    assert update.manifest == digest(verified(bundle, [SIGNER.vkey]))
    assert (versions.root / "bin" / "plumeline").resolve() == versions.folder("1.1.0") / "bin" / "plumeline"
    # The version before judges the new one.
    assert (versions.root / "guard").resolve() == versions.folder("1.0.0")
    with pytest.raises(UpdateError, match="on trial"):
        install(versions, wanted(bundle), nobody)


@pytest.mark.parametrize(
    ("version", "how", "why"),
    [
        ("0.9.0", {}, "older than 1.0.0"),
        ("1.0.0", {}, "is installed"),
        ("1.1.0", {"says": "1.2.0"}, "self-test"),
        ("1.1.0", {"code": 1}, "refuses the station's configuration"),
    ],
)
def test_what_is_refused_changes_nothing(
    versions: Versions, released: Callable[..., Path], version: str, how: dict[str, Any], why: str
) -> None:
    with pytest.raises(UpdateError, match=why):
        install(versions, wanted(released(version, **how)), nobody)
    assert (versions.current(), versions.names(), versions.update()) == ("1.0.0", ["1.0.0"], None)
    assert [one.name for one in (versions.root / "versions").iterdir()] == ["1.0.0"]


def test_a_daemon_that_refuses_is_obeyed(versions: Versions, released: Callable[..., Path]) -> None:
    def busy(_: Manifest, __: Update) -> None:
        raise UpdateError("a run with gas is going on")

    bundle = released("0.9.0")
    with pytest.raises(UpdateError, match="gas"):
        install(versions, wanted(bundle, downgrade=True), busy)
    assert (versions.current(), versions.names()) == ("1.0.0", ["1.0.0"])


def repacked(bundle: Path, change: Callable[[str, bytes], bytes | None], *more: tuple[str, bytes]) -> Path:
    """A bundle with members changed, left out (None), or added."""
    target = bundle.with_suffix(".changed")
    with tarfile.open(bundle) as old, tarfile.open(target, "w") as new:
        members = [(one.name, old.extractfile(one).read()) for one in old]  # type: ignore[union-attr]
        for name, data in [*((name, change(name, data)) for name, data in members), *more]:
            if data is not None:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    return target


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (lambda name, data: data[:-1] + b"!" if name.endswith(".whl") else data, ()),
        (lambda name, data: data + b"!" if name == "requirements.txt" else data, ()),
        (lambda name, data: data.replace(b"1.1.0", b"9.9.9") if name == "manifest" else data, ()),
        (lambda name, data: None if name == "requirements.txt" else data, ()),
        (lambda name, data: None if name == "manifest" else data, ()),
        (lambda _, data: data, (("../../etc/passwd", b"x"),)),
        (lambda _, data: data, (("requirements.txt", b"x"),)),
    ],
)
def test_an_altered_bundle_is_found(
    released: Callable[..., Path], change: Any, more: tuple[tuple[str, bytes], ...], tmp_path: Path
) -> None:
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(BundleError):
        verified(repacked(released("1.1.0"), change, *more), [SIGNER.vkey], into)
    assert not (tmp_path / "etc").exists()


def test_a_bundle_of_a_stranger_or_no_bundle_at_all(released: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no signature of a known key"):
        verified(released("1.1.0", OTHER), [SIGNER.vkey])
    whole = released("1.2.0").read_bytes()
    for length in (0, 100, 700, 1500):
        cut = tmp_path / "cut.bundle"
        cut.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            verified(cut, [SIGNER.vkey])


@pytest.mark.parametrize("signed", [False, True])
def test_a_header_as_large_as_a_file_is_not_read_before_it_is_believed(
    released: Callable[..., Path], tmp_path: Path, signed: bool
) -> None:
    header = tarfile.TarInfo("h")
    header.type, header.size = tarfile.XHDTYPE, 400 * 1024 * 1024
    bundle = tmp_path / "large.bundle"
    with tarfile.open(released("1.2.0")) as whole:
        manifest = whole.extractfile("manifest").read() if signed else b""  # type: ignore[union-attr]
    with tarfile.open(bundle, "w") as new:
        if signed:
            first = tarfile.TarInfo("manifest")
            first.size = len(manifest)
            new.addfile(first, io.BytesIO(manifest))
        end = new.offset
    with bundle.open("r+b") as file:
        file.seek(end)
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(end + 512 + header.size)
    tracemalloc.start()
    with pytest.raises(BundleError):
        verified(bundle, [SIGNER.vkey])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 * 1024 * 1024


@pytest.mark.parametrize(("kind", "count"), [(tarfile.GNUTYPE_LONGNAME, 8), (tarfile.XHDTYPE, 1), (b"9", 1)])
def test_headers_that_are_no_plain_files_are_refused_before_anybody_parses_them(
    released: Callable[..., Path], tmp_path: Path, kind: bytes, count: int
) -> None:
    bundle = tmp_path / "odd.bundle"
    with tarfile.open(released("1.2.0")) as whole:
        manifest = whole.extractfile("manifest").read()  # type: ignore[union-attr]
    with tarfile.open(bundle, "w") as new:
        for name, type_, data in [("manifest", tarfile.REGTYPE, manifest), *[("h", kind, b"1" * 200_000)] * count]:
            info = tarfile.TarInfo(name)
            info.type, info.size = type_, len(data)
            new.addfile(info, io.BytesIO(data))
    with pytest.raises(BundleError, match="more than plain files"):
        verified(bundle, [SIGNER.vkey])
    odd = bytearray(bundle.read_bytes())
    odd[124:136] = b"88888888888\0"
    bundle.write_bytes(odd)
    with pytest.raises(BundleError):
        verified(bundle, [SIGNER.vkey])


def test_a_file_beyond_the_bound_is_not_even_opened(tmp_path: Path) -> None:
    huge = tmp_path / "huge.bundle"
    with huge.open("wb") as file:
        file.truncate(BUNDLE_BYTES_MAX + 1)
    with pytest.raises(BundleError, match="more than"):
        verified(huge, [SIGNER.vkey])


def test_names_of_a_manifest_lead_nowhere_else() -> None:
    head = "plumeline-update/1\nversion 1.0.0\ncreated x\npython cp311\nmachine x86_64\n"
    entry = f"file {'0' * 64} 1 "
    assert parsed(f"{head}{entry}requirements.txt\n").files[0].bytes == 1
    for name in ("/etc/passwd", "../x", "wheels/../x", "wheels/", ".x", "a/b", "wheels/.x"):
        with pytest.raises(NoteError):
            parsed(f"{head}{entry}requirements.txt\n{entry}{name}\n")
    with pytest.raises(NoteError):
        pinned("# nobody\n")
    assert pinned(f"# release key\n{SIGNER.vkey}\n") == [SIGNER.vkey]


def test_versions_sort_as_their_numbers_say() -> None:
    names = ["0.9.9", "1.0.0.dev2", "1.0.0a1", "1.0.0b1", "1.0.0rc1", "1.0.0", "1.0.1", "1.10.0"]
    assert sorted(set(names), key=order) == names
    with pytest.raises(NoteError):
        order("1.0")


@pytest.fixture
def trial(versions: Versions) -> Versions:
    """1.1.0 is in use, on trial."""
    versions.begin("1.1.0")
    versions.whole("1.1.0")
    versions.note(Update("u1", "1.1.0", "1.0.0", "m", "li", str(versions.root.parent)))
    versions.use("1.1.0")
    return versions


def says(store: Path, version: str, run: str, records: int) -> None:
    """A daemon says how it fares."""
    (store / HEALTH).write_text(json.dumps({"version": version, "run": run, "records": records}))


def test_a_version_that_goes_on_writing_is_kept(trial: Versions, tmp_path: Path) -> None:
    verdicts = []
    for minute in range(GOOD_NEEDED + 1):
        says(tmp_path, "1.1.0", "r", 100 * minute + 1)
        verdicts.append(look(trial, lambda: pytest.fail("nothing is restarted")))
    assert verdicts == ["trial"] * GOOD_NEEDED + ["kept"]
    assert (trial.current(), trial.update() and trial.update().phase) == ("1.1.0", "kept")  # type: ignore[union-attr]
    assert look(trial, lambda: None) == "none"


@pytest.mark.parametrize("fares", ["silent", "stands still", "starts again and again", "is the former one"])
def test_a_version_that_fails_is_rolled_back_in_ten_looks(trial: Versions, tmp_path: Path, fares: str) -> None:
    restarts = []
    for minute in range(LOOKS_MAX):
        if fares == "stands still":
            says(tmp_path, "1.1.0", "r", 7)
        elif fares == "starts again and again":
            says(tmp_path, "1.1.0", f"r{minute // 3}", 50 * (minute + 1))
        elif fares == "is the former one":
            says(tmp_path, "1.0.0", "r", minute)
        verdict = look(trial, lambda: restarts.append("now"))
    assert (verdict, restarts, trial.current()) == ("rolled-back", ["now"], "1.0.0")
    # Its environment stays for whoever wants to know why; to go back twice leads nowhere.
    assert trial.names() == ["1.0.0", "1.1.0"]
    with pytest.raises(LookupError):
        trial.roll_back("again")


def test_a_power_cut_before_the_switch_ends_the_trial(trial: Versions) -> None:
    trial.use("1.0.0")
    assert look(trial, lambda: pytest.fail("nothing is restarted")) == "rolled-back"
    assert trial.current() == "1.0.0"


def test_old_versions_go_but_never_one_that_is_needed(versions: Versions) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0", "1.4.0"):
        versions.begin(version)
        versions.whole(version)
    versions.note(Update("u", "1.4.0", "1.0.0", "m", "li", "s"))
    versions.use("1.4.0")
    assert versions.tidy() == ["1.1.0"]
    assert versions.names() == ["1.0.0", "1.2.0", "1.3.0", "1.4.0"]


def test_the_commands(
    versions: Versions, released: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # A service manager of this machine is not asked.
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    place = ["--root", str(versions.root)]
    keys = tmp_path / "update.vkey"
    document = {**bare(), "ledger": {"key": {"credential": "k"}}, "store": {"path": str(tmp_path / "store")}}
    config = tmp_path / "station.hjson"
    config.write_text(json.dumps({**document, "socket": str(tmp_path / "none.sock")}))
    bundle = str(released("1.1.0"))
    assert PROGRAM.main(["update", "verify", bundle, "--keys", str(keys)]) == 2
    keys.write_text(SIGNER.vkey + "\n")
    assert PROGRAM.main(["update", "verify", bundle, "--keys", str(keys)]) == 0
    assert PROGRAM.main(["update", "status", *place, "--json"]) == 0
    capsys.readouterr()
    line = ["update", "install", str(config), bundle, "--keys", str(keys), "--who", "li", *place, "--json"]
    assert PROGRAM.main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["phase"], told["restarted"]) == ("1.1.0", "trial", False)
    assert PROGRAM.main(line) == 1
    assert PROGRAM.main(["update", "guard", *place]) == 0
    assert PROGRAM.main(["update", "rollback", "--reason", "too loud", "--who", "li", *place]) == 0
    assert PROGRAM.main(["update", "rollback", "--reason", "again", *place]) == 1
    capsys.readouterr()
    assert PROGRAM.main(["update", "status", *place, "--json"]) == 0
    last = json.loads(capsys.readouterr().out)
    assert (last["current"], last["last"]["reason"]) == ("1.0.0", "li: too loud")
