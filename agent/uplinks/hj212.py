"""A reader of the log that reports to a platform by HJ 212.

Its place moves only on 9014 (profile `ack: none`: on sending, counted apart). What is sent when is `hj212_outbox`, what
a record becomes `hj212_selection`, the dialogue `protocols.hj212.station`, what a platform asks `hj212_requests`; here
they meet the log, the clock and TCP.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from agent.config import Station
from agent.config_hj212 import Hj212Uplink as Hj212Config
from agent.store.index import Index
from agent.store.log import Log
from agent.uplinks.hj212_acts import Acts
from agent.uplinks.hj212_checkpoints import CarriedCheckpoints
from agent.uplinks.hj212_desk import Desk
from agent.uplinks.hj212_entries import Entry
from agent.uplinks.hj212_feed import Feed, Signal
from agent.uplinks.hj212_history import History
from agent.uplinks.hj212_info import Facts, Information
from agent.uplinks.hj212_kept import Kept
from agent.uplinks.hj212_outbox import WINDOW, Asked, Fleeting, Outbox
from agent.uplinks.hj212_past import Past
from agent.uplinks.hj212_present import Present
from agent.uplinks.hj212_reads import Reads
from agent.uplinks.hj212_receipts import Receipts
from agent.uplinks.hj212_requests import Handler
from agent.uplinks.hj212_selection import Selection
from agent.uplinks.hj212_terms import Secrets, Terms
from agent.uplinks.hj212_treatment import Treatment
from agent.uplinks.outage import Outage
from agent.uplinks.since import place_of
from host.address import is_loopback
from host.hj212 import Link, keep_connected, until_first_ends, wait_first
from metrology.clock import Clock
from protocols.hj212.session import HEARTBEAT, BadBytes, Commanded, Delivered, Failed, Output, Requested
from protocols.hj212.station import StationSession

SAVE_S: Final = 1.0
# Without acknowledgements a connection that lasts so long counts as of use.
STABLE_WALL_S: Final = 10.0
KEY_LOOK_S: Final = 3600.0
COUNTS: Final = (
    "acknowledged", "sent_unconfirmed", "resent", "failed", "given_up", "bad_frames", "unexpected_frames",
)  # fmt: skip


def _sent_series(config: Hj212Config) -> frozenset[str]:
    """Every series a factor of the platform is made of."""
    rows = ((one.series, one.converted, one.emission) for one in config.factors.values())
    return frozenset(series for row in rows for series in row if series)


class Hj212Uplink:
    """One platform.

    `handlers` execute what moves gas or the clock; a command acts only where the configuration allows it. Simulated
    records go to loopback peers only, unless `simulated_allowed` says otherwise (design, section 13.11).
    """

    def __init__(
        self,
        name: str,
        config: Hj212Config,
        station: Station,
        log: Log,
        index: Index,
        facts: Facts,
        clock: Clock,
        secrets: Secrets,
        kept: Path,
        *,
        handlers: Mapping[str, Handler] | None = None,
        simulated_allowed: bool | None = None,
        checkpoint_s: float = 300.0,
    ) -> None:
        """Raises ValueError, KeyError or UnitError for an identity or a factor that cannot be."""
        allowed = is_loopback(config.host) if simulated_allowed is None else simulated_allowed
        self._refused = (station.simulated or clock.rate != 1.0) and not allowed
        self._name, self._config, self._log, self._clock = name, config, log, clock
        self._kept = Kept(kept)
        self._terms = Terms(config, secrets, self._kept, clock)
        self._state, self._edition = self._terms.state, self._terms.identity.edition
        self._acts = Acts(name, log, clock, f"{config.host}:{config.port}")
        treatment = Treatment(config.status, self._edition)
        information = Information(config, facts, clock)
        past = Past(index, log, _sent_series(config), simulated_allowed=allowed)
        carried = CarriedCheckpoints(checkpoint_s) if config.checkpoints else None
        self._selection = Selection(
            config, self._state, past, treatment, information, simulated_allowed=allowed, checkpoints=carried
        )
        self._present = Present(self._selection, treatment, information, facts, self._state, clock, self._edition)
        self._history = History(self._selection, past, information, self._ask, self._pause)
        reads = Reads(information, self._history, clock)
        served = {**self._terms.handlers(), **self._history.handlers(), **reads.handlers(), **(handlers or {})}
        self._desk = Desk(served, self._terms, self._acts)
        self._session = StationSession(
            self._terms.identity,
            self._state,
            clock.now,
            ack=config.ack == "required",
            window=WINDOW,
            allowed=frozenset(config.allow),
            handled=self._desk.handled,
            heartbeat_s=config.heartbeat_s,
            held=facts.held,
        )
        self._desk.serve(self._session)
        self._begun = clock.monotonic()
        self._outbox: Outbox | None = None
        self._link: Link | None = None
        self._connected_at, self._end_reason = 0.0, ""
        self._outage = Outage(name, log, clock)
        self._receipts = Receipts(self._acts, self._outage, self._history, clock)
        self._counts, self._held = self._receipts.counts, facts.held
        self._signal = Signal()

    async def run(self) -> None:
        """Send for ever."""
        if self._refused:
            self._outage.broken("simulated data do not go to a platform that is not on this machine")
            await asyncio.Event().wait()
        if self._kept.damaged:
            self._acts.post("link-state-unreadable")
        place = await place_of(self._log, self._name, self._config.since)
        outbox = self._outbox = Outbox(place, self._config.backfill_per_s, self._held)
        start = self._present.tell_start(self._begun, self._kept, self._offer)
        try:
            await _together(self._desk.run(), self._stay_connected(outbox), start)
        finally:
            await self._log.save_place(self._name, outbox.place())

    async def _stay_connected(self, outbox: Outbox) -> None:
        await keep_connected(
            self._config.host,
            self._config.port,
            self._clock,
            lambda reader, writer: self._carry(outbox, reader, writer),
            self._outage.broken,
        )

    async def _carry(self, outbox: Outbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One connection; of use where anything was acknowledged."""
        acknowledged = self._counts["acknowledged"]
        self._connected_at, self._end_reason = self._clock.wall_monotonic(), "the connection ended"
        link = self._link = Link(
            self._session, reader, writer, self._clock, lambda output: self._take(outbox, link, output)
        )
        self._desk.link = link
        feed = Feed(self._log, self._selection, outbox, self._signal, self._receipts.gave_up)
        parts = (feed.run(), self._present.tell(self._offer), self._send(outbox, link))
        try:
            await until_first_ends(link.run(), _together(*parts, self._notify(link), self._save(outbox)))
        finally:
            self._link = self._desk.link = None
            self._session.disconnected()
            self._receipts.disconnected()
            outbox.disconnected()
            self._history.cut()
        self._outage.broken(self._end_reason)
        return self._counts["acknowledged"] > acknowledged or (self._config.ack == "none" and self._stable)

    @property
    def _stable(self) -> bool:
        return self._clock.wall_monotonic() - self._connected_at > STABLE_WALL_S

    def _offer(self, one: Fleeting) -> None:
        if self._outbox is not None:
            self._outbox.put_fleeting(one)
            self._signal.tell()

    def _ask(self, one: Asked) -> None:
        if self._outbox is None or self._link is None:
            self._history.landed(one, taken=False)
        else:
            self._outbox.asked = one
            self._signal.tell()

    async def _pause(self) -> None:
        """Between records of history: a platform that acknowledges sets the pace itself."""
        if self._config.ack == "none":
            await self._clock.sleep_wall(1.0 / self._config.backfill_per_s)

    async def _notify(self, link: Link) -> None:
        """Tell what hardware this is, and ask for a new key when the one in use is old."""
        await self._present.dated()
        if (hardware := self._present.hardware()) is not None:
            link.perform(self._session.notify("1001", "1001", hardware, link.now))
        while True:
            if "1014" in self._config.allow and (wish := self._terms.key_wish()) is not None:
                link.perform(self._session.notify("1014", "1014", ((("SKCreateTime", wish),),), link.now))
            await self._clock.sleep(KEY_LOOK_S)

    async def _send(self, outbox: Outbox, link: Link) -> None:
        """Give the session what is next while it has room."""
        while True:
            changed = self._signal.event
            while self._session.free and (item := outbox.take(link.now)) is not None:
                late = isinstance(item, Entry) and item.late
                outputs = self._session.submit(item, item.cn, item.at, item.items, link.now, resent=late)
                link.perform(outputs)
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
            case Delivered():
                self._receipts.delivered(outbox, output, well=output.confirmed or self._stable)
            case Failed():
                if output.key == HEARTBEAT or self._receipts.failed(outbox, output):
                    self._end_reason = output.reason
                    link.abort()
            case Commanded():
                self._desk.commanded(output)
            case Requested(message):
                self._desk.start(message)
            case BadBytes(error):
                self._counts["bad_frames"] += 1
                self._outage.last_error = f"the platform sent no frame: {error.reason} {error.detail}"
            case _:
                self._counts["unexpected_frames"] += 1
        self._signal.tell()

    def status(self) -> dict[str, Any]:
        """State for people. `backlog` counts log records of any kind that this uplink has not yet passed."""
        outbox = self._outbox
        open_records = outbox.progress(self._log.epoch).open_below(self._log.next_seq) if outbox else None
        return {
            "kind": "hj212",
            "platform": f"{self._config.host}:{self._config.port}",
            "mn": self._session.identity.mn,
            "edition": int(self._edition),
            "encrypted": bool(self._session.identity.keys),
            "connected": self._link is not None,
            "unacknowledged": WINDOW - self._session.free,
            "backlog": open_records,
            "set_aside": outbox.aside if outbox else 0,
            "realtime_s": self._state.realtime_s if self._state.realtime_on else None,
            "minute_min": self._state.minute_min,
            "history": self._history.status(),
            "held": self._held(),
            **self._outage.status(),
            "factor_problems": dict(self._selection.problems),
            "refused_requests": self._acts.refused,
            "deviations": dict(self._session.deviations),
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
