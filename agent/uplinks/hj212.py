"""A reader of the log that reports to a platform by HJ 212.

Its place moves only on 9014 (profile `ack: none`: on sending, counted apart). What is sent when is `hj212_outbox`, what
a record becomes `hj212_entries`, the dialogue `protocols.hj212.station`; here they meet the log, the clock and TCP.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, Final

from agent.config import Station
from agent.config_hj212 import Hj212Uplink as Hj212Config
from agent.store.log import Log, Place
from agent.uplinks.hj212_acts import Acts
from agent.uplinks.hj212_entries import Entry, Selection
from agent.uplinks.hj212_feed import Feed, Signal
from agent.uplinks.hj212_outbox import WINDOW, Outbox, Realtime
from agent.uplinks.outage import Outage
from agent.values.live import Live
from host.address import is_loopback
from host.hj212 import Link, keep_connected, until_first_ends, wait_first
from metrology.clock import Clock
from metrology.periods import iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.service import StationState
from protocols.hj212.session import BadBytes, Commanded, Delivered, Failed, Identity, Output, Requested, Timing
from protocols.hj212.station import StationSession
from protocols.hj212.times import parse_time
from protocols.hj212.uploads import REALTIME

SAVE_S: Final = 1.0
# Without acknowledgements a connection that lasts so long counts as of use.
STABLE_WALL_S: Final = 10.0
PIECE_S: Final = 15.0
COUNTS: Final = (
    "acknowledged", "sent_unconfirmed", "failed", "given_up", "bad_frames", "unexpected_frames",
)  # fmt: skip


class Hj212Uplink:
    """One platform. `set_time` sets the station's clock where a platform may do that; without it 1012 is refused.

    Simulated records go to loopback peers only, unless `simulated_allowed` says otherwise (design, section 13.11).
    """

    def __init__(
        self,
        name: str,
        config: Hj212Config,
        station: Station,
        log: Log,
        live: Live,
        clock: Clock,
        password: str,
        *,
        simulated_allowed: bool | None = None,
        set_time: Callable[[datetime], Awaitable[bool]] | None = None,
    ) -> None:
        """Raises ValueError, KeyError or UnitError for an identity or a factor that cannot be."""
        allowed = is_loopback(config.host) if simulated_allowed is None else simulated_allowed
        self._refused = (station.simulated or clock.rate != 1.0) and not allowed
        self._name, self._config, self._log, self._live, self._clock = name, config, log, live, clock
        self._set_time = set_time
        self._acts = Acts(name, log, clock)
        self._selection = Selection(config, simulated_allowed=allowed)
        self._state = StationState(Timing(config.overtime_s, config.recount), config.realtime_s)
        self._session = StationSession(
            Identity(config.mn, password, config.st),
            self._state,
            clock.now,
            ack=config.ack == "required",
            window=WINDOW,
            allowed=frozenset({"1012"}) if set_time is not None else frozenset(),
            handled=frozenset({"1012"}),
        )
        self._outbox: Outbox | None = None
        self._link: Link | None = None
        self._connected_at, self._end_reason = 0.0, ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._outage = Outage(name, log, clock)
        self._signal = Signal()

    async def run(self) -> None:
        """Send for ever."""
        if self._refused:
            self._outage.broken("simulated data do not go to a platform that is not on this machine")
            await asyncio.Event().wait()
        place = await self._log.load_place(self._name) or Place(min(await self._log.epochs()), -1)
        outbox = self._outbox = Outbox(place)
        try:
            await keep_connected(
                self._config.host,
                self._config.port,
                self._clock,
                lambda reader, writer: self._carry(outbox, reader, writer),
                self._outage.broken,
            )
        finally:
            await self._log.save_place(self._name, outbox.place())

    async def _carry(self, outbox: Outbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One connection; of use where anything was acknowledged."""
        acknowledged = self._counts["acknowledged"]
        self._connected_at, self._end_reason = self._clock.wall_monotonic(), "the connection ended"
        link = self._link = Link(
            self._session, reader, writer, self._clock, lambda output: self._take(outbox, link, output)
        )
        feed = Feed(self._log, self._selection, outbox, self._signal, self._gave_up)
        start = await feed.start_of_newest()
        parts = (feed.follow(start), feed.refill(start), self._measure(outbox), self._send(outbox, link))
        try:
            await until_first_ends(link.run(), _together(*parts, self._save(outbox)))
        finally:
            self._link = None
            self._session.disconnected()
            outbox.disconnected()
        self._outage.broken(self._end_reason)
        return self._counts["acknowledged"] > acknowledged or (self._config.ack == "none" and self._stable)

    @property
    def _stable(self) -> bool:
        return self._clock.wall_monotonic() - self._connected_at > STABLE_WALL_S

    async def _measure(self, outbox: Outbox) -> None:
        """Offer a 2011 every real-time interval of world time, cut to whole intervals; never afterwards."""
        last = 0.0
        while True:
            interval, now = self._state.realtime_s, self._clock.now().timestamp()
            # A timer may ring a little early: never the same instant twice.
            due = max((now // interval + 1) * interval, last + 1)
            if due - now > PIECE_S:
                # In pieces, so that an interval changed by the platform (1062) holds soon.
                await self._clock.sleep(PIECE_S)
                continue
            await self._clock.sleep(due - now)
            last = due
            if not self._state.realtime_on:
                continue
            found = self._selection.realtime(self._live.latest, self._clock.now(), interval)
            if found is not None:
                outbox.realtime = Realtime(found[0], tuple(found[1]))
                self._signal.tell()

    async def _send(self, outbox: Outbox, link: Link) -> None:
        """Give the session what is next while it has room."""
        while True:
            changed = self._signal.event
            while self._session.free and (item := outbox.take(link.now)) is not None:
                if isinstance(item, Realtime):
                    link.perform(self._session.submit(item, REALTIME, item.at, item.items, link.now))
                else:
                    link.perform(self._session.submit(item, item.cn, item.start, item.items, link.now))
                self._signal.tell()
            wake_at = outbox.wake_at(link.now) if self._session.free else None
            await wait_first(self._clock, None if wake_at is None else wake_at - link.now, changed)

    async def _save(self, outbox: Outbox) -> None:
        """Keep the place, at most once a second: a lost one costs a resend, which the platform bears."""
        saved = None
        while True:
            changed = self._signal.event
            place = outbox.place()
            if place != saved:
                await self._log.save_place(self._name, place)
                saved = place
                await self._clock.sleep_wall(SAVE_S)
            else:
                await changed.wait()

    def _take(self, outbox: Outbox, link: Link, output: Output) -> None:
        """What the session tells."""
        match output:
            case Delivered(key, confirmed):
                self._counts["delivered"] += 1
                self._counts["acknowledged" if confirmed else "sent_unconfirmed"] += 1
                if confirmed or self._stable:
                    self._outage.well()
                if isinstance(key, Entry):
                    outbox.delivered(key)
                else:
                    outbox.realtime_flying = False
                    self._counts["realtime_delivered"] += 1
            case Failed():
                self._failed(outbox, link, output)
            case Commanded():
                self._acts.commanded(output)
            case Requested(message):
                at = parse_time(message.value("SystemTime") or "")
                task = asyncio.create_task(self._apply_time(link, message.qn, at))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case BadBytes(error):
                self._counts["bad_frames"] += 1
                self._outage.last_error = f"the platform sent no frame: {error.reason} {error.detail}"
            case _:
                self._counts["unexpected_frames"] += 1
        self._signal.tell()

    def _failed(self, outbox: Outbox, link: Link, failed: Failed) -> None:
        self._counts["failed"] += 1
        realtime = not isinstance(failed.key, Entry)
        if realtime:
            outbox.realtime_flying = False
        # Some platforms answer averages and never real-time data: no sign of a dead line.
        mute = realtime and self._counts["delivered"] > self._counts["realtime_delivered"] == 0
        if not failed.others_answered and not mute:
            self._end_reason = failed.reason
            link.abort()
            return
        self._outage.last_error = failed.reason
        if isinstance(failed.key, Entry):
            news, given_up = outbox.set_aside(failed.key, link.now)
            if news:
                self._acts.of_entry("uplink-set-aside", failed.key, failed.reason)
            if given_up is not None:
                self._gave_up(given_up)

    def _gave_up(self, entry: Entry) -> None:
        self._counts["given_up"] += 1
        self._acts.of_entry("uplink-gave-up", entry, "refused again and again")

    async def _apply_time(self, link: Link, qn: str, at: datetime) -> None:
        assert self._set_time is not None
        offset = (at - self._clock.now()).total_seconds()
        done = await self._set_time(at)
        fields = {"SystemTime": iso(at), "offset_s": round(offset, 3)}
        await self._acts.post("platform-request", cn="1012", fields=fields, result="done" if done else "failed")
        link.perform(self._session.finish(qn, ExeRtn.DONE if done else ExeRtn.FAILED))

    def status(self) -> dict[str, Any]:
        """State for people. `backlog` counts log records of any kind that this uplink has not yet passed."""
        outbox = self._outbox
        open_records = outbox.progress(self._log.epoch).open_below(self._log.next_seq) if outbox else None
        return {
            "kind": "hj212",
            "platform": f"{self._config.host}:{self._config.port}",
            "mn": self._config.mn,
            "connected": self._link is not None,
            "unacknowledged": WINDOW - self._session.free,
            "backlog": open_records,
            "set_aside": outbox.aside if outbox else 0,
            "realtime_s": self._state.realtime_s if self._state.realtime_on else None,
            **self._outage.status(),
            "factor_problems": self._selection.problems,
            "refused_requests": self._acts.refused,
            **{name: self._counts[name] for name in COUNTS},
        }

    async def drain(self, timeout_s: float) -> None:
        """Wait until every average committed by now is acknowledged or set aside, at most so many wall seconds."""
        outbox, epoch, head = self._outbox, self._log.epoch, self._log.next_seq - 1
        if self._refused or outbox is None:
            return
        drained = self._signal.until(lambda: outbox.drained(epoch, head))
        await until_first_ends(drained, self._clock.sleep_wall(timeout_s))


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts side by side; the first that fails ends all."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part)
