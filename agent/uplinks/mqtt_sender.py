"""What goes up next, and what is done: the log's reader behind an MQTT uplink.

Live records go as soon as they are committed. Beside them the oldest gaps are filled at a bounded rate, one message at
a time and at most half of the time, so that live records keep at least half of the line whatever its speed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from agent.config import MqttUplink
from agent.store.log import Log, Place, Record
from agent.uplinks.mqtt_notes import Notes
from agent.uplinks.mqtt_openings import Openings
from agent.uplinks.since import beginning
from metrology.clock import Clock
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import Ack, parse_message
from protocols.mqtt.payload import BATCH_BYTES, ENVELOPE_BYTES_MAX, PAYLOAD_BYTES_MAX, Refusal, build_payload, runs
from protocols.mqtt.topics import BACKLOG
from protocols.mqtt.window import OPEN, Batch, SendWindow

ROWS_MAX: Final = 500
LAG_BATCHES_MAX: Final = 2
SAVE_WALL_S: Final = 1.0

Publish = Callable[[str, bytes], Awaitable[bool]]
"""Returns when the broker has the payload under a leaf of `up/` (True) or denies its topic (False)."""


class Sender:
    """One send window per epoch that is not finished. See Publish."""

    def __init__(self, name: str, config: MqttUplink, station_id: str, log: Log, clock: Clock) -> None:
        self._name = name
        self._kinds = frozenset[str](config.kinds)
        self._limit = min(config.batch_max, ROWS_MAX)
        self._since = config.since
        self._in_flight = config.window
        self._bytes_max = BATCH_BYTES
        self._backfill_per_s = config.backfill_per_s
        self._station_id = station_id
        self._log = log
        self._clock = clock
        self._windows: dict[int, SendWindow] = {}
        self._saved: Place | None = None
        self._progress = asyncio.Event()
        self._notes = Notes(name, log)
        self._openings = Openings(self._notes)
        self.foreign_acks = 0
        self.refused_acks = 0

    async def load(self) -> None:
        """Go on from the kept place; a new uplink begins where its `since` says, with numbers it never passes over."""
        place = await self._log.load_place(self._name)
        if place is None:
            epoch, first = await beginning(self._log, self._since)
            place = Place(epoch, -1, ((0, first - 1),) if first else ())
            await self._log.save_place(self._name, place)
        await self._openings.load(self._log, place, self._since)
        for epoch in sorted(await self._log.epochs()):
            if epoch < place.epoch:
                continue
            coverage = _coverage(place) if epoch == place.epoch else Coverage()
            self._windows[epoch] = SendWindow(coverage, coverage.highest if epoch == self._log.epoch else OPEN)

    @property
    def _live(self) -> SendWindow:
        return self._windows[self._log.epoch]

    @property
    def silence_s(self) -> float:
        """Wall seconds for which the centre has left something unanswered; 0 while it answers."""
        asked = [window.asked for window in self._windows.values() if window.quiet and window.asked is not None]
        return self._clock.wall_monotonic() - min(asked) if asked else 0.0

    # -- sending

    def restart(self, payload_max: int = PAYLOAD_BYTES_MAX) -> None:
        """A new connection begins, to a broker that takes payloads of so many bytes."""
        # The envelope comes on top of the records.
        self._bytes_max = max(1, min(BATCH_BYTES, payload_max - ENVELOPE_BYTES_MAX))
        for window in self._windows.values():
            window.restart()
        self._stir()

    async def send_live(self, publish: Publish) -> None:
        """Send what is committed from now on, for ever; a large lag is left to backfill."""
        window, seen = self._live, self._live.end
        slots = asyncio.Semaphore(self._in_flight)
        async with asyncio.TaskGroup() as group:
            while True:
                await self._log.wait(seen)
                await self._until_room(window, backfill=False)
                newest = self._log.next_seq - 1
                if newest - seen > LAG_BATCHES_MAX * self._limit:
                    window.end, seen = await self._last_selected(newest), newest
                    self._stir()
                    continue
                rows = await self._log.read(seen, kinds=self._kinds, limit=self._limit)
                for batch, payload, kind in self._batches(window.end, rows):
                    await self._until_room(window, backfill=False)
                    await slots.acquire()
                    window.sent(batch, self._clock.wall_monotonic())
                    sending = self._publish(window, batch, publish(kind, payload))
                    group.create_task(sending).add_done_callback(lambda _: slots.release())
                seen = rows[-1].seq if len(rows) == self._limit else max([newest, *(row.seq for row in rows)])

    async def send_backfill(self, publish: Publish) -> None:
        """Fill the oldest gap, then the next, for ever."""
        while True:
            found = self._oldest_gap()
            if found is None:
                await self._progress.wait()
                continue
            epoch, window, (prev, last) = found
            rows = await self._rows(epoch, window, prev, last)
            if not rows:
                self._nothing_there(epoch, window, prev, last)
            for batch, payload, _ in self._batches(prev, rows, mixed=True):
                await self._until_room(window, backfill=True)
                began = self._clock.wall_monotonic()
                window.sent(batch, began)
                await self._publish(window, batch, publish(BACKLOG, payload))
                took = self._clock.wall_monotonic() - began
                await self._clock.sleep_wall(max(took, batch.count / self._backfill_per_s))

    async def _publish(self, window: SendWindow, batch: Batch, sending: Awaitable[bool]) -> None:
        if not await sending:
            window.denied(batch.prev, self._clock.wall_monotonic())

    def _oldest_gap(self) -> tuple[int, SendWindow, tuple[int, int]] | None:
        for epoch, window in self._windows.items():
            gap = next(window.gaps(), None)
            if gap and window.room(backfill=True):
                return epoch, window, gap
        return None

    async def _rows(self, epoch: int, window: SendWindow, prev: int, last: int) -> list[Record]:
        limit = window.count_max(prev) or self._limit
        rows = await self._log.read(prev, kinds=self._kinds, limit=limit, before=last + 1, epoch=epoch)
        if not rows and last != OPEN:
            # Kinds selected when the gap arose are no longer: the next record closes it with its `prev`.
            rows = await self._log.read(prev, kinds=self._kinds, limit=1, before=window.end + 1, epoch=epoch)
        return rows

    def _nothing_there(self, epoch: int, window: SendWindow, prev: int, last: int) -> None:
        if last == OPEN:
            window.end = prev
        else:
            window.skip(prev, last)
        self._finish(epoch, window)

    def _finish(self, epoch: int, window: SendWindow) -> None:
        if window.done and epoch != self._log.epoch:
            self._windows.pop(epoch, None)
        self._stir()

    def _batches(self, prev: int, rows: list[Record], *, mixed: bool = False) -> Iterator[tuple[Batch, bytes, str]]:
        at = 0
        named = ((BACKLOG if mixed else row.kind, row.body) for row in rows)
        for count in runs(named, self._limit, self._bytes_max):
            part = rows[at : at + count]
            epoch = part[0].epoch
            # What lies before the first record that is meant for the centre is no hole to it.
            told = -1 if prev < self._openings.first.get(epoch, 0) else prev
            payload = build_payload(self._station_id, epoch, told, (row.body for row in part))
            yield Batch(prev, part[-1].seq, count), payload, part[0].kind
            prev, at = part[-1].seq, at + count

    async def _last_selected(self, newest: int) -> int:
        """Number of the last record up to `newest` that this uplink selects; what is sent already is not looked at."""
        floor, before = self._live.end, newest + 1
        while before > floor + 1:
            after = max(floor, before - 1 - ROWS_MAX)
            rows = await self._log.read(after, kinds=self._kinds, limit=ROWS_MAX, before=before)
            if rows:
                return rows[-1].seq
            before = after + 1
        return floor

    async def _until_room(self, window: SendWindow, *, backfill: bool) -> None:
        while not window.room(backfill=backfill):
            await self._progress.wait()

    def _stir(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    # -- done

    def acknowledge(self, data: bytes) -> bool:
        """Take the bytes of a `down/ack`; True where they were an acknowledgement of ours."""
        ack = parse_message(Ack, data)
        if isinstance(ack, Refusal):
            self.refused_acks += 1
            return False
        if ack.epoch == self._log.epoch and ack.highest >= self._log.next_seq:
            # It speaks of records that are not here: lost, or of another log under our name.
            self.refused_acks += 1
            self._log.claim(ack.highest + 1)
            return False
        now = self._clock.wall_monotonic()
        if self._openings.compare(ack, self._windows, now):
            self._stir()
        window = self._windows.get(ack.epoch)
        if window is None:
            if self._openings.foreign(ack.epoch):
                self.foreign_acks += 1
                self._notes.foreign(ack.epoch)
            return False
        first = self._openings.first.get(ack.epoch, 0)
        refused = tuple((max(prev, first - 1), reason) for prev, reason in ack.refused)
        window.acknowledge(ack.model_copy(update={"refused": refused}), now)
        self._notes.aside(ack.epoch, window)
        self._finish(ack.epoch, window)
        return True

    def expire(self) -> None:
        """Put what waited too long for its acknowledgement back among the gaps."""
        now = self._clock.wall_monotonic()
        late = [window.expire(now) for window in self._windows.values()]
        for epoch, window in self._windows.items():
            self._notes.aside(epoch, window)
        if any(late):
            self._stir()

    async def save_places(self) -> None:
        """Keep the place whenever it moved, for ever."""
        while True:
            await self._clock.sleep_wall(SAVE_WALL_S)
            await self.save_place()

    async def save_place(self) -> None:
        """Keep the place of the oldest epoch that is not finished."""
        epoch, window = next(iter(self._windows.items()))
        through, spans = window.coverage.through, window.coverage.spans
        if through < self._openings.first.get(epoch, 0):
            through = -1  # nothing of ours yet: the span that starts at 0 is what was never meant for the centre
        place = Place(epoch, through, tuple(span for span in spans if span[0] > through))
        if place != self._saved:
            await self._log.save_place(self._name, place)
            self._saved = place

    async def drained(self) -> None:
        """Wait until everything selected that is committed now is acknowledged or set aside, and keep the place."""
        target = await self._last_selected(self._log.next_seq - 1)
        while len(self._windows) > 1 or not self._live.settled(target):
            await self._progress.wait()
        await self.save_place()

    def status(self) -> dict[str, Any]:
        """Counts for people; `backlog` is how many sequence numbers wait to be sent, of this epoch."""
        live = self._live
        return {
            "epoch": self._log.epoch,
            "acknowledged": live.coverage.through,
            "unacknowledged": sum(window.unacknowledged for window in self._windows.values()),
            "backlog": sum(last - prev for prev, last in live.gaps()) + self._log.next_seq - 1 - live.end,
            "earlier_epochs": len(self._windows) - 1,
            "set_aside": sum(window.aside for window in self._windows.values()),
            "refused_batches": sum(window.refused for window in self._windows.values()),
            "foreign_acks": self.foreign_acks,
            "refused_acks": self.refused_acks,
            "silence_s": round(self.silence_s, 1),
        }


def _coverage(place: Place) -> Coverage:
    return Coverage.of([(0, place.through), *place.above])
