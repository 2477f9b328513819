"""What a station does when a platform asks: answer 9011, execute, answer 9012; or refuse with the right code.

A QN seen before is answered as before and never executed again. What changes or tells the state of the link alone is
done here; what acts on the station is refused unless it is in `allowed`, and executed by the owner (`Requested`).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protocols.hj212.commands import Command, ExeRtn, QnRtn, commands
from protocols.hj212.message import REPLY_ST, Area, Message, encode, flag_of
from protocols.hj212.session import Commanded, Identity, Output, Requested, Send, Timing, remember
from protocols.hj212.times import parse_time, render_time

ANSWERED_MAX: Final = 64


@dataclass(slots=True)
class StationState:
    """What a platform may change on this link; kept beyond one connection."""

    timing: Timing = field(default_factory=Timing)
    realtime_s: int = 30
    realtime_on: bool = True


class Service:
    """Answers requests and notices of one platform."""

    def __init__(
        self,
        identity: Identity,
        state: StationState,
        world: Callable[[], datetime],
        *,
        allowed: frozenset[str],
        handled: frozenset[str],
    ) -> None:
        self._identity = identity
        self._state = state
        self._world = world
        self._allowed = allowed
        self._handled = handled
        self._open: dict[str, Message] = {}
        self._answered: OrderedDict[tuple[str, str], list[bytes]] = OrderedDict()
        self._handlers: dict[str, Callable[[Message], list[Output]]] = {
            "1000": self._set_timing,
            "1011": self._tell_time,
            "1061": self._tell_interval,
            "1062": self._set_interval,
            "2011": self._start,
            "2012": self._stop,
        }

    def take(self, message: Message) -> list[Output]:
        """Deal with one message that is no reply."""
        known = self._answered.get((message.qn, message.cn))
        if known is not None:
            return [Send(data) for data in known]
        remember(self._answered, (message.qn, message.cn), [], ANSWERED_MAX)
        command = commands().get((message.cn, "to_station"))
        code = self._judge(message, command)
        if command is None or code != QnRtn.READY:
            # The fields of a refused request are not kept: they may hold a new password.
            return [
                *self._answer(message, "9011", ("QnRtn", str(code))),
                Commanded(message.qn, message.cn, {}, f"QnRtn {code}"),
            ]
        problem = command.problem(message)
        if command.dialogue == "notice":
            return [*self._answer(message, "9013"), *([] if problem else self._handlers[message.cn](message))]
        ready = self._answer(message, "9011", ("QnRtn", str(QnRtn.READY)))
        if problem:
            return [*ready, *self._result(message, ExeRtn.CONDITION), Commanded(message.qn, message.cn, {}, problem)]
        if message.cn in self._handlers:
            return [*ready, *self._handlers[message.cn](message)]
        self._open[message.qn] = message
        return [*ready, Requested(message)]

    def answer(self, qn: str, area: Area) -> list[Output]:
        """Data inside a request that the owner executes: same CN and QN, not acknowledged (dialogue 2a)."""
        asked = self._open[qn]
        flag = flag_of(self._identity.edition, wants_answer=False)
        data = Message(asked.qn, asked.st, asked.cn, asked.pw, asked.mn, flag, area)
        return self._sent(asked, encode(data))

    def finish(self, qn: str, code: int) -> list[Output]:
        """End a request that the owner executed by 9012 with a code of `ExeRtn`."""
        return self._result(self._open.pop(qn), code)

    def _judge(self, message: Message, command: Command | None) -> int:
        """Code of the 9011 (HJ 212-2017 table 7), in the order in which a message is looked at."""
        checks = (
            (QnRtn.MN, message.mn == self._identity.mn),
            (QnRtn.PW, message.pw == self._identity.pw),
            (QnRtn.ST, message.st == self._identity.st),
            (QnRtn.FLAG, message.version == self._identity.edition.version),
            (QnRtn.QN, _is_qn(message.qn)),
            (QnRtn.CN, command is not None and (message.cn in self._handlers or message.cn in self._handled)),
            (QnRtn.REFUSED, message.cn not in self._handled or message.cn in self._allowed),
        )
        return next((code for code, good in checks if not good), QnRtn.READY)

    def _answer(self, message: Message, cn: str, *area: tuple[str, str]) -> list[Output]:
        """Reply as in appendix C: ST 91; QN, PW and MN of the message answered; Flag with the version alone."""
        items = tuple((pair,) for pair in area)
        reply = Message(
            message.qn, REPLY_ST, cn, message.pw, message.mn, flag_of(self._identity.edition, wants_answer=False), items
        )
        return self._sent(message, encode(reply))

    def _sent(self, message: Message, data: bytes) -> list[Output]:
        self._answered.setdefault((message.qn, message.cn), []).append(data)
        return [Send(data)]

    def _result(self, message: Message, code: int) -> list[Output]:
        return self._answer(message, "9012", ("ExeRtn", str(code)))

    def _tell(self, message: Message, name: str, value: str) -> list[Output]:
        self._open[message.qn] = message
        return [*self.answer(message.qn, (((name, value),),)), *self.finish(message.qn, ExeRtn.DONE)]

    def _act(self, message: Message) -> Commanded:
        return Commanded(message.qn, message.cn, {name: value for item in message.area for name, value in item}, "done")

    def _done(self, message: Message) -> list[Output]:
        return [*self._result(message, ExeRtn.DONE), self._act(message)]

    def _set_timing(self, message: Message) -> list[Output]:
        self._state.timing = Timing(float(_integer(message, "OverTime")), _integer(message, "ReCount"))
        return self._done(message)

    def _tell_time(self, message: Message) -> list[Output]:
        return self._tell(message, "SystemTime", render_time(self._world()))

    def _tell_interval(self, message: Message) -> list[Output]:
        return self._tell(message, "RtdInterval", str(self._state.realtime_s))

    def _set_interval(self, message: Message) -> list[Output]:
        self._state.realtime_s = _integer(message, "RtdInterval")
        return self._done(message)

    def _start(self, message: Message) -> list[Output]:
        self._state.realtime_on = True
        return self._done(message)

    def _stop(self, message: Message) -> list[Output]:
        self._state.realtime_on = False
        return [self._act(message)]


def _integer(message: Message, name: str) -> int:
    return int(message.value(name) or "")


def _is_qn(qn: str) -> bool:
    try:
        parse_time(qn[:14])
    except ValueError:
        return False
    return True
