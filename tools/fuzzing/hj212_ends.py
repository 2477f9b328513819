"""A session of each end with an owner who does what the fuzzer says, and the checks after every step."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from hj212_held import held
from hj212_seeds import areas
from hj212_wire import check_sum
from must import need

from protocols.hj212.commands import commands
from protocols.hj212.message import Area, Message
from protocols.hj212.platform import PlatformSession
from protocols.hj212.profile import Edition
from protocols.hj212.service import StationState
from protocols.hj212.session import (
    Delivered,
    Failed,
    Identity,
    Notified,
    Output,
    Requested,
    RequestEnded,
    Send,
    Timing,
    Uploaded,
)
from protocols.hj212.station import StationSession

PEER_MN: Final = "ABCDEFG1234567"
START: Final = datetime(2024, 5, 20, 13, 7, tzinfo=UTC)
SENT: Final = re.compile(rb"QN=(\d{17})")
NUMBERS_MAX: Final = 16
# One link keeps sets of parts, answers and marks: none of them beyond these, whatever comes.
HELD_BYTES_MAX: Final = 2_000_000
HELD_ITEMS_MAX: Final = 10_000
TICKS_TO_REST: Final = 8


@cache
def orders(edition: Edition) -> tuple[tuple[str, Area], ...]:
    """What a platform may ask in an edition, with an example of each data area."""
    return tuple(
        (cn, area)
        for (cn, direction), command in commands(edition).items()
        if direction == "to_station"
        for area in areas(command)
    )


@cache
def numbers_of(edition: Edition, direction: str, *dialogues: str) -> tuple[str, ...]:
    """Command numbers of an edition in one direction."""
    found = commands(edition).items()
    return tuple(cn for (cn, way), command in found if way == direction and command.dialogue in dialogues)


class End:
    """What both ends share: time, numbers sent, the checks."""

    session: StationSession | PlatformSession

    def __init__(self) -> None:
        self.now = 1000.0
        self.numbers: list[bytes] = []

    def world(self) -> datetime:
        """World time runs with the wall's."""
        return START + timedelta(seconds=self.now)

    def receive(self, data: bytes) -> None:
        """Bytes from the wire."""
        self.now += 0.01
        self.seen(self.session.receive(data, self.now))

    def tick(self, seconds: int) -> None:
        """Time goes on: by so much, or for 0 to the deadline; then nothing may be due any more."""
        deadline = self.session.deadline
        self.now += seconds if seconds or deadline is None else max(0.0, deadline - self.now)
        for _ in range(TICKS_TO_REST):
            self.seen(self.session.tick(self.now))
            deadline = self.session.deadline
            if deadline is None or deadline > self.now:
                return
        need(False, f"at {self.now} the deadline stays at {deadline}")

    def seen(self, outputs: list[Output]) -> None:
        """Look at what a session said."""
        for output in outputs:
            if isinstance(output, Send):
                self._sent(output.data)
            else:
                self.told(output)

    def _sent(self, data: bytes) -> None:
        need(data[:2] == b"##" and data[-2:] == b"\r\n", "sent bytes are no frame")
        need(int(data[2:6]) == len(data) - 12 <= 1024, "a sent frame has another length")
        found = SENT.search(data)
        need(found is not None or b"CP=&&" in data, "a sent frame without number")
        if found:
            self.numbers = [*self.numbers[1 - NUMBERS_MAX :], found[1]]
        self.coded(data)

    def coded(self, data: bytes) -> None:
        """Check sum of a sent frame, where it went out plain."""
        need(data[-6:-2] == b"%04X" % check_sum(data[6:-6]), "a sent frame has another check sum")

    def told(self, output: Output) -> None:
        """Keep account of one output."""
        raise NotImplementedError

    def check(self) -> None:
        """After each step."""
        deadline = self.session.deadline
        need(deadline is None or math.isfinite(deadline), f"deadline {deadline}")

    def check_held(self) -> None:
        """Memory of one link is bounded."""
        size, items, _ = held(self.session, (self,))
        need(size <= HELD_BYTES_MAX, f"a session holds {size} bytes")
        need(items <= HELD_ITEMS_MAX, f"a session holds {items} things in one container")


