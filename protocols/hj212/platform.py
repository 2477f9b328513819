"""The platform's end of a link as a state machine without I/O (dialogues of HJ 212-2017 6.2 and appendix C).

An upload is answered 9014 only after the owner said that its data are committed. Requests are `platform_requests`; the
states and their transitions are the table in `transitions`. One link may carry several stations, each known by its MN.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from protocols.hj212.commands import Command, QnRtn, commands
from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.message import REPLY_ST, Area, Message
from protocols.hj212.platform_requests import Execution, Requests, StartUp, Startup
from protocols.hj212.reader import Reader, judge, replies
from protocols.hj212.session import (
    BadBytes,
    Identity,
    Notified,
    Output,
    PartsMissing,
    Rejected,
    RequestEnded,
    Timing,
    Unexpected,
    Uploaded,
    remember,
)
from protocols.hj212.split import Reassembly
from protocols.hj212.uploads import VALUE_CNS, UploadError, read_upload

PENDING_MAX: Final = 256
ACCEPTED_MAX: Final = 256


class PlatformSession:
    """One link of a platform.

    `stations` by MN is looked up for every frame: its owner may replace an identity at any time. `execution_s` is how
    long a station may be silent after its 9011, one value or by CN. `startup` are orders (CN, data area) that each
    station gets after its first good frame, one after the other. `heard` is told each answer to a request as it came:
    `RequestEnded` says only how it ended.
    """

    def __init__(
        self,
        stations: Mapping[str, Identity],
        world: Callable[[], datetime],
        *,
        timing: Timing | None = None,
        execution_s: Execution = None,
        startup: Startup = (),
        heard: Callable[[Message], None] | None = None,
    ) -> None:
        self._stations = stations
        self._timing = timing or Timing()
        self._reader = Reader(self._keys)
        # What waits for its commit, by its bytes: a number alone is not unique, and some stations send none.
        self._pending: dict[bytes, Message] = {}
        self._done: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._parts = Reassembly(joined=False)
        self._requests = Requests(world, self._timing, execution_s)
        self._heard = heard
        self._startup = StartUp(startup, self._requests, world) if startup else None

    def _keys(self, fields: Mapping[str, str]) -> Sequence[bytes]:
        station = self._stations.get(fields.get("MN", ""))
        return () if station is None else station.keys

    @property
    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        times = (self._requests.deadline, self._reader.deadline, self._parts.deadline)
        return min((time for time in times if time is not None), default=None)

    def request(self, mn: str, cn: str, area: Area, now: float) -> tuple[str, list[Output]]:
        """Send a request or notice to a station; gives its QN. `RequestEnded` says later how it went.

        Raises ValueError for a station or command that is not known or fields that do not fit it, RuntimeError beyond
        16 open requests.
        """
        station = self._stations.get(mn)
        if station is None:
            raise ValueError(f"no station {mn}")
        return self._requests.ask(station, cn, area, now)

    def accepted(self, message: Message) -> list[Output]:
        """The data of that upload are committed: answer it 9014 where it asked for an answer."""
        if self._pending.pop(_content(message), None) is None:
            return []
        self._remember(message)
        return self._reply(message, "9014")

    def tick(self, now: float) -> list[Output]:
        """Ask again what is late; give up what takes too long; take what waited too long for its end."""
        outputs = self._taken(self._reader.tick(now), now)
        outputs += self._parts.expire(now)
        return outputs + self._after_requests(self._requests.tick(now), now)

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes from the wire."""
        return self._taken(self._reader.receive(data, now), now)

    def end(self, now: float) -> list[Output]:
        """The stream has closed: take what is left of it; requests and sets of parts that are open end here."""
        left = self._taken(self._reader.end(), now)
        parts: list[PartsMissing] = self._parts.end()
        self._startup = None
        return [*left, *parts, *self._requests.end()]

    def _taken(self, found: Sequence[Frame | FrameError], now: float) -> list[Output]:
        outputs: list[Output] = []
        for one in found:
            outputs += [BadBytes(one)] if isinstance(one, FrameError) else self._take(one, now)
        return outputs

    def _take(self, frame: Frame, now: float) -> list[Output]:
        station = self._stations.get(frame.fields["MN"])
        if station is None:
            return self._reject(frame.message, QnRtn.MN, "unknown MN")
        message, refused = judge(station.profile, frame)
        if message.pw != station.pw:
            return self._reject(message, QnRtn.PW, "wrong PW")
        if refused is not None:
            return self._reject(message, *refused)
        command = commands(station.edition).get((message.cn, "to_platform"))
        if command is None:
            return self._reject(message, QnRtn.CN, "unknown CN")
        outputs = self._take_known(message, station, command, now)
        if self._startup is not None and not any(isinstance(one, Rejected) for one in outputs):
            outputs += self._startup.seen(station, now)
        return outputs

    def _take_known(self, message: Message, station: Identity, command: Command, now: float) -> list[Output]:
        if message.st == REPLY_ST or command.dialogue == "data":
            ended = self._answer(message, command, now)
            return [Unexpected(message)] if ended is None else self._after_requests(ended, now)
        if message.st != station.st:
            return self._reject(message, QnRtn.ST, "wrong ST")
        if command.dialogue == "notice":
            return self._take_notice(message)
        if not message.wants_answer:
            # Data with the number of a request belong to it, unless their Flag makes them an upload of their own.
            ended = self._answer(message, command, now)
            if ended is not None:
                return self._after_requests(ended, now)
        return self._take_upload(message, now)

    def _answer(self, message: Message, command: Command, now: float) -> list[Output] | None:
        ended = self._requests.take(message, command, now)
        if ended is not None and self._heard is not None:
            self._heard(message)
        return ended

    def _take_notice(self, message: Message) -> list[Output]:
        known = _mark(message) in self._done
        self._remember(message)
        return self._reply(message, "9013") + ([] if known else [Notified(message)])

    def _take_upload(self, message: Message, now: float) -> list[Output]:
        if _mark(message) in self._done:
            return self._reply(message, "9014")
        if _content(message) in self._pending:
            return []
        try:
            upload = read_upload(message) if message.cn in VALUE_CNS else None
        except UploadError as error:
            return self._reject(message, QnRtn.UNKNOWN, str(error))
        if len(self._pending) >= PENDING_MAX:
            # Left unanswered on purpose: the station sends it again when there is room.
            return [Rejected(message, "too many uploads wait for their commit")]
        self._pending[_content(message)] = message
        self._requests.progress(message, now)
        missing = self._parts.add(message, now, self._timing.whole_s)[1] if message.split else []
        return [Uploaded(message, upload), *missing]

    def _remember(self, message: Message) -> None:
        remember(self._done, _mark(message), None, ACCEPTED_MAX)

    def _reject(self, message: Message, code: int | None, reason: str) -> list[Output]:
        """Tell the sender why, where it asked; a reply that nobody asked for is never answered."""
        if code is None:
            return [Rejected(message, reason)]
        return [*self._reply(message, "9011", ("QnRtn", str(code))), Rejected(message, reason)]

    def _reply(self, message: Message, cn: str, *area: tuple[str, str]) -> list[Output]:
        return list(replies(message, cn, *area)) if message.wants_answer else []

    def _after_requests(self, outputs: list[Output], now: float) -> list[Output]:
        """What follows where a request of the start-up has ended."""
        if self._startup is None:
            return outputs
        ended = [one for one in outputs if isinstance(one, RequestEnded)]
        more = (self._startup.ended(one, self._stations.get(one.mn), now) for one in ended)
        return outputs + [output for outputs in more for output in outputs]


def _content(message: Message) -> bytes:
    """The bytes of a message, the same whether its end was seen or not."""
    return message.raw.rstrip()


def _mark(message: Message) -> tuple[str, int]:
    """Few bytes to know an upload by that was accepted: many are remembered on many links."""
    return message.qn, hash(_content(message))
