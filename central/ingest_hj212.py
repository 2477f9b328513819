"""HJ 212 into the store: a message is answered 9014 after its commit returned, never before."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from central.config import Hj212, Station
from central.hj212_routes import Route, routes
from central.hj212_rows import add_uploads
from central.rollup import roll_up_due
from central.store import Store
from central.writer import Writer
from host.hj212_server import PlatformServer
from host.secrets import read_secret
from metrology.clock import Clock
from protocols.hj212.message import Message
from protocols.hj212.session import BadBytes, Identity, Output, Rejected, Unexpected, Uploaded

# Faults of peers that wait to be written down; more at once are only counted.
NOTES_MAX: Final = 1000
# Roll-ups of hours take at most a tenth of the time, in small pieces between the commits of frames.
ROLL_UP_S: Final = 2.0
ROLL_UPS_MAX: Final = 50
ROLL_UP_SHARE: Final = 0.1


class Hj212Ingest:
    """The platform's end for all enrolled outlets."""

    def __init__(
        self, listen: Hj212, stations: Mapping[str, Station], store: Store, writer: Writer, clock: Clock
    ) -> None:
        """Raises SecretError, and ValueError for a password that HJ 212 does not allow."""
        self._listen = listen
        self._routes = routes(stations)
        self._store = store
        self._writer = writer
        self._clock = clock
        self._notes: asyncio.Queue[Output] = asyncio.Queue(NOTES_MAX)
        self._notes_dropped = 0
        self._frames = 0
        self._identities = {mn: identity(route) for mn, route in self._routes.items()}
        self._server = PlatformServer(self._identities, clock, self)
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
            for part in (self._server.run(), self._write_notes(), self._roll_up()):
                group.create_task(part)

    # -- what the server tells

    async def commit(self, batch: Sequence[Uploaded]) -> None:
        """Store what arrived together."""
        uploads = [(self._routes[one.message.mn], one.message, one.upload) for one in batch]
        await self._writer.run(add_uploads, self._store, uploads, self._clock.now())
        self._frames += len(uploads)

    def notice(self, output: Output) -> None:
        """Note what is no upload; beyond NOTES_MAX it is only counted."""
        try:
            self._notes.put_nowait(output)
        except asyncio.QueueFull:
            self._notes_dropped += 1

    def attached(self, mn: str) -> None:
        pass

    def sent(self, data: bytes) -> None:
        pass

    def heard(self, message: Message) -> None:
        pass

    # --

    async def _write_notes(self) -> None:
        while True:
            batch = [await self._notes.get()]
            while not self._notes.empty():
                batch.append(self._notes.get_nowait())
            await self._writer.run(self._write, batch)

    def _write(self, notes: Sequence[Output]) -> None:
        with self._store.db:
            for note in notes:
                self._write_note(note)

    def _write_note(self, output: Output) -> None:
        match output:
            case BadBytes(error):
                self._store.put_dead_letter("hj212", "", f"{error.reason}: {error.detail}", error.raw)
            case Rejected(message, reason):
                self._store.count_refused("hj212", message.mn, reason)
            case Unexpected(message):
                self._store.count_refused("hj212", message.mn, f"unexpected CN {message.cn}")

    async def _roll_up(self) -> None:
        while True:
            began = self._clock.wall_monotonic()
            count = await self._writer.run(roll_up_due, self._store.db, self._store.hours_due, ROLL_UPS_MAX)
            took = self._clock.wall_monotonic() - began
            await self._clock.sleep_wall(took / ROLL_UP_SHARE if count else ROLL_UP_S)


def identity(route: Route) -> Identity:
    """Who an outlet is on the wire. Raises SecretError, and ValueError for secrets that HJ 212 does not allow."""
    outlet = route.outlet
    return Identity(outlet.mn, read_secret(outlet.pw).decode("ascii", "replace"), outlet.st, outlet.profile)
