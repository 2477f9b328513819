"""The platform's end of a link as a state machine without I/O (dialogues of HJ 212-2017 6.2 and appendix C).

An upload is answered 9014 only after the owner said that its data are committed. A request walks through the table
`TRANSITIONS`; the same link may carry several stations, each known by its MN.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from protocols.hj212.commands import QnRtn, commands
from protocols.hj212.decoder import Decoder
from protocols.hj212.message import REPLY_ST, Area, Message, encode, flag_of
from protocols.hj212.session import (
    Identity,
    Output,
    Rejected,
    RequestEnded,
    Retry,
    Send,
    Timing,
    Unexpected,
    Uploaded,
    received,
    remember,
)
from protocols.hj212.times import QnSource
from protocols.hj212.uploads import UploadError, read_upload

PENDING_MAX: Final = 256
ACCEPTED_MAX: Final = 256
REQUESTS_MAX: Final = 16


class Request(StrEnum):
    """Where a request stands."""

    ASKED = "asked"
    EXECUTING = "executing"
    DONE = "done"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    FAILED = "failed"


class Happening(StrEnum):
    """What may happen to a request."""

    READY = "9011 ready"
    NOT_READY = "9011 not ready"
    DATA = "data"
    SUCCESS = "9012 done"
    FAILURE = "9012 not done"
    NOTICED = "9013"
    LATE = "late"


# What is not in the table is an unexpected message. A 9012 may overtake a lost 9011.
TRANSITIONS: Final = {
    (Request.ASKED, Happening.READY): Request.EXECUTING,
    (Request.ASKED, Happening.NOT_READY): Request.REFUSED,
    (Request.ASKED, Happening.DATA): Request.EXECUTING,
    (Request.ASKED, Happening.SUCCESS): Request.DONE,
    (Request.ASKED, Happening.FAILURE): Request.FAILED,
    (Request.ASKED, Happening.NOTICED): Request.DONE,
    (Request.ASKED, Happening.LATE): Request.UNANSWERED,
    (Request.EXECUTING, Happening.READY): Request.EXECUTING,
    (Request.EXECUTING, Happening.DATA): Request.EXECUTING,
    (Request.EXECUTING, Happening.SUCCESS): Request.DONE,
    (Request.EXECUTING, Happening.FAILURE): Request.FAILED,
    (Request.EXECUTING, Happening.LATE): Request.FAILED,
}
OPEN: Final = frozenset({Request.ASKED, Request.EXECUTING})


@dataclass(slots=True)
class _Request:
    message: Message
    retry: Retry
    state: Request = Request.ASKED
    code: int | None = None
    data: list[Area] = field(default_factory=list)


class PlatformSession:
    """One link of a platform. `stations` by MN; `execution_s` is how long a station may work after its 9011."""

    def __init__(
        self,
        stations: Mapping[str, Identity],
        world: Callable[[], datetime],
        *,
        timing: Timing | None = None,
        execution_s: float = 30.0,
    ) -> None:
        self._stations = stations
        self._world = world
        self._timing = timing or Timing()
        self._execution_s = execution_s
        self._qns = QnSource()
        self._decoder = Decoder()
        self._pending: dict[str, Message] = {}
        self._accepted: OrderedDict[str, Message] = OrderedDict()
        self._requests: dict[str, _Request] = {}

    @property
    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        return min((request.retry.deadline for request in self._requests.values()), default=None)

    def request(self, mn: str, cn: str, area: Area, now: float) -> tuple[str, list[Output]]:
        """Send a request (1000, 1011, 1012, 1061, 1062, 2011) or notice (2012) to a station; gives its QN.

        Raises ValueError for a station or command that is not known or fields that do not fit it, RuntimeError beyond
        16 open requests.
        """
        station, command = self._stations.get(mn), commands().get((cn, "to_station"))
        if station is None or command is None or command.dialogue not in ("request", "notice"):
            raise ValueError(f"no request {cn} to {mn}")
        if len(self._requests) >= REQUESTS_MAX:
            raise RuntimeError(f"{REQUESTS_MAX} requests are open")
        qn = self._qns.next(self._world())
        message = Message(qn, station.st, cn, station.pw, mn, flag_of(station.edition, wants_answer=True), area)
        problem = command.problem(message)
        if problem:
            raise ValueError(f"request {cn}: {problem}")
        data = encode(message)
        self._requests[qn] = _Request(message, Retry(data, now + self._timing.overtime_s))
        return qn, [Send(data)]

    def accepted(self, message: Message) -> list[Output]:
        """The data of that upload are committed: answer it 9014 where it asked for an answer."""
        if self._pending.pop(message.qn, None) is None:
            return []
        remember(self._accepted, message.qn, message, ACCEPTED_MAX)
        return self._reply(message, "9014")

    def tick(self, now: float) -> list[Output]:
        """Ask again what is late; give up what was asked often enough or takes too long."""
        outputs: list[Output] = []
        for request in list(self._requests.values()):
            if not request.retry.due(now):
                continue
            # While the station executes nothing is sent again: the command has failed (HJ 212-2017 6.2).
            again = request.retry.again(now, self._timing) if request.state is Request.ASKED else None
            outputs += [again] if again else self._move(request, Happening.LATE, now)
        return outputs

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes from the wire."""
        return received(self._decoder.feed(data), lambda message: self._take(message, now))

    def _take(self, message: Message, now: float) -> list[Output]:
        station = self._stations.get(message.mn)
        if station is None:
            return self._reject(message, QnRtn.MN, "unknown MN")
        if message.pw != station.pw:
            return self._reject(message, QnRtn.PW, "wrong PW")
        command = commands().get((message.cn, "to_platform"))
        if command is None:
            return self._reject(message, QnRtn.CN, "unknown CN")
        if message.st == REPLY_ST or command.dialogue == "data":
            # Uploads are looked at apart: their QN come from another clock and may equal that of an open request.
            request = self._requests.get(message.qn)
            known = request is not None and request.message.mn == message.mn
            return self._take_answer(request, message, now) if request and known else [Unexpected(message)]
        if message.st != station.st:
            return self._reject(message, QnRtn.ST, "wrong ST")
        return self._take_upload(message)

    def _take_upload(self, message: Message) -> list[Output]:
        done = self._accepted.get(message.qn)
        if done == message:
            return self._reply(message, "9014")
        if self._pending.get(message.qn) == message:
            return []
        try:
            upload = read_upload(message)
        except UploadError as error:
            return self._reject(message, QnRtn.UNKNOWN, str(error))
        if len(self._pending) >= PENDING_MAX:
            # Left unanswered on purpose: the station sends it again when there is room.
            return [Rejected(message, "too many uploads wait for their commit")]
        self._pending[message.qn] = message
        return [Uploaded(message, upload)]

    def _reject(self, message: Message, code: int, reason: str) -> list[Output]:
        """Tell the sender why, where it asked; a reply that nobody asked for is never answered."""
        if message.st == REPLY_ST:
            return [Rejected(message, reason)]
        return [*self._reply(message, "9011", ("QnRtn", str(code))), Rejected(message, reason)]

    def _reply(self, message: Message, cn: str, *area: tuple[str, str]) -> list[Output]:
        if not message.wants_answer:
            return []
        # The peer's own version bits: an edition that differs is no reason to leave its data unanswered.
        flag = message.version << 2
        items = tuple((pair,) for pair in area)
        return [Send(encode(Message(message.qn, REPLY_ST, cn, message.pw, message.mn, flag, items)))]

    def _take_answer(self, request: _Request, message: Message, now: float) -> list[Output]:
        happening = self._happening(request, message)
        if happening is None or (request.state, happening) not in TRANSITIONS:
            return [Unexpected(message)]
        if happening is Happening.DATA:
            request.data.append(message.area)
        return self._move(request, happening, now)

    def _happening(self, request: _Request, message: Message) -> Happening | None:
        command = commands().get((message.cn, "to_platform"))
        if command is None or command.problem(message):
            return None
        if message.st != REPLY_ST:
            return Happening.DATA if message.cn == request.message.cn and not request.data else None
        text = message.value("QnRtn") or message.value("ExeRtn")
        request.code = int(text) if text else None
        match message.cn, request.code:
            case "9011", QnRtn.READY:
                return Happening.READY
            case "9011", _:
                return Happening.NOT_READY
            case "9012", 1:
                return Happening.SUCCESS
            case "9012", _:
                return Happening.FAILURE
            case "9013", _:
                return Happening.NOTICED
        return None

    def _move(self, request: _Request, happening: Happening, now: float) -> list[Output]:
        request.state = TRANSITIONS[request.state, happening]
        request.retry.deadline = now + self._execution_s
        if request.state in OPEN:
            return []
        message = request.message
        del self._requests[message.qn]
        return [RequestEnded(message.qn, message.mn, message.cn, request.state, request.code, tuple(request.data))]
