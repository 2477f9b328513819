"""What a station does when a platform asks: answer 9011, execute, answer 9012; or refuse with the right code.

A QN seen before is answered as before and never executed again. Setting the clock is refused unless the owner allows it
(`may_set_time`) and then executed by the owner; everything else here changes or tells the state of the link alone.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protocols.hj212.commands import Command, ExeRtn, QnRtn, commands
from protocols.hj212.frame import EDITION_2017, REPLY_ST, Area, Frame, encode, flag_of
from protocols.hj212.session import Commanded, Identity, Output, Send, SetTime, Timing, remember
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
        self, identity: Identity, state: StationState, world: Callable[[], datetime], *, may_set_time: bool
    ) -> None:
        self._identity = identity
        self._state = state
        self._world = world
        self._may_set_time = may_set_time
        self._answered: OrderedDict[tuple[str, str], list[bytes]] = OrderedDict()
        self._handlers: dict[str, Callable[[Frame], list[Output]]] = {
            "1000": self._set_timing,
            "1011": self._tell_time,
            "1012": self._set_time,
            "1061": self._tell_interval,
            "1062": self._set_interval,
            "2011": self._start,
            "2012": self._stop,
        }

    def take(self, frame: Frame) -> list[Output]:
        """Deal with one frame that is no reply."""
        known = self._answered.get((frame.qn, frame.cn))
        if known is not None:
            return [Send(data) for data in known]
        remember(self._answered, (frame.qn, frame.cn), [], ANSWERED_MAX)
        command = commands().get((frame.cn, "to_station"))
        code = self._judge(frame, command)
        if command is None or code != QnRtn.READY:
            # The fields of a refused request are not kept: they may hold a new password.
            return [
                *self._answer(frame, "9011", ("QnRtn", str(code))),
                Commanded(frame.qn, frame.cn, {}, f"QnRtn {code}"),
            ]
        problem = command.problem(frame)
        if command.dialogue == "notice":
            return [*self._answer(frame, "9013"), *([] if problem else self._handlers[frame.cn](frame))]
        ready = self._answer(frame, "9011", ("QnRtn", str(QnRtn.READY)))
        if problem:
            return [*ready, *self._result(frame, ExeRtn.CONDITION), Commanded(frame.qn, frame.cn, {}, problem)]
        return [*ready, *self._handlers[frame.cn](frame)]

    def executed(self, qn: str, done: bool) -> list[Output]:
        """Answer a `SetTime` by 9012."""
        asked = self._identity
        frame = Frame(qn, asked.st, "1012", asked.pw, asked.mn, flag_of(wants_answer=False))
        return self._result(frame, ExeRtn.DONE if done else ExeRtn.FAILED)

    def _judge(self, frame: Frame, command: Command | None) -> int:
        """Code of the 9011 (HJ 212-2017 table 7), in the order in which a frame is looked at."""
        checks = (
            (QnRtn.MN, frame.mn == self._identity.mn),
            (QnRtn.PW, frame.pw == self._identity.pw),
            (QnRtn.ST, frame.st == self._identity.st),
            (QnRtn.FLAG, frame.version == EDITION_2017),
            (QnRtn.QN, _is_qn(frame.qn)),
            (QnRtn.CN, command is not None and frame.cn in self._handlers),
            (QnRtn.REFUSED, frame.cn != "1012" or self._may_set_time),
        )
        return next((code for code, good in checks if not good), QnRtn.READY)

    def _answer(self, frame: Frame, cn: str, *area: tuple[str, str]) -> list[Output]:
        """Reply as in appendix C: ST 91; QN, PW and MN of the message answered; Flag with the version alone."""
        items = tuple((pair,) for pair in area)
        reply = Frame(frame.qn, REPLY_ST, cn, frame.pw, frame.mn, flag_of(wants_answer=False), items)
        return self._sent(frame, encode(reply))

    def _sent(self, frame: Frame, data: bytes) -> list[Output]:
        self._answered.setdefault((frame.qn, frame.cn), []).append(data)
        return [Send(data)]

    def _result(self, frame: Frame, code: int) -> list[Output]:
        return self._answer(frame, "9012", ("ExeRtn", str(code)))

    def _tell(self, frame: Frame, name: str, value: str) -> list[Output]:
        area: Area = (((name, value),),)
        data = encode(Frame(frame.qn, frame.st, frame.cn, frame.pw, frame.mn, flag_of(wants_answer=False), area))
        return [*self._sent(frame, data), *self._result(frame, ExeRtn.DONE)]

    def _act(self, frame: Frame) -> Commanded:
        return Commanded(frame.qn, frame.cn, {name: value for item in frame.area for name, value in item}, "done")

    def _done(self, frame: Frame) -> list[Output]:
        return [*self._result(frame, ExeRtn.DONE), self._act(frame)]

    def _set_timing(self, frame: Frame) -> list[Output]:
        self._state.timing = Timing(float(_integer(frame, "OverTime")), _integer(frame, "ReCount"))
        return self._done(frame)

    def _tell_time(self, frame: Frame) -> list[Output]:
        return self._tell(frame, "SystemTime", render_time(self._world()))

    def _set_time(self, frame: Frame) -> list[Output]:
        return [SetTime(frame.qn, parse_time(frame.value("SystemTime") or ""))]

    def _tell_interval(self, frame: Frame) -> list[Output]:
        return self._tell(frame, "RtdInterval", str(self._state.realtime_s))

    def _set_interval(self, frame: Frame) -> list[Output]:
        self._state.realtime_s = _integer(frame, "RtdInterval")
        return self._done(frame)

    def _start(self, frame: Frame) -> list[Output]:
        self._state.realtime_on = True
        return self._done(frame)

    def _stop(self, frame: Frame) -> list[Output]:
        self._state.realtime_on = False
        return [self._act(frame)]


def _integer(frame: Frame, name: str) -> int:
    return int(frame.value(name) or "")


def _is_qn(qn: str) -> bool:
    try:
        parse_time(qn[:14])
    except ValueError:
        return False
    return True
