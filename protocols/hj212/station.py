"""The station's end of a link as a state machine without I/O (dialogues of HJ 212-2017 6.2 and appendix C).

An upload: a slot is free -> submitted -> each part sent and acknowledged in turn by its own 9014 -> delivered; or sent
again with the same bytes until the resends are used up -> failed, and its owner tries later. Requests: see `service`.
The states and their transitions are the table in `transitions`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.message import REPLY_ST, Area, Item, Message, encode, flag_of, header_text
from protocols.hj212.outgoing import Outgoing
from protocols.hj212.profile import Edition
from protocols.hj212.reader import Reader, judge
from protocols.hj212.service import Service, StationState
from protocols.hj212.session import HEARTBEAT, BadBytes, Delivered, Identity, Key, Output, Send, Unexpected
from protocols.hj212.split import split
from protocols.hj212.times import QnSource
from protocols.hj212.transitions import Machine
from protocols.hj212.uploads import time_item

PARTS_MAX: Final = 9999
NOTICES_MAX: Final = 8


class StationSession:
    """One link of a station. `window` uploads may be unanswered at once; without `ack` none asks for an answer.

    `handled` are the commands the owner executes (`Requested`); what acts on the station must stand in `allowed` too.
    With `heartbeat_s` a link of the 2025 edition that sent nothing for so long sends a heartbeat (9015); one that stays
    unanswered is a `Failed` with the key HEARTBEAT. While `held` none is sent: its QN would name a wrong time.
    """

    def __init__(
        self,
        identity: Identity,
        state: StationState,
        world: Callable[[], datetime],
        *,
        ack: bool = True,
        window: int = 4,
        allowed: frozenset[str] = frozenset(),
        handled: frozenset[str] = frozenset(),
        heartbeat_s: float | None = None,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state = state
        self._world = world
        self._ack = ack
        self._window = window
        self._heartbeat_s, self._held = heartbeat_s, held
        self._service = Service(identity, state, world, allowed=allowed, handled=handled)
        self._qns = QnSource()
        self._reader = Reader(self._keys)
        self._outgoing = Outgoing()
        self._last_sent: float | None = None
        self._heart_beats = False
        # Of the platform's frames, by name, whether forgiven or not.
        self.deviations: Counter[str] = Counter()

    @property
    def identity(self) -> Identity:
        """Who it is; the owner replaces it after a new password, number or key was stored."""
        return self._service.identity

    @identity.setter
    def identity(self, identity: Identity) -> None:
        self._service.identity = identity

    def _keys(self, fields: Mapping[str, str]) -> Sequence[bytes]:
        return self.identity.keys if fields.get("MN") == self.identity.mn else ()

    @property
    def free(self) -> int:
        """How many uploads may be submitted now."""
        return self._window - self._outgoing.count(Machine.UPLOAD)

    @property
    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        times = (self._outgoing.deadline, self._reader.deadline, self._next_heartbeat())
        return min((time for time in times if time is not None), default=None)

    def _next_heartbeat(self) -> float | None:
        if self._heartbeat_s is None or self._heart_beats or self.identity.edition is not Edition.HJ2025:
            return None
        # A link that has not sent anything yet learns what time it is by its first tick.
        return 0.0 if self._last_sent is None else self._last_sent + self._heartbeat_s

    def disconnected(self) -> None:
        """The link is gone: what was under way is forgotten, its owner submits it again.

        Requests that are being executed stay open: their owner ends each of them, on the next link.
        """
        self._reader = Reader(self._keys)
        self._outgoing.disconnected()
        self._last_sent, self._heart_beats = None, False

    def submit(
        self,
        key: Key,
        cn: str,
        at: datetime,
        items: Sequence[Item],
        now: float,
        *,
        resent: bool = False,
        acknowledge: bool | None = None,
    ) -> list[Output]:
        """Upload items labelled with the time `at`, in as many parts as needed. Needs a free slot and an item.

        `resent` says that it was sent before in vain (RF=1 where the edition has it); `acknowledge` overrides `ack`.
        """
        if self.free <= 0:
            raise RuntimeError("no free slot: look at `free` before")
        ack = self._ack if acknowledge is None else acknowledge
        parts = self._parts(cn, (time_item(at), *items), ack=ack, resent=resent)
        return self._start(Machine.UPLOAD, key, parts, now, ack=ack)

    def notify(self, key: Key, cn: str, area: Area, now: float) -> list[Output]:
        """Tell the platform something that it answers 9013 (1001, 1013, 1014, 2072, 9015).

        Raises RuntimeError beyond NOTICES_MAX that are unanswered.
        """
        if self._outgoing.count(Machine.NOTICE) >= NOTICES_MAX:
            raise RuntimeError(f"{NOTICES_MAX} notices are unanswered")
        message = self._message(cn, area, ack=self._ack)
        return self._start(Machine.NOTICE, key, [self._coded(message)], now, ack=self._ack)

    def answer(self, qn: str, area: Area) -> list[Output]:
        """Data inside a `Requested` request. Raises KeyError for one that is not open."""
        return self._service.answer(qn, area)

    def finish(self, qn: str, code: int) -> list[Output]:
        """End a `Requested` request by 9012 with a code of `ExeRtn`. Raises KeyError for one that is not open."""
        return self._service.finish(qn, code)

    def _start(
        self, machine: Machine, key: Key, parts: list[tuple[str, bytes]], now: float, *, ack: bool
    ) -> list[Output]:
        wait = self._state.timing if ack else None
        return self._seen(self._outgoing.start(machine, key, self.identity.mn, parts, now, wait), now)

    def _parts(self, cn: str, items: Sequence[Item], *, ack: bool, resent: bool) -> list[tuple[str, bytes]]:
        def message(area: Area, part: tuple[int, int] | None = None) -> Message:
            return self._message(cn, area, part, ack=ack, resent=resent)

        # Room for RF always: what is sent again is cut as it was the first time, so that old and new parts fit.
        widest = [self._message(cn, (), part, ack=ack, resent=True) for part in (None, (PARTS_MAX, PARTS_MAX))]
        areas = split(items, *(len(header_text(one)) for one in widest))
        if len(areas) == 1:
            return [self._coded(message(areas[0]))]
        return [self._coded(message(area, (len(areas), pno))) for pno, area in enumerate(areas, 1)]

    def _message(
        self, cn: str, area: Area, part: tuple[int, int] | None = None, *, ack: bool, resent: bool = False
    ) -> Message:
        me = self.identity
        flag = flag_of(me.edition, wants_answer=ack, split=part is not None)
        resent = resent and me.edition is Edition.HJ2025
        pnum, pno = part or (None, None)
        return Message(self._qns.next(self._world()), me.st, cn, me.pw, me.mn, flag, area, pnum, pno, resent)

    def _coded(self, message: Message) -> tuple[str, bytes]:
        return message.qn, encode(message, self.identity.key_for(message.cn))

    def tick(self, now: float) -> list[Output]:
        """Send again what is late; give up what was sent often enough; take what waited too long for its end."""
        outputs = self._taken(self._reader.tick(now), now)
        outputs += self._outgoing.tick(now, self._state.timing)
        next_heartbeat = self._next_heartbeat()
        if self._last_sent is None or self._held():
            self._last_sent = now
        elif next_heartbeat is not None and next_heartbeat <= now:
            outputs += self._beat(now)
        return self._seen(outputs, now)

    def _beat(self, now: float) -> list[Output]:
        self._heart_beats = True
        return self._start(
            Machine.NOTICE, HEARTBEAT, [self._coded(self._message("9015", (), ack=self._ack))], now, ack=self._ack
        )

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes from the wire."""
        return self._seen(self._taken(self._reader.receive(data, now), now), now)

    def end(self, now: float) -> list[Output]:
        """The stream has closed: take what is left of it. The owner then calls `disconnected`."""
        return self._seen(self._taken(self._reader.end(), now), now)

    def _seen(self, outputs: list[Output], now: float) -> list[Output]:
        """Keep the time of the last sending; a heartbeat that was answered is nobody's business."""
        if any(isinstance(one, Send) for one in outputs):
            self._last_sent = now
        if self._heart_beats and any(getattr(one, "key", None) == HEARTBEAT for one in outputs):
            self._heart_beats = False
            return [one for one in outputs if not (isinstance(one, Delivered) and one.key == HEARTBEAT)]
        return outputs

    def _taken(self, found: Sequence[Frame | FrameError], now: float) -> list[Output]:
        outputs: list[Output] = []
        for one in found:
            outputs += [BadBytes(one)] if isinstance(one, FrameError) else self._take(one, now)
        return outputs

    def _take(self, frame: Frame, now: float) -> list[Output]:
        message, refused = judge(self.identity.profile, frame)
        self.deviations.update(message.deviations)
        if message.st != REPLY_ST and (refused is None or refused[0] is not None):
            return self._service.take(message, refused[0] if refused else None)
        done = None if refused else self._outgoing.take(message, now, self._state.timing)
        return [Unexpected(message)] if done is None else done
