"""A bundle: a tar whose first member is the signed manifest, followed by exactly the files that it lists."""

import hashlib
import os
import platform
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from agent.update.manifest import Listed, Manifest, opened
from protocols.tlog import NOTE_BYTES_MAX, NoteError, Signer

MANIFEST: Final = "manifest"
BUNDLE_BYTES_MAX: Final = 1024 * 1024 * 1024
_PIECE: Final = 1024 * 1024
# Of the tar: a block, where in a header size and type stand, and what a member takes beside its bytes (name, padding).
_BLOCK: Final = 512
_SIZE: Final = slice(124, 136)
_TYPE: Final = slice(156, 157)
_OCTAL: Final = b"01234567"
_HEADERS_MAX: Final = 4096


class BundleError(Exception):
    """A bundle that is not what its manifest says, or whose manifest nobody we know signed."""


def verified(path: Path, vkeys: list[str], into: Path | None = None) -> Manifest:
    """The manifest of a bundle whose every byte was looked at; `into` (an empty folder) takes the files.

    Raises BundleError, and OSError where it cannot be read or written. What lies in `into` then is not to be used.
    """
    with _readable(path) as (tar, size):
        members = iter(tar)
        try:
            manifest = _manifest(tar, next(members, None), vkeys)
        except NoteError as error:
            raise BundleError(f"{path}: {error}") from error
        if size > 2 * NOTE_BYTES_MAX + sum(one.bytes + _HEADERS_MAX for one in manifest.files):
            raise BundleError(f"{path}: {size} bytes are more than the manifest lists")
        wanted = {one.name: one for one in manifest.files}
        for member in members:
            listed = wanted.pop(member.name, None)
            if listed is None or not member.isreg() or member.size != listed.bytes:
                raise BundleError(f"{path}: {member.name[:200]} is not what the manifest lists")
            file = tar.extractfile(member)
            assert file is not None, "a regular file"
            _take(file, listed, into)
        if wanted:
            raise BundleError(f"{path}: {', '.join(sorted(wanted))} is missing")
    return manifest


@contextmanager
def _readable(path: Path) -> Iterator[tuple[tarfile.TarFile, int]]:
    """The tar as a stream, and its size: nothing grows, and no member is looked for that did not come in its turn."""
    with path.open("rb") as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(_BLOCK)
        if size > BUNDLE_BYTES_MAX:
            raise BundleError(f"{path}: more than {BUNDLE_BYTES_MAX} bytes")
        if not head.startswith(MANIFEST.encode() + b"\0") or not _is_plain(file):
            raise BundleError(f"{path}: no bundle: the first member is no manifest, or there is more than plain files")
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r|") as tar:
                yield tar, size
        except (tarfile.TarError, EOFError, UnicodeError, ValueError) as error:
            raise BundleError(f"{path}: no bundle: {error}") from error


def _is_plain(file: IO[bytes]) -> bool:
    """Whether every header of a tar is of a plain file: others are read whole, and parsed, before anybody sees them."""
    file.seek(0)
    while len(block := file.read(_BLOCK)) == _BLOCK and any(block):
        size = block[_SIZE].rstrip(b"\0 ")
        if block[_TYPE] not in (b"0", b"\0") or not set(size) <= set(_OCTAL):
            return False
        file.seek(-(-int(size or b"0", 8) // _BLOCK) * _BLOCK, os.SEEK_CUR)
    return True


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None, vkeys: list[str]) -> Manifest:
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > NOTE_BYTES_MAX:
        raise NoteError("the first member is no manifest")
    file = tar.extractfile(member)
    assert file is not None, "a regular file"
    return opened(file.read(NOTE_BYTES_MAX).decode(), vkeys)


def _take(file: IO[bytes], listed: Listed, into: Path | None) -> None:
    """Hash a file, and write it where it is wanted. Raises BundleError where it is another one."""
    digest = hashlib.sha256()
    target = None
    if into is not None:
        (into / listed.name).parent.mkdir(exist_ok=True)
        target = (into / listed.name).open("xb")
    try:
        while piece := file.read(_PIECE):
            digest.update(piece)
            if target:
                target.write(piece)
    finally:
        if target:
            target.close()
    if digest.hexdigest() != listed.sha256:
        raise BundleError(f"{listed.name}: the manifest lists another content")


def fitting(manifest: Manifest) -> None:
    """Raises BundleError where a bundle is for another Python or another machine than this one."""
    here = (python_tag(), platform.machine())
    if (manifest.python, manifest.machine) != here:
        raise BundleError(f"made for {manifest.python} {manifest.machine}, this is {here[0]} {here[1]}")


def python_tag() -> str:
    """The Python that runs this, as wheels say it."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def written(folder: Path, target: Path, version: str, created: str, signer: Signer) -> Manifest:
    """Make a bundle of everything in a folder (plain files, and `wheels/`).

    Raises NoteError, OSError, and ValueError for a name of more than 100 characters.
    """
    names = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
    files = tuple(Listed(name, (folder / name).stat().st_size, _sha256(folder / name)) for name in names)
    manifest = Manifest(version, created, python_tag(), platform.machine(), files)
    note = folder / MANIFEST
    note.write_text(manifest.signed(signer), encoding="utf-8")
    try:
        with tarfile.open(target, "x", format=tarfile.USTAR_FORMAT) as tar:
            for name in (MANIFEST, *names):
                tar.add(folder / name, name, recursive=False, filter=_plain)
    finally:
        note.unlink()
    return manifest


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's file of no time: the same files make the same bundle."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
