"""The note of a PDF: a comment before its last lines, so that every other byte of the file can be signed."""

import base64
import re
import zlib
from typing import Final, NamedTuple

from protocols.tlog import NoteError

_PLACE: Final = b"startxref\n"
_MARK: Final = b"%plumeline-note "
_LINE: Final = re.compile(re.escape(_MARK) + rb"([A-Za-z0-9+/=]{1,4000})\n")
ATTACHED_BYTES_MAX: Final = 256 * 1024 * 1024


class Parted(NamedTuple):
    """A PDF without its note's line, and the note (None: unsigned)."""

    bare: bytes
    note: str | None


def with_note(bare: bytes, note: str) -> bytes:
    """The PDF with its note; offsets of its objects, which all stand before, stay as they are."""
    before, _, after = bare.rpartition(_PLACE)
    return before + _MARK + base64.b64encode(note.encode()) + b"\n" + _PLACE + after


def parted(data: bytes) -> Parted:
    """Take a PDF of a report apart. Raises ValueError where its note's line holds none."""
    found = _LINE.search(data, max(0, data.rfind(_PLACE) - 4100))
    bare = data if found is None else data[: found.start()] + data[found.end() :]
    note = None if found is None else base64.b64decode(found[1]).decode()
    return Parted(bare, note)


def attached(bare: bytes) -> bytes:
    """The file attached to a PDF. Raises NoteError where there is none."""
    place = bare.find(b"/Type /EmbeddedFile\n")
    begin = bare.find(b"stream\n", place) + len(b"stream\n")
    if place < 0 or begin < place:
        raise NoteError("nothing is attached to this PDF")
    unpacked = zlib.decompressobj()
    try:
        return unpacked.decompress(bare[begin:], ATTACHED_BYTES_MAX)
    except zlib.error as error:
        raise NoteError(f"what is attached cannot be read: {error}") from None
