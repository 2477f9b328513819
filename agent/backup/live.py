"""What a running daemon gives to a backup: its live file as it stands at one moment, and its signature.

The log only ever grows, so the rows below one number, with the tree at that number, are a whole file of it: they are
copied in slices between commits, and a day that ends meanwhile changes nothing.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from agent.store.segment import PAGE_BYTES, SCHEMA, SCHEMA_VERSION, CACHE_KiB, Raw, Segment, sync_folder
from agent.store.segments import Segments
from host.control import Handler, RequestError
from host.sqlite import adopt_schema, open_database

if TYPE_CHECKING:
    from agent.daemon import Daemon

HEADER: Final = "plumeline/backup/v1"
FOLDER: Final = "backup"
# Commits wait for one slice: some milliseconds on a small machine.
SLICE_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Head:
    """The live file at one moment."""

    path: Path
    epoch: int
    first_seq: int
    next_seq: int
    frontier: bytes
    places: list[tuple[str, str]]
    closed: list[Path]


def head(segments: Segments) -> Head:
    """The live file now; in the log's thread."""
    live = segments.live
    places = live.place_documents()
    return Head(live.path, live.epoch, live.first_seq, live.next_seq, live.frontier.to_bytes(), places, segments.closed)


def head_of(segment: Segment, closed: list[Path]) -> Head:
    """The same of a stopped station's newest file."""
    places = segment.place_documents()
    return Head(
        segment.path, segment.epoch, segment.first_seq, segment.next_seq, segment.frontier.to_bytes(), places, closed
    )


def _slice(segments: Segments, of: Head, after: int) -> list[Raw]:
    if segments.live.path == of.path:
        return segments.live.raw(after, of.next_seq, SLICE_ROWS)
    closed = Segment(of.path, exclusive=False)
    try:
        return closed.raw(after, of.next_seq, SLICE_ROWS)
    finally:
        closed.close()


class Snapshot:
    """A file of the log that is being made, closed at the end of its head.

    Whoever gives up closes it while another thread may still be at a slice: that one ends first.
    """

    def __init__(self, path: Path, of: Head) -> None:
        """Begin; what an attempt before left under the name is removed. Raises OSError, apsw.Error."""
        path.parent.mkdir(parents=True, exist_ok=True)
        for part in path.parent.glob(path.name + "*"):
            part.unlink()
        self._path, self._of, self._lock = path, of, Lock()
        self._db = open_database(str(path), exclusive=True, read_only=False, page_bytes=PAGE_BYTES)
        self._db.pragma("synchronous", "OFF")  # all of it is made durable at once
        self._db.pragma("cache_size", -CACHE_KiB)
        adopt_schema(self._db, SCHEMA, SCHEMA_VERSION)

    def take(self, rows: Iterable[Raw]) -> None:
        """The next rows, as they lie in the log."""
        with self._lock, self._db:
            self._db.executemany("INSERT INTO rec VALUES(?, ?, ?, ?)", rows)

    def end(self) -> None:
        """Whole and durable."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        of = self._of
        with self._db:
            self._db.execute(
                "INSERT INTO head VALUES(1, ?, ?, ?, ?, 1)", (of.epoch, of.first_seq, of.next_seq, of.frontier)
            )
            self._db.executemany("INSERT INTO place VALUES(?, ?)", of.places)
        self._db.pragma("wal_checkpoint(TRUNCATE)")
        self._db.close()
        handle = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Let go of a file that is not whole, and remove it."""
        with self._lock:
            self._db.close()
            for part in self._path.parent.glob(self._path.name + "*"):
                part.unlink()


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """`backup` gives the head and the live file's copy, in the store; `backup-sign` signs what was copied."""
    folder = Path(daemon.config.store.path) / FOLDER
    guard = asyncio.Lock()

    async def _backup(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        if guard.locked():
            raise RequestError("another backup is being made")
        async with guard:
            # All that is here is covered by a signature: what comes later is another backup's.
            await daemon.log.post_checkpoint()
            of = await daemon.log.call(head, daemon.log.files)
            made = folder / of.path.name
            snapshot = await asyncio.to_thread(Snapshot, made, of)
            try:
                after = of.first_seq - 1
                while rows := await daemon.log.call(_slice, daemon.log.files, of, after):
                    await asyncio.to_thread(snapshot.take, rows)
                    after = rows[-1][0]
                await asyncio.to_thread(snapshot.end)
            except BaseException:
                await asyncio.to_thread(snapshot.close)
                raise
            closed = [str(path) for path in of.closed]
            yield {
                "station": daemon.config.station.id, "epoch": of.epoch, "next_seq": of.next_seq, "live": str(made),
                "closed": closed, "vkeys": daemon.log.vkeys,
            }  # fmt: skip

    async def _sign(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        digest = text(request, "sha256")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise RequestError("sha256: 64 hexadecimal digits are needed")
        for part in folder.glob("*"):
            part.unlink()
        yield {"note": daemon.keys.ring.sign(said(daemon.config.station.id, digest))}

    return {"backup": _backup, "backup-sign": _sign}


def said(station: str, digest: str) -> str:
    """What the note beside a manifest says: nothing that could be taken for a checkpoint."""
    return f"{HEADER}\n{station}\n{digest}\n"
