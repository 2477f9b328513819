"""Requests a platform has under way on one link: each walks through the table `transitions`, with its timer."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protocols.hj212.commands import Command, QnRtn, commands
from protocols.hj212.message import REPLY_ST, Area, Message, encode, flag_of
from protocols.hj212.profile import Edition
from protocols.hj212.session import Identity, Output, RequestEnded, Retry, Send, Timing
from protocols.hj212.times import QnSource, render_time
from protocols.hj212.transitions import Event, Machine, State, after, ends

REQUESTS_MAX: Final = 16
# Data frames with the number of the request that are kept for its end.
DATA_MAX: Final = 64
# A calibration or a standard check takes its time; the standard gives none (own reading). Only a mapping shortens it.
EXECUTION_S: Final = {"3011": 1800.0, "3024": 1800.0}
EXECUTION_MIN_S: Final = 30.0
_ENDS: Final = ends(Machine.ASKED)

Execution = float | Mapping[str, float] | None
Startup = Sequence[tuple[str, Area]]


@dataclass(slots=True)
class _Request:
    message: Message
    command: Command
    retry: Retry
    state: State = State.NEW
    code: int | None = None
    data: list[Area] = field(default_factory=list)


class Requests:
    """By QN. At most REQUESTS_MAX are open."""

    def __init__(self, world: Callable[[], datetime], timing: Timing, execution_s: Execution) -> None:
        self._world = world
        self._timing = timing
        self._execution_s = execution_s
        self._qns = QnSource()
        self._open: dict[str, _Request] = {}

    @property
    def deadline(self) -> float | None:
        """When the first answer or result is late."""
        return min(request.retry.deadline for request in self._open.values()) if self._open else None

    @property
    def full(self) -> bool:
        """True where no more may be asked now."""
        return len(self._open) >= REQUESTS_MAX

    def ask(self, station: Identity, cn: str, area: Area, now: float) -> tuple[str, list[Output]]:
        """Send a request or notice. Raises ValueError for one the edition does not know, RuntimeError when full."""
        command = commands(station.edition).get((cn, "to_station"))
        if command is None or command.dialogue not in ("request", "notice"):
            raise ValueError(f"no request {cn} in the edition of {station.edition.value}")
        if self.full:
            raise RuntimeError(f"{REQUESTS_MAX} requests are open")
        qn = self._qns.next(self._world())
        message = Message(qn, station.st, cn, station.pw, station.mn, flag_of(station.edition, wants_answer=True), area)
        problem = command.problem(message)
        if problem:
            raise ValueError(f"request {cn}: {problem}")
        data = encode(message)
        request = self._open[qn] = _Request(message, command, Retry(data, now + self._timing.overtime_s))
        return qn, [Send(data), *self._move(request, Event.ASKS)]

    def tick(self, now: float) -> list[Output]:
        """Ask again what is late; give up what was asked often enough or takes too long."""
        outputs: list[Output] = []
        for request in [one for one in self._open.values() if one.retry.due(now)]:
            again = request.retry.again(now, self._timing) if request.state is State.ASKED else None
            outputs += [again] if again else []
            outputs += self._move(request, Event.LATE_AGAIN if again else Event.LATE)
        return outputs

    def end(self) -> list[Output]:
        """The link is gone: so is every request."""
        return [output for one in list(self._open.values()) for output in self._move(one, Event.DISCONNECTED)]

    def take(self, message: Message, command: Command, now: float) -> list[Output] | None:
        """What a message does that carries the number of a request, None where it belongs to none."""
        request = self._open.get(message.qn)
        if request is None or request.message.mn != message.mn or command.problem(message):
            return None
        event = _event(request, message)
        if event is None or after(Machine.ASKED, request.state, event) is None:
            return None
        if event is Event.DATA:
            # The same data again: the station answered a request that was asked twice.
            if message.area not in request.data and len(request.data) < DATA_MAX:
                request.data.append(message.area)
        elif event is not Event.NOTICED:
            request.code = _code(message)
        return self._move(request, event, now)

    def progress(self, message: Message, now: float) -> None:
        """An upload that lies inside the range a request asked for: its station is still at work."""
        for request in self._open.values():
            if _inside(request.message, message) and request.state is State.EXECUTING:
                self._move(request, Event.PROGRESS, now)

    def _move(self, request: _Request, event: Event, now: float | None = None) -> list[Output]:
        state = after(Machine.ASKED, request.state, event)
        assert state is not None, (request.state, event)
        request.state = state
        if state not in _ENDS:
            if now is not None:
                request.retry.deadline = now + self._execution(request.message.cn)
            return []
        message = request.message
        del self._open[message.qn]
        return [RequestEnded(message.qn, message.mn, message.cn, state.value, request.code, tuple(request.data))]

    def _execution(self, cn: str) -> float:
        """How long a station may be silent after its 9011 (own reading: the standard prints no value)."""
        given = self._execution_s
        if isinstance(given, Mapping):
            if cn in given:
                return given[cn]
            given = None
        usual = max(3 * self._timing.overtime_s, EXECUTION_MIN_S) if given is None else given
        return max(EXECUTION_S.get(cn, 0.0), usual)


def _event(request: _Request, message: Message) -> Event | None:
    """What a message says to a request, None where it says nothing to it."""
    if message.st != REPLY_ST:
        return Event.DATA if message.cn == request.message.cn else None
    code = _code(message)
    match message.cn:
        case "9011" if code is not None:
            return Event.READY if code == QnRtn.READY else Event.TURNED_DOWN
        case "9012" if code is not None:
            return Event.SUCCESS if code == 1 else Event.FAILURE
        case "9013" if request.command.dialogue == "notice":
            return Event.NOTICED
    return None


def _code(message: Message) -> int | None:
    text = message.value("QnRtn" if message.cn == "9011" else "ExeRtn") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else None


def _inside(asked: Message, upload: Message) -> bool:
    if asked.cn != upload.cn or asked.mn != upload.mn:
        return False
    begin, end = asked.value("BeginTime"), asked.value("EndTime")
    return begin is not None and end is not None and begin <= (upload.value("DataTime") or "")[:14] <= end


class StartUp:
    """The orders of HJ 212-2017 6.3 for a station that has just come, one after the other: time, time-outs, intervals.

    A 1012 with an empty data area gets the time of its sending. Orders that a station's edition does not have are left
    out; a station that leaves one unanswered gets no more.
    """

    def __init__(self, orders: Startup, requests: Requests, world: Callable[[], datetime]) -> None:
        """Raises ValueError for an order that fits no edition."""
        self._orders = orders
        self._requests = requests
        self._world = world
        self._seen: set[str] = set()
        self._left: dict[str, deque[tuple[str, Area]]] = {}
        self._running: dict[str, str] = {}
        for order in orders:
            if not any(self._fits(order, edition, "31") for edition in Edition):
                raise ValueError(f"start-up: no edition has the order {order[0]} with these fields")

    def _fits(self, order: tuple[str, Area], edition: Edition, st: str) -> bool:
        cn, area = order
        command = commands(edition).get((cn, "to_station"))
        return command is not None and not command.problem(Message("", st, cn, "", "", 5, self._area(cn, area)))

    def _area(self, cn: str, area: Area) -> Area:
        return area if area or cn != "1012" else ((("SystemTime", render_time(self._world())),),)

    def seen(self, station: Identity, now: float) -> list[Output]:
        """A good frame came of that station."""
        mn = station.mn
        if mn not in self._seen:
            self._seen.add(mn)
            self._left[mn] = deque(one for one in self._orders if self._fits(one, station.edition, station.st))
        return self._next(station, now) if mn in self._left and mn not in self._running.values() else []

    def ended(self, ended: RequestEnded, station: Identity | None, now: float) -> list[Output]:
        """A request ended: go on where it was one of these."""
        mn = self._running.pop(ended.qn, None)
        if mn is None:
            return []
        if station is None or ended.outcome in (State.UNANSWERED, State.LOST):
            del self._left[mn]
            return []
        return self._next(station, now)

    def _next(self, station: Identity, now: float) -> list[Output]:
        left = self._left[station.mn]
        if not left:
            del self._left[station.mn]
        if not left or self._requests.full:
            # Where there is no room the next frame of that station tries again.
            return []
        cn, area = left.popleft()
        qn, outputs = self._requests.ask(station, cn, self._area(cn, area), now)
        self._running[qn] = station.mn
        return outputs
