"""The station's end of a link as a state machine without I/O (dialogues of HJ 212-2017 6.2 and appendix C).

An upload: a slot is free -> submitted -> each part sent and acknowledged in turn by its own 9014 -> delivered; or sent
again with the same bytes until the resends are used up -> failed, and its owner tries later. Requests: see `service`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from protocols.hj212.decoder import Decoder
from protocols.hj212.message import REPLY_ST, Area, Item, Message, encode, flag_of, header_text
from protocols.hj212.service import Service, StationState
from protocols.hj212.session import Delivered, Failed, Identity, Key, Output, Retry, Send, Unexpected, received
from protocols.hj212.times import QnSource
from protocols.hj212.uploads import split, time_item

PARTS_MAX: Final = 9999


@dataclass(slots=True)
class _Upload:
    key: Key
    parts: list[tuple[str, bytes]]
    acknowledged_before: int
    retry: Retry


class StationSession:
    """One link of a station. `window` uploads may be unanswered at once; without `ack` none asks for an answer."""

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
    ) -> None:
        self._identity = identity
        self._state = state
        self._world = world
        self._ack = ack
        self._window = window
        self._service = Service(identity, state, world, allowed=allowed, handled=handled)
        self._qns = QnSource()
        self._decoder = Decoder()
        self._uploads: dict[str, _Upload] = {}
        self._acknowledged = 0

    @property
    def free(self) -> int:
        """How many uploads may be submitted now."""
        return self._window - len(self._uploads)

    @property
    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        return min((upload.retry.deadline for upload in self._uploads.values()), default=None)

    def disconnected(self) -> None:
        """The link is gone: what was under way is forgotten, its owner submits it again."""
        self._decoder = Decoder()
        self._uploads.clear()

    def submit(self, key: Key, cn: str, at: datetime, items: Sequence[Item], now: float) -> list[Output]:
        """Upload items labelled with the time `at`, in as many parts as needed. Needs a free slot and an item."""
        if self.free <= 0:
            raise RuntimeError("no free slot: look at `free` before")
        parts = self._parts(cn, (time_item(at), *items))
        if not self._ack:
            return [*(Send(data) for _, data in parts), Delivered(key, confirmed=False)]
        return self._send_part(_Upload(key, parts, self._acknowledged, Retry(b"", now)), now)

    def answer(self, qn: str, area: Area) -> list[Output]:
        """Data inside a `Requested` request. Raises KeyError for one that is not open."""
        return self._service.answer(qn, area)

    def finish(self, qn: str, code: int) -> list[Output]:
        """End a `Requested` request by 9012 with a code of `ExeRtn`. Raises KeyError for one that is not open."""
        return self._service.finish(qn, code)

    def _parts(self, cn: str, items: Sequence[Item]) -> list[tuple[str, bytes]]:
        plain = len(header_text(self._frame(cn, ())))
        areas = split(items, plain, len(header_text(self._frame(cn, (), (PARTS_MAX, PARTS_MAX)))))
        whole = len(areas) == 1
        frames = [self._frame(cn, area, None if whole else (len(areas), pno)) for pno, area in enumerate(areas, 1)]
        return [(message.qn, encode(message)) for message in frames]

    def _frame(self, cn: str, area: Area, part: tuple[int, int] | None = None) -> Message:
        flag = flag_of(self._identity.edition, wants_answer=self._ack, split=part is not None)
        pnum, pno = part or (None, None)
        me = self._identity
        return Message(self._qns.next(self._world()), me.st, cn, me.pw, me.mn, flag, area, pnum, pno)

    def _send_part(self, upload: _Upload, now: float) -> list[Output]:
        qn, data = upload.parts[0]
        upload.retry = Retry(data, now + self._state.timing.overtime_s)
        self._uploads[qn] = upload
        return [Send(data)]

    def tick(self, now: float) -> list[Output]:
        """Send again what is late; give up what was sent often enough."""
        outputs: list[Output] = []
        for qn, upload in list(self._uploads.items()):
            if upload.retry.due(now):
                again = upload.retry.again(now, self._state.timing)
                outputs.append(again or self._fail(qn, "no answer"))
        return outputs

    def _fail(self, qn: str, reason: str) -> Failed:
        upload = self._uploads.pop(qn)
        return Failed(upload.key, self._acknowledged > upload.acknowledged_before, reason)

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes from the wire."""
        return received(self._decoder.feed(data), lambda message: self._take(message, now))

    def _take(self, message: Message, now: float) -> list[Output]:
        if message.st != REPLY_ST:
            return self._service.take(message)
        upload = self._uploads.get(message.qn)
        if upload is None or message.mn != self._identity.mn:
            return [Unexpected(message)]
        if message.cn == "9014":
            return self._acknowledge(upload, now)
        if message.cn == "9011":
            return [self._fail(message.qn, f"refused with QnRtn {message.value('QnRtn')}")]
        return [Unexpected(message)]

    def _acknowledge(self, upload: _Upload, now: float) -> list[Output]:
        qn, _ = upload.parts.pop(0)
        del self._uploads[qn]
        self._acknowledged += 1
        if not upload.parts:
            return [Delivered(upload.key, confirmed=True)]
        # That one part of an upload was acknowledged is no proof that the platform answers other uploads.
        upload.acknowledged_before += 1
        return self._send_part(upload, now)