class StationEnd(End):
    """A station whose owner uploads, notifies and executes."""

    def __init__(self, me: Identity, options: int) -> None:
        super().__init__()
        self._me = me
        self._plain = not me.keys
        self._state = StationState(Timing(5.0, 2))
        handled = frozenset(cn for cn, _ in orders(me.edition))
        self.session: StationSession = StationSession(
            me,
            self._state,
            self.world,
            ack=bool(options & 1),
            window=1 + (options >> 1 & 3),
            allowed=handled if options & 8 else frozenset(),
            handled=handled if options & 16 else frozenset(),
            heartbeat_s=30.0 if options & 32 else None,
        )
        self.under_way: set[int] = set()
        self.open: dict[str, Requested] = {}
        self._key = 0

    def coded(self, data: bytes) -> None:
        if self._plain:
            super().coded(data)

    def told(self, output: Output) -> None:
        if isinstance(output, Delivered | Failed) and isinstance(output.key, int):
            need(output.key in self.under_way, f"{type(output).__name__} of what is not under way: delivered twice?")
            self.under_way.discard(output.key)
        elif isinstance(output, Requested):
            need(output.qn not in self.open, "a request is to be executed twice")
            self.open[output.qn] = output

    def act(self, rest: bytes) -> None:
        """Upload or notify."""
        self._key += 1
        if self._key > 400 or self.session.free <= 0:
            return
        edition, which, size = self._me.edition, rest[0] if rest else 0, rest[1] if len(rest) > 1 else 1
        self.under_way.add(self._key)
        notices = numbers_of(edition, "to_platform", "notice")
        if which & 1 and notices and len(self.under_way) < 8:
            area = ((("PolId", "a21026"),),) if which & 2 else ()
            self.seen(self.session.notify(self._key, notices[which % len(notices)], area, self.now))
            return
        uploads = numbers_of(edition, "to_platform", "upload")
        items = tuple(((f"a{n:05d}-Rtd", f"{size * 1.5:.2f}"), (f"a{n:05d}-Flag", "N")) for n in range(1 + size))
        cn = uploads[which % len(uploads)]
        outputs = self.session.submit(self._key, cn, self.world(), items, self.now, resent=bool(which & 4))
        self.seen(outputs)

    def answer(self, rest: bytes) -> None:
        """Data of, or the end of, a request that is open."""
        if not self.open:
            return
        which = rest[0] if rest else 0
        qn = list(self.open)[which % len(self.open)]
        if which & 1:
            del self.open[qn]
            self.seen(self.session.finish(qn, which % 7))
        else:
            items = tuple(((f"a{n:05d}-Rtd", "1.5"),) for n in range(which))
            self.seen(self.session.answer(qn, items))

    def cut(self) -> None:
        """The link breaks: what was under way is forgotten, requests stay with the owner."""
        self.seen(self.session.end(self.now))
        self.session.disconnected()
        self.under_way.clear()

    def check(self) -> None:
        super().check()
        need(self.session.free >= 0, "more uploads than the window")

    def settle(self, ticks: int) -> None:
        """When nobody answers any more, everything under way ends."""
        if self._state.timing.recount > 5:
            return
        for _ in range(ticks):
            if not self.under_way:
                return
            self.tick(0)
        need(not self.under_way, "an upload never ends")


class PlatformEnd(End):
    """A platform whose owner commits, or waits with it, and asks."""

    def __init__(self, stations: Mapping[str, Identity], options: int) -> None:
        super().__init__()
        self._stations = stations
        startup = (("1012", ()), ("1000", ((("OverTime", "5"),), (("ReCount", "3"),)))) if options & 1 else ()
        self.session: PlatformSession = PlatformSession(
            stations, self.world, timing=Timing(5.0, 2), execution_s=20.0 if options & 2 else None, startup=startup
        )
        self.pending: list[Message] = []
        self._contents: set[bytes] = set()
        self._notices: set[bytes] = set()
        self._asked: set[str] = set()
        self._ended: set[str] = set()

    def told(self, output: Output) -> None:
        if isinstance(output, Uploaded):
            self._once(self._contents, output.message.raw)
            self.pending.append(output.message)
        elif isinstance(output, Notified):
            self._once(self._notices, output.message.raw)
        elif isinstance(output, RequestEnded):
            need(output.qn not in self._ended, "a request ends twice")
            self._ended.add(output.qn)
            self._asked.discard(output.qn)

    def _once(self, known: set[bytes], raw: bytes) -> None:
        """What is given to the owner twice is a fault as long as the session may still remember it."""
        if len(self._contents) + len(self._notices) < 200:
            need(raw.rstrip() not in known, "the same bytes are given twice")
            known.add(raw.rstrip())

    def act(self, rest: bytes) -> None:
        """Ask a station; a full list and an order the edition does not know are refused with their errors."""
        which = rest[0] if rest else 0
        mn = list(self._stations)[which >> 7]
        known = orders(self._stations[mn].edition)
        cn, area = known[which % len(known)]
        try:
            qn, outputs = self.session.request(mn, cn, area, self.now)
        except (RuntimeError, ValueError):
            return
        self._asked.add(qn)
        self.seen(outputs)

    def answer(self, rest: bytes) -> None:
        """One upload is committed."""
        if self.pending:
            self.seen(self.session.accepted(self.pending.pop((rest[0] if rest else 0) % len(self.pending))))

    def cut(self) -> None:
        """The stream ends: so do all requests."""
        self.seen(self.session.end(self.now))
        need(not self._asked, "a request outlives its link")

    def settle(self, ticks: int) -> None:
        """When nobody answers any more, every request ends."""
        for _ in range(ticks):
            if not self._asked:
                return
            self.tick(0)
        need(not self._asked, "a request never ends")
