"""Secrets are read only where they lie safely."""

import os
import tempfile
from pathlib import Path

import pytest

from host.secrets import SecretError, SecretRef, path_of, read_secret


def code(ref: SecretRef) -> str:
    with pytest.raises(SecretError) as caught:
        read_secret(ref)
    return caught.value.code


def test_a_closed_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    ref = SecretRef(file=str(path))
    assert code(ref) == "missing"
    for content, read in ((b"123456\n", b"123456"), (b"12 34\r\n", b"12 34"), (b"x\n\n", b"x\n"), (b"", b"")):
        path.write_bytes(content)
        path.chmod(0o600)
        assert read_secret(ref) == read
        assert path_of(ref) == path
    for mode in (0o640, 0o644, 0o602):
        path.chmod(mode)
        assert code(ref) == "open"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away, and become another user")
def test_a_secret_of_another_user_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, ref = Path(folder, "pw"), SecretRef(file=f"{folder}/pw")
        path.write_bytes(b"123456")
        path.chmod(0o600)
        os.chmod(folder, 0o755)
        assert read_secret(ref) == b"123456"
        for owner, wanted in ((4321, "foreign"), (0, "unreadable")):
            os.chown(path, owner, owner)
            os.seteuid(4322)
            try:
                assert code(ref) == wanted
            finally:
                os.seteuid(0)
        os.chown(path, 4322, 4322)
        os.seteuid(4322)
        try:
            assert read_secret(ref) == b"123456"
        finally:
            os.seteuid(0)


def test_what_is_no_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * 65537)
    path.chmod(0o600)
    assert code(SecretRef(file=str(path))) == "large"
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    assert code(SecretRef(file=str(folder))) == "unreadable"


def test_a_credential_comes_from_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = SecretRef(credential="key")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert code(ref) == "outside"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert code(ref) == "missing"
    (tmp_path / "key").write_bytes(b"secret\n")
    assert read_secret(ref) == b"secret"


@pytest.mark.parametrize("name", ["/dev/shm/mine", "../mine", "..", ".", "", "a/b", "a\0b", "a b", "x" * 300])
def test_a_credential_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(ValueError, match="a credential is a name"):
        SecretRef(credential=name)
    assert SecretRef(credential="station-key_1.v2").credential == "station-key_1.v2"
