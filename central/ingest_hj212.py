"""HJ 212 into the store: a message is answered 9014 after its commit returned, never before."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from central.config import Hj212, Station
from central.hj212_desk import Desk
from central.hj212_fill import Filler
from central.hj212_keys import Keys, key_of
from central.hj212_notes import Notes
from central.hj212_routes import Route, routes
from central.hj212_rows import add_uploads
from central.hj212_start import deliver_key, set_clock, start_up
from central.rollup import roll_up_due
from central.store import Store
from central.writer import Writer
from host.hj212_server import PlatformServer
from host.secrets import read_secret
from metrology.clock import Clock
from protocols.hj212.message import Message
from protocols.hj212.session import Identity, Notified, Output, Rejected, Uploaded
from protocols.hj212.uploads import VALUE_CNS, UploadError, read_upload

# A station that brings periods that ended so long ago (world time) is still catching up.
OLD: Final = timedelta(minutes=15)
# Roll-ups of hours take at most a tenth of the time, in small pieces between the commits of frames.
ROLL_UP_S: Final = 2.0
ROLL_UPS_MAX: Final = 50
ROLL_UP_SHARE: Final = 0.1


class Hj212Ingest:
    """The platform's end for all enrolled outlets."""

    def __init__(
        self, listen: Hj212, stations: Mapping[str, Station], store: Store, writer: Writer, clock: Clock
    ) -> None:
        """Raises SecretError, and ValueError for a password or key that HJ 212 does not allow."""
        self._listen = listen
        self._routes = routes(stations)
        self._store = store
        self._writer = writer
        self._clock = clock
        self._frames = 0
        folder = Path(store.db.db_filename("main")).with_name("hj212-keys")
        self._keys = {
            mn: Keys(folder, mn, key_of(route.outlet.sm4_key))
            for mn, route in self._routes.items()
            if route.outlet.sm4_key is not None
        }
        self._identities = {mn: self._identity(route) for mn, route in self._routes.items()}
        self._server = PlatformServer(self._identities, clock, self)
        self._notes = Notes(self._routes, store, writer, clock)
        self.desk = Desk(self._routes, self._server, store, writer, clock)
        self.filler = Filler(listen, self._routes, self.desk, store, writer, clock)
        self.port = 0

    def status(self) -> dict[str, Any]:
        """What a person wants to know of this ingest."""
        return {
            "port": self.port,
            "connected": sorted(self._server.connections),
            "frames": self._frames,
            "notes_dropped": self._notes.dropped,
        }

    async def start(self) -> int:
        """Listen; gives the port."""
        self.port = await self._server.start(self._listen.host, self._listen.port)
        return self.port

    async def run(self) -> None:
        """Serve for ever, after `start`. What the store raises ends it."""
        async with asyncio.TaskGroup() as group:
            self.desk.spawn = group.create_task
            for part in (self._server.run(), self._notes.run(), self._roll_up(), self.filler.run()):
                group.create_task(part)

    # -- what the server tells

    async def commit(self, batch: Sequence[Uploaded]) -> None:
        """Store what arrived together."""
        now, wall = self._clock.now(), self._store.wall()
        old = now - OLD
        uploads = []
        for one in batch:
            message, upload = one.message, one.upload
            seen = self.desk.seen[message.mn]
            seen.last_wall = wall
            seen.uploads += 1
            if message.deviations:
                seen.deviations.update(message.deviations)
            if upload is not None and upload.data_time + timedelta(seconds=upload.period_s or 0) < old:
                seen.old_wall = wall
            uploads.append((self._routes[message.mn], message, upload))
        await self._writer.run(add_uploads, self._store, uploads, now)
        self._frames += len(uploads)
        for mn in self._keys.keys() & {one.message.mn for one in batch if len(self._keys_of(one.message)) > 1}:
            await self._settle_key(mn, [one.message for one in batch if one.message.mn == mn])

    def notice(self, output: Output) -> None:
        """Take what is no upload."""
        if isinstance(output, Rejected):
            if (seen := self.desk.seen.get(output.message.mn)) is not None:
                seen.refused[output.reason] += 1
                self.desk.dialogues.received(output.message, output.reason)
        elif isinstance(output, Notified):
            self._noticed(output.message)
        self._notes.add(output)

    def attached(self, mn: str) -> None:
        """A station has come."""
        self.desk.seen[mn].connected_wall = self._store.wall()
        if self._routes[mn].outlet.start_up is not None:
            self._spawn(start_up(self.desk, mn, self._clock))

    def sent(self, data: bytes) -> None:
        """A frame that is no answer to an upload goes out."""
        self.desk.dialogues.sent(data)

    def heard(self, message: Message) -> None:
        """An answer to a request came in; values in it are data like any other."""
        self.desk.dialogues.received(message)
        if message.cn in VALUE_CNS:
            try:
                self._notes.add(Uploaded(message, read_upload(message)))
            except UploadError as error:
                self._notes.add(Rejected(message, str(error)))

    # --

    def _noticed(self, message: Message) -> None:
        mn = message.mn
        self.desk.seen[mn].last_wall = self._store.wall()
        self.desk.dialogues.received(message)
        settings = self._routes[mn].outlet.start_up
        if message.cn == "1013" and settings is not None and settings.clock:
            self._spawn(set_clock(self.desk, mn, self._clock))
        if message.cn == "1014" and mn in self._keys:
            self._spawn(self._rotate(mn))

    def _spawn(self, part: Any) -> None:
        assert self.desk.spawn is not None, "stations come while the ingest runs"
        self.desk.spawn(part)

    async def _rotate(self, mn: str) -> None:
        """Keep a new key, then read with it and send it."""
        keys = self._keys[mn]
        new = await self._writer.run(keys.renew)
        self._identities[mn] = self._identity(self._routes[mn])
        await deliver_key(self.desk, mn, keys, new, self._clock)

    def _keys_of(self, message: Message) -> tuple[bytes, ...]:
        keys = self._keys.get(message.mn)
        return keys.keys if keys is not None else ()

    async def _settle_key(self, mn: str, messages: Sequence[Message]) -> None:
        """Drop the keys before the one that was used."""
        for message in messages:
            if await self._writer.run(self._keys[mn].seen, message):
                self._identities[mn] = self._identity(self._routes[mn])

    def _identity(self, route: Route) -> Identity:
        outlet = route.outlet
        keys = self._keys[outlet.mn].keys if outlet.mn in self._keys else ()
        password = read_secret(outlet.pw).decode("ascii", "replace")
        return Identity(outlet.mn, password, outlet.st, outlet.profile, keys)

    async def _roll_up(self) -> None:
        while True:
            began = self._clock.wall_monotonic()
            count = await self._writer.run(roll_up_due, self._store.db, self._store.hours_due, ROLL_UPS_MAX)
            took = self._clock.wall_monotonic() - began
            await self._clock.sleep_wall(took / ROLL_UP_SHARE if count else ROLL_UP_S)
