"""Keys are made where they will lie: a closed file, or a credential that systemd encrypts to this machine."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from agent.enrol_keys import KeyCredential, KeyFile, KeyPlaceError, place_of
from host.secrets import SecretError, SecretRef


def test_a_file_is_made_once_and_closed(tmp_path: Path) -> None:
    place = place_of(SecretRef(file=str(tmp_path / "secrets" / "key")), None, tmp_path)
    assert isinstance(place, KeyFile)
    assert place.read_or_make(lambda: b"first") == b"first"
    assert place.read_or_make(lambda: b"second") == b"first"
    path = Path(place.ref["file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(SecretError, match="open"):
        place.read_or_make(lambda: b"third")


def test_a_credential_lies_encrypted_and_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(KeyPlaceError, match="--creds DIR"):
        place_of(SecretRef(credential="station-key"), None, tmp_path)
    program = shutil.which("systemd-creds")
    if program is None or subprocess.run([program, "encrypt", "-", "-"], input=b"x", capture_output=True).returncode:
        pytest.skip("systemd-creds cannot encrypt here")
    place = place_of(SecretRef(credential="station-key"), tmp_path / "store", tmp_path)
    assert isinstance(place, KeyCredential)
    assert place.read_or_make(lambda: b"a heron") == b"a heron"
    assert place.read_or_make(lambda: b"another") == b"a heron"
    assert [file.name for file in (tmp_path / "store").iterdir()] == ["plumeline-station-key"]
    assert b"a heron" not in (tmp_path / "store" / "plumeline-station-key").read_bytes()
    assert place.unit_line == f"LoadCredentialEncrypted=station-key:{tmp_path}/store/plumeline-station-key"
