"""What a bundle says of itself: a signed note that names each file with its hash (C2SP signed-note, Ed25519)."""

import re
from dataclasses import dataclass
from typing import Final

from protocols.tlog import NoteError, Signer, Verifier, open_note

FORM: Final = "plumeline-update/1"
REQUIREMENTS: Final = "requirements.txt"
FILES_MAX: Final = 100
FILE_BYTES_MAX: Final = 256 * 1024 * 1024
_HEADS: Final = ("version", "created", "python", "machine")
_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})((?:\.dev|a|b|rc)\d{1,6})?")
_WORD: Final = re.compile(r"[\w.:+-]{1,100}")
_FILE: Final = re.compile(r"file ([0-9a-f]{64}) (0|[1-9]\d{0,9}) ((?:wheels/)?[A-Za-z0-9_][\w.+-]{0,199})")


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a bundle; `name` is plain or lies in `wheels/`."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A bundle: its version, when it was made, for which Python (`cp311`) and machine (`x86_64`), its files."""

    version: str
    created: str
    python: str
    machine: str
    files: tuple[Listed, ...]

    def text(self) -> str:
        """What is signed."""
        heads = [f"{name} {getattr(self, name)}" for name in _HEADS]
        files = [f"file {one.sha256} {one.bytes} {one.name}" for one in self.files]
        return "\n".join([FORM, *heads, *files]) + "\n"

    def signed(self, signer: Signer) -> str:
        """The signed note. Raises NoteError where it would not be read back."""
        note = signer.sign(self.text())
        opened(note, [signer.vkey])
        return note


def opened(note: str, vkeys: list[str]) -> Manifest:
    """The manifest that one of the pinned keys signed. Raises NoteError for anything else."""
    return parsed(open_note(note, [Verifier.from_vkey(vkey) for vkey in vkeys])[0])


def parsed(text: str) -> Manifest:
    """What the text of a note says. Raises NoteError where it is no manifest."""
    lines = text.removesuffix("\n").split("\n")
    heads = [line.partition(" ") for line in lines[1:5]]
    if lines[0] != FORM or tuple(name for name, _, _ in heads) != _HEADS:
        raise NoteError(f"a manifest begins with {FORM}, then {', '.join(_HEADS)}")
    if bad := [value for _, _, value in heads if not _WORD.fullmatch(value)]:
        raise NoteError(f"manifest: {bad[0]!r} is no value")
    order(heads[0][2])
    files = tuple(_listed(line) for line in lines[5:])
    names = {one.name for one in files}
    if len(files) > FILES_MAX or len(names) != len(files) or REQUIREMENTS not in names:
        raise NoteError(f"manifest: {REQUIREMENTS} and up to {FILES_MAX} files are listed, each once")
    version, created, python, machine = (value for _, _, value in heads)
    return Manifest(version, created, python, machine, files)


def _listed(line: str) -> Listed:
    found = _FILE.fullmatch(line)
    if not found or int(found[2]) > FILE_BYTES_MAX:
        raise NoteError(f"manifest: {line[:100]!r} names no file")
    return Listed(found[3], int(found[2]), found[1])


def order(version: str) -> tuple[int, int, int, int, int]:
    """A key by which versions sort (PEP 440 without epochs, posts and local parts). Raises NoteError."""
    found = _VERSION.fullmatch(version)
    if not found:
        raise NoteError(f"version {version!r}: three numbers, perhaps with .devN, aN, bN or rcN")
    before = found[4] or ""
    stage = re.sub(r"\d", "", before)
    rank = {".dev": 0, "a": 1, "b": 2, "rc": 3, "": 4}[stage]
    return int(found[1]), int(found[2]), int(found[3]), rank, int(before.removeprefix(stage) or 0)


def pinned(text: str) -> list[str]:
    """Keys of a file of pinned keys: one a line, `#` begins a remark. Raises NoteError where there is none."""
    keys = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for key in keys:
        Verifier.from_vkey(key)
    if not keys:
        raise NoteError("no key is pinned")
    return keys
