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
from protocols.hj212.frame import REPLY_ST, Area, Frame, encode, flag_of
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


# What is not in the table is an unexpected frame. A 9012 may overtake a lost 9011.
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
    frame: Frame
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
        self._pending: dict[str, Frame] = {}
        self._accepted: OrderedDict[str, Frame] = OrderedDict()
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
        frame = Frame(qn, station.st, cn, station.pw, mn, flag_of(wants_answer=True), area)
        problem = command.problem(frame)
        if problem:
            raise ValueError(f"request {cn}: {problem}")
        data = encode(frame)
        self._requests[qn] = _Request(frame, Retry(data, now + self._timing.overtime_s))
        return qn, [Send(data)]

    def accepted(self, qn: str) -> list[Output]:
        """The data of that upload are committed: answer it 9014 where it asked for an answer."""
        frame = self._pending.pop(qn, None)
        if frame is None:
            return []
        remember(self._accepted, qn, frame, ACCEPTED_MAX)
        return self._reply(frame, "9014")

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
        return received(self._decoder.feed(data), lambda frame: self._take(frame, now))

    def _take(self, frame: Frame, now: float) -> list[Output]:
        station = self._stations.get(frame.mn)
        if station is None:
            return self._reject(frame, QnRtn.MN, "unknown MN")
        if frame.pw != station.pw:
            return self._reject(frame, QnRtn.PW, "wrong PW")
        command = commands().get((frame.cn, "to_platform"))
        if command is None:
            return self._reject(frame, QnRtn.CN, "unknown CN")
        if frame.st == REPLY_ST or command.dialogue == "data":
            # Uploads are looked at apart: their QN come from another clock and may equal that of an open request.
            request = self._requests.get(frame.qn)
            known = request is not None and request.frame.mn == frame.mn
            return self._take_answer(request, frame, now) if request and known else [Unexpected(frame)]
        if frame.st != station.st:
            return self._reject(frame, QnRtn.ST, "wrong ST")
        return self._take_upload(frame)

    def _take_upload(self, frame: Frame) -> list[Output]:
        done = self._accepted.get(frame.qn)
        if done == frame:
            return self._reply(frame, "9014")
        if self._pending.get(frame.qn) == frame:
            return []
        try:
            upload = read_upload(frame)
        except UploadError as error:
            return self._reject(frame, QnRtn.UNKNOWN, str(error))
        if len(self._pending) >= PENDING_MAX:
            # Left unanswered on purpose: the station sends it again when there is room.
            return [Rejected(frame, "too many uploads wait for their commit")]
        self._pending[frame.qn] = frame
        return [Uploaded(frame, upload)]

    def _reject(self, frame: Frame, code: int, reason: str) -> list[Output]:
        """Tell the sender why, where it asked; a reply that nobody asked for is never answered."""
        if frame.st == REPLY_ST:
            return [Rejected(frame, reason)]
        return [*self._reply(frame, "9011", ("QnRtn", str(code))), Rejected(frame, reason)]

    def _reply(self, frame: Frame, cn: str, *area: tuple[str, str]) -> list[Output]:
        if not frame.wants_answer:
            return []
        # The peer's own version bits: an edition that differs is no reason to leave its data unanswered.
        flag = flag_of(wants_answer=False, version=frame.version)
        items = tuple((pair,) for pair in area)
        return [Send(encode(Frame(frame.qn, REPLY_ST, cn, frame.pw, frame.mn, flag, items)))]

    def _take_answer(self, request: _Request, frame: Frame, now: float) -> list[Output]:
        happening = self._happening(request, frame)
        if happening is None or (request.state, happening) not in TRANSITIONS:
            return [Unexpected(frame)]
        if happening is Happening.DATA:
            request.data.append(frame.area)
        return self._move(request, happening, now)

    def _happening(self, request: _Request, frame: Frame) -> Happening | None:
        command = commands().get((frame.cn, "to_platform"))
        if command is None or command.problem(frame):
            return None
        if frame.st != REPLY_ST:
            return Happening.DATA if frame.cn == request.frame.cn and not request.data else None
        text = frame.value("QnRtn") or frame.value("ExeRtn")
        request.code = int(text) if text else None
        match frame.cn, request.code:
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
        frame = request.frame
        del self._requests[frame.qn]
        return [RequestEnded(frame.qn, frame.mn, frame.cn, request.state, request.code, tuple(request.data))]
