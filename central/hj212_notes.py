"""What HJ 212 peers do wrong, and notices of stations, on their way into the store: a bounded queue, a batch at once.

A flood of refused frames costs one transaction a batch and one event an hour for each MN and reason.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from central.events import put_event
from central.hj212_dialogue import HEARTBEAT
from central.hj212_routes import Route
from central.hj212_rows import add_uploads
from central.store import Store
from central.writer import Writer
from metrology.clock import Clock
from metrology.periods import HOUR_S, iso, period_start
from protocols.hj212.message import Message
from protocols.hj212.session import BadBytes, Notified, Output, PartsMissing, Rejected, Unexpected, Uploaded

# More at once are only counted.
NOTES_MAX: Final = 1000


class Notes:
    """One queue for all connections."""

    def __init__(self, routes: Mapping[str, Route], store: Store, writer: Writer, clock: Clock) -> None:
        self._routes = routes
        self._store = store
        self._writer = writer
        self._clock = clock
        self._queue: asyncio.Queue[Output] = asyncio.Queue(NOTES_MAX)
        self.dropped = 0

    def add(self, output: Output) -> None:
        """Note it; beyond NOTES_MAX it is only counted."""
        try:
            self._queue.put_nowait(output)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Write for ever; what the store raises ends it."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._writer.run(self._write, batch)

    def _write(self, notes: Sequence[Output]) -> None:
        # What a station said without being asked to confirm: notices (heartbeats say nothing), data inside an answer.
        said = [(note.message, note.upload) for note in notes if isinstance(note, Uploaded)]
        said += [(n.message, None) for n in notes if isinstance(n, Notified) and n.message.cn != HEARTBEAT]
        with self._store.db:
            uploads = [(self._routes[message.mn], message, upload) for message, upload in said]
            add_uploads(self._store, uploads, self._clock.now())
            for note in notes:
                self._write_note(note)

    def _write_note(self, output: Output) -> None:
        match output:
            case BadBytes(error):
                self._store.put_dead_letter("hj212", "", f"{error.reason}: {error.detail}", error.raw)
            case Rejected(message, reason):
                self._store.count_refused("hj212", message.mn, reason)
                self._refused(message, reason)
            case Unexpected(message):
                self._store.count_refused("hj212", message.mn, f"unexpected CN {message.cn}")
            case PartsMissing(mn, cn, data_time, parts, missing):
                detail = {"mn": mn, "cn": cn, "data_time": data_time, "parts": parts, "missing": list(missing)}
                self._event("hj212-parts-missing", mn, f"parts/{cn}/{data_time}", detail)

    def _refused(self, message: Message, reason: str) -> None:
        if message.mn in self._routes:
            hour = iso(period_start(self._clock.now(), HOUR_S))
            detail = {"mn": message.mn, "cn": message.cn, "reason": reason}
            self._event("hj212-refused", message.mn, f"refused/{reason}/{hour}", detail)

    def _event(self, what: str, mn: str, key: str, detail: Mapping[str, object]) -> None:
        at = iso(self._clock.now())
        put_event(self._store.db, f"hj212/{mn}/{key}", self._routes[mn].station_id, at, what, detail)
