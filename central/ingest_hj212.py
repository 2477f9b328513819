"""HJ 212 into the store: a message is answered 9014 after its commit returned, never before."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from central.config import Listen, Station
from central.hj212_rows import add_uploads, routes
from central.store import Store
from central.writer import Writer
from host.hj212_server import PlatformServer
from host.secrets import read_secret
from metrology.clock import Clock
from protocols.hj212.session import BadBytes, Identity, Output, Rejected, Unexpected, Uploaded

# Faults of peers that wait to be written down; more at once are only counted.
NOTES_MAX: Final = 1000


class Hj212Ingest:
    """The platform's end for all enrolled outlets."""

    def __init__(
        self, listen: Listen, stations: Mapping[str, Station], store: Store, writer: Writer, clock: Clock
    ) -> None:
        """Raises SecretError, and ValueError for a password that HJ 212 does not allow."""
        self._listen = listen
        self._routes = routes(stations)
        self._store = store
        self._writer = writer
        self._notes: asyncio.Queue[Output] = asyncio.Queue(NOTES_MAX)
        self._notes_dropped = 0
        self._frames = 0
        outlets = [outlet for station in stations.values() for outlet in station.outlets.values()]
        identities = {o.mn: Identity(o.mn, read_secret(o.pw).decode("ascii", "replace"), o.st) for o in outlets}
        self._server = PlatformServer(identities, clock, self._commit, self._note)
        self.port = 0

    def status(self) -> dict[str, Any]:
        """What a person wants to know of this ingest."""
        return {
            "port": self.port,
            "connected": sorted(self._server.connections),
            "frames": self._frames,
            "notes_dropped": self._notes_dropped,
        }

    async def start(self) -> int:
        """Listen; gives the port."""
        self.port = await self._server.start(self._listen.host, self._listen.port)
        return self.port

    async def run(self) -> None:
        """Serve for ever, after `start`. What the store raises ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server.run())
            group.create_task(self._write_notes())

    async def _commit(self, batch: Sequence[Uploaded]) -> None:
        uploads = [
            (self._routes[uploaded.message.mn], uploaded.message, uploaded.upload)
            for uploaded in batch
            if uploaded.upload
        ]
        await self._writer.run(add_uploads, self._store, uploads)
        self._frames += len(uploads)

    def _note(self, output: Output) -> None:
        try:
            self._notes.put_nowait(output)
        except asyncio.QueueFull:
            self._notes_dropped += 1

    async def _write_notes(self) -> None:
        while True:
            await self._writer.run(self._write_note, await self._notes.get())

    def _write_note(self, output: Output) -> None:
        match output:
            case BadBytes(error):
                self._store.put_dead_letter("hj212", "", f"{error.reason}: {error.detail}", error.raw)
            case Rejected(message, reason):
                self._store.count_refused("hj212", message.mn, reason)
            case Unexpected(message):
                self._store.count_refused("hj212", message.mn, f"unexpected CN {message.cn}")
