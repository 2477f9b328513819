"""What a station does when a platform asks: answer 9011, execute, answer 9012; or refuse with the right code.

A request seen before is answered as before and never executed again. What changes or tells the state of the link alone
is done here (`link_commands`); everything else is executed by the owner (`Requested`), and what acts on the station is
refused unless it is in `allowed`.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protocols.hj212 import link_commands
from protocols.hj212.commands import Command, ExeRtn, QnRtn, commands
from protocols.hj212.link_commands import StationState
from protocols.hj212.message import Area, Message, encode, flag_of, header_text
from protocols.hj212.profile import Edition
from protocols.hj212.reader import reply_to
from protocols.hj212.session import Commanded, Identity, Output, Requested, Send, remember
from protocols.hj212.split import split
from protocols.hj212.times import parse_time
from protocols.hj212.transitions import Event, Machine, State, after

__all__ = ["Service", "StationState"]

# Requests under way and requests remembered; answers of one request that are remembered.
OPEN_MAX: Final = 16
ANSWERED_MAX: Final = 32
# What 2005 has of QnRtn and ExeRtn; the others are told as refused, as failed.
_QN_2005: Final = frozenset({QnRtn.READY, QnRtn.REFUSED, QnRtn.PW, QnRtn.UNKNOWN})
_EXE_2005: Final = frozenset({ExeRtn.DONE, ExeRtn.FAILED, ExeRtn.NO_DATA})


@dataclass(slots=True)
class _Served:
    message: Message
    state: State = State.RECEIVED
    answers: list[bytes] = field(default_factory=list)


class Service:
    """Answers requests and notices of one platform. The owner may replace `identity`."""

    def __init__(
        self,
        identity: Identity,
        state: StationState,
        world: Callable[[], datetime],
        *,
        allowed: frozenset[str],
        handled: frozenset[str],
    ) -> None:
        self.identity = identity
        self._state = state
        self._world = world
        self._allowed = allowed
        self._handled = handled
        self._open: dict[str, _Served] = {}
        self._answered: OrderedDict[Message, _Served] = OrderedDict()

    def take(self, message: Message, refused: int | None = None) -> list[Output]:
        """Deal with one message that is no reply; `refused` is the code for one not written as agreed."""
        under_way = self._open.get(message.qn)
        known = under_way if under_way and under_way.message == message else self._answered.get(message)
        if known is not None:
            _step(known, Event.REPEATED)
            return [Send(data) for data in known.answers]
        served = _Served(message)
        command = commands(self.identity.edition).get((message.cn, "to_station"))
        code = self._judge(message, command, refused)
        if command is None or code != QnRtn.READY:
            _step(served, Event.NOT_TAKEN)
            # The fields of a refused request are not kept: they may hold a new password.
            return [*self._reply(served, "9011", "QnRtn", code), Commanded(message.qn, message.cn, {}, f"QnRtn {code}")]
        remember(self._answered, message, served, ANSWERED_MAX)
        if command.dialogue == "notice":
            return self._notice(served, command)
        problem = command.problem(message) or link_commands.problem(message)
        ready = self._reply(served, "9011", "QnRtn", QnRtn.READY)
        if problem:
            _step(served, Event.WRONG_FIELDS)
            result = self._reply(served, "9012", "ExeRtn", ExeRtn.CONDITION)
            return [*ready, *result, Commanded(message.qn, message.cn, {}, problem)]
        if len(self._open) >= OPEN_MAX:
            _step(served, Event.FULL)
            return [*ready, *self._reply(served, "9012", "ExeRtn", ExeRtn.BUSY)]
        _step(served, Event.TAKES)
        self._open[message.qn] = served
        return [*ready, *(self._link(served) if link_commands.executes(message) else [Requested(message)])]

    def answer(self, qn: str, area: Area) -> list[Output]:
        """Data inside a request: same CN and QN, not acknowledged (dialogue 2a), in parts where it is long."""
        served = self._open[qn]
        _step(served, Event.DATA)
        data = self._data(served.message, area)
        served.answers += data
        return [Send(one) for one in data]

    def finish(self, qn: str, code: int) -> list[Output]:
        """End a request by 9012 with a code of `ExeRtn`."""
        served = self._open.pop(qn)
        _step(served, Event.IS_BUSY if code == ExeRtn.BUSY else Event.RESULT)
        return self._reply(served, "9012", "ExeRtn", code)

    def _judge(self, message: Message, command: Command | None, refused: int | None) -> int:
        """Code of the 9011 (HJ 212-2017 table 7), in the order in which a message is looked at."""
        me, mine = self.identity, link_commands.executes(message)
        checks = (
            (QnRtn.MN, message.mn == me.mn),
            (QnRtn.PW, message.pw == me.pw),
            (QnRtn.ST, message.st == me.st),
            (refused or QnRtn.UNKNOWN, refused is None),
            (QnRtn.QN, _is_qn(message.qn) and message.qn not in self._open),
            (QnRtn.CN, command is not None and (mine or message.cn in self._handled)),
            (QnRtn.REFUSED, mine or (command is not None and self._may(command))),
        )
        code = next((code for code, good in checks if not good), QnRtn.READY)
        return code if self.identity.edition > Edition.HJ2005 or code in _QN_2005 else QnRtn.REFUSED

    def _may(self, command: Command) -> bool:
        return command.effect != "station" or command.cn in self._allowed

    def _reply(self, served: _Served, cn: str, name: str = "", code: int = 0) -> list[Output]:
        if self.identity.edition is Edition.HJ2005 and cn == "9012" and code not in _EXE_2005:
            code = ExeRtn.FAILED
        data = reply_to(served.message, cn, *([(name, str(code))] if name else []))
        if data is None:
            return []
        served.answers.append(data)
        return [Send(data)]

    def _data(self, asked: Message, area: Area) -> list[bytes]:
        key, flag = self.identity.key_for(asked.cn), flag_of(self.identity.edition, wants_answer=False)

        def message(area: Area, split_flag: int = 0, pnum: int | None = None, pno: int | None = None) -> Message:
            return Message(asked.qn, asked.st, asked.cn, asked.pw, asked.mn, flag | split_flag, area, pnum, pno)

        areas = (
            split(area, len(header_text(message(()))), len(header_text(message((), 2, 9999, 9999)))) if area else [()]
        )
        if len(areas) == 1:
            return [encode(message(areas[0]), key)]
        return [encode(message(one, 2, len(areas), pno), key) for pno, one in enumerate(areas, 1)]

    def _notice(self, served: _Served, command: Command) -> list[Output]:
        """Do what a notice says; there is one answer, to those that want one."""
        message, problem = served.message, command.problem(served.message)
        _step(served, Event.TAKES)
        answer = self._reply(served, "9013") if message.wants_answer else []
        _step(served, Event.RESULT)
        if problem:
            return [*answer, Commanded(message.qn, message.cn, {}, problem)]
        link_commands.execute(message, self._state, self._world)
        return [*answer, _act(message)]

    def _link(self, served: _Served) -> list[Output]:
        message = served.message
        area = link_commands.execute(message, self._state, self._world)
        data = self.answer(message.qn, area) if area else []
        acts = [] if link_commands.reads(message) else [_act(message)]
        return [*data, *self.finish(message.qn, ExeRtn.DONE), *acts]


def _step(served: _Served, event: Event) -> None:
    state = after(Machine.SERVED, served.state, event)
    assert state is not None, (served.state, event)
    served.state = state


def _act(message: Message) -> Commanded:
    return Commanded(message.qn, message.cn, {name: value for item in message.area for name, value in item}, "done")


def _is_qn(qn: str) -> bool:
    try:
        parse_time(qn[:14])
    except ValueError:
        return False
    return len(qn) == 17
