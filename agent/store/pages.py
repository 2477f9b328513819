"""Rows of a damaged SQLite file, page by page: no tree is followed, no index asked, nothing of the file is believed.

Every page image is looked at: those of the database, and all in the write-ahead file, also behind a damaged frame,
where SQLite sees none. Layout: sqlite.org/fileformat2.html, sections 1.6 (b-tree pages), 2.1 (records), 4.1 (WAL).
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from agent.store.packing import unpack
from agent.store.segment import PAGE_BYTES, Record
from protocols import record
from protocols.tlog import HASH_BYTES

_LEAF_TABLE: Final = 0x0D
_FILE_HEADER: Final = 100
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_NULL: Final = 0
_LEAF_TYPE: Final = 12 + 2 * HASH_BYTES


class Row(NamedTuple):
    """What a cell of the table `rec` says; nothing of it is checked yet."""

    seq: int
    kind: str
    leaf: bytes
    body: bytes


class Images:
    """All images of pages in a database file and the write-ahead file beside it. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        wal = path.with_name(path.name + "-wal")
        self._wal = os.open(wal, os.O_RDONLY) if wal.exists() else None
        self.size = _page_size(os.pread(self._file, 2, 16)) or self._wal_page_size() or PAGE_BYTES
        self._count = os.fstat(self._file).st_size // self.size
        self._frames: dict[int, list[int]] = defaultdict(list)
        for number, offset in self._wal_frames():
            self._frames[number].append(offset)

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        if self._wal is not None:
            os.close(self._wal)

    def _wal_page_size(self) -> int:
        return 0 if self._wal is None else _page_size(os.pread(self._wal, 4, 8))

    def _wal_frames(self) -> Iterator[tuple[int, int]]:
        """(page number, place of the image) of every frame, in the order of writing."""
        if self._wal is None:
            return
        end = os.fstat(self._wal).st_size
        for offset in range(_WAL_HEADER, end - _FRAME_HEADER - self.size + 1, _FRAME_HEADER + self.size):
            number = int.from_bytes(os.pread(self._wal, 4, offset), "big")
            yield number, offset + _FRAME_HEADER

    def all(self) -> Iterator[tuple[bytes, int]]:
        """(image, where its b-tree header begins), the database's first, then the write-ahead file's as written."""
        for number in range(self._count):
            yield os.pread(self._file, self.size, number * self.size), _FILE_HEADER if number == 0 else 0
        if self._wal is not None:
            for number, offset in self._wal_frames():
                yield os.pread(self._wal, self.size, offset), _FILE_HEADER if number == 1 else 0

    def of(self, number: int, oldest: bool) -> bytes:
        """One image of a page: the newest, or the oldest; empty where there is none."""
        frames = self._frames.get(number, [])
        inside = 0 < number <= self._count
        if frames and self._wal is not None and not (oldest and inside):
            return os.pread(self._wal, self.size, frames[0 if oldest else -1])
        return os.pread(self._file, self.size, (number - 1) * self.size) if inside else b""


def rows(images: Images) -> Iterator[Row]:
    """Every row that a leaf page seems to hold, repeats and nonsense among them; the same one up to two ways."""
    for image, start in images.all():
        if len(image) < images.size or image[start] != _LEAF_TABLE:
            continue
        count = int.from_bytes(image[start + 3 : start + 5], "big")
        for place in range(start + 8, min(start + 8 + 2 * count, images.size - 1), 2):
            yield from _cell(images, image, int.from_bytes(image[place : place + 2], "big"))


def _cell(images: Images, image: bytes, at: int) -> Iterator[Row]:
    length, at = _varint(image, at)
    seq, at = _varint(image, at)
    if not HASH_BYTES < length <= record.BODY_BYTES_MAX + 200:
        return
    local = _local(length, images.size)
    inline = image[at : at + local]
    if local == length:
        found = _row(seq, inline)
        if found:
            yield found
        return
    first = int.from_bytes(image[at + local : at + local + 4], "big")
    for oldest in (False, True):
        found = _row(seq, inline + _overflow(images, first, length - local, oldest))
        if found:
            yield found


def _local(length: int, usable: int) -> int:
    """How much of a payload lies in its leaf page (section 1.6)."""
    most = usable - 35
    if length <= most:
        return length
    least = (usable - 12) * 32 // 255 - 23
    fitting = least + (length - least) % (usable - 4)
    return fitting if fitting <= most else least


def _overflow(images: Images, number: int, wanted: int, oldest: bool) -> bytes:
    parts: list[bytes] = []
    # A chain that leads in a circle ends when what is wanted is together.
    while wanted > 0 and number:
        image = images.of(number, oldest)
        if len(image) < images.size:
            break
        parts.append(image[4 : 4 + wanted])
        wanted -= len(parts[-1])
        number = int.from_bytes(image[:4], "big")
    return b"".join(parts)


def _row(seq: int, payload: bytes) -> Row | None:
    """The columns seq (kept as the row's number, so NULL here), kind, leaf and body."""
    header, at = _varint(payload, 0)
    types: list[int] = []
    while at < header and len(types) < 5:
        kind, at = _varint(payload, at)
        types.append(kind)
    if len(types) != 4 or types[0] != _NULL or types[1] < 13 or types[1] % 2 == 0 or types[2] != _LEAF_TYPE:
        return None
    name_end = header + (types[1] - 13) // 2
    body_at = name_end + HASH_BYTES
    body = payload[body_at : body_at + (types[3] - 12) // 2]
    return Row(seq, payload[header:name_end].decode("ascii", "replace"), payload[name_end:body_at], unpack(body))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, what follows) of a variable-length integer; 0 at the end of the data."""
    value = 0
    for count in range(9):
        if at >= len(data):
            return 0, at
        byte = data[at]
        at += 1
        if count == 8:
            return value << 8 | byte, at
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def _page_size(header: bytes) -> int:
    size = int.from_bytes(header, "big")
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else 0


def sound(row: Row, epoch: int) -> Record | None:
    """The record, where its body is one of this epoch and number; the leaf hash is for the caller to hold against."""
    try:
        fields = record.decode(row.body)
    except record.RecordError:
        return None
    kind = fields.get("kind")
    if (fields.get("epoch"), fields.get("seq")) != (epoch, row.seq) or kind not in record.KINDS:
        return None
    return Record(epoch, row.seq, str(kind), row.body)
