"""Commands that set or tell the state of a link alone; a station's session executes them itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from protocols.hj212.message import Area, Message
from protocols.hj212.session import Timing
from protocols.hj212.times import render_time

# Table 4, MinInterval: divisors of the hour.
MINUTES: Final = frozenset({1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30})


@dataclass(slots=True)
class StationState:
    """What a platform may change on a link; kept beyond one connection. `minute_min` paces 2051, in minutes."""

    timing: Timing = field(default_factory=Timing)
    realtime_s: int = 30
    realtime_on: bool = True
    status_on: bool = True
    minute_min: int = 1


World = Callable[[], datetime]


def executes(message: Message) -> bool:
    """True for a command of the link itself: not for the time of one analyser, nor for a range of records."""
    if message.cn == "1011":
        return message.value("PolId") is None
    return message.cn in _COMMANDS and message.value("BeginTime") is None


def reads(message: Message) -> bool:
    """True where the command changes nothing."""
    return message.cn in ("1011", "1061", "1063")


def problem(message: Message) -> str | None:
    """What the field table cannot say of its values."""
    if message.cn == "1064" and _integer(message, "MinInterval") not in MINUTES:
        return "MinInterval does not divide the hour"
    return None


def execute(message: Message, state: StationState, world: World) -> Area:
    """Do it; gives the data it asks for, empty where it asks for none."""
    return _COMMANDS[message.cn](message, state, world)


def _set_timing(message: Message, state: StationState, _: World) -> Area:
    state.timing = Timing(float(_integer(message, "OverTime")), _integer(message, "ReCount"))
    return ()


def _time(_: Message, __: StationState, world: World) -> Area:
    return ((("SystemTime", render_time(world())),),)


def _realtime(_: Message, state: StationState, __: World) -> Area:
    return ((("RtdInterval", str(state.realtime_s)),),)


def _set_realtime(message: Message, state: StationState, _: World) -> Area:
    state.realtime_s = _integer(message, "RtdInterval")
    return ()


def _minute(_: Message, state: StationState, __: World) -> Area:
    return ((("MinInterval", str(state.minute_min)),),)


def _set_minute(message: Message, state: StationState, _: World) -> Area:
    state.minute_min = _integer(message, "MinInterval")
    return ()


def _switch(name: str, on: bool) -> Callable[[Message, StationState, World], Area]:
    def act(_: Message, state: StationState, __: World) -> Area:
        setattr(state, name, on)
        return ()

    return act


def _integer(message: Message, name: str) -> int:
    return int(message.value(name) or "0")


_COMMANDS: Final[Mapping[str, Callable[[Message, StationState, World], Area]]] = {
    "1000": _set_timing,
    "1011": _time,
    "1061": _realtime,
    "1062": _set_realtime,
    "1063": _minute,
    "1064": _set_minute,
    "2011": _switch("realtime_on", True),
    "2012": _switch("realtime_on", False),
    "2021": _switch("status_on", True),
    "2022": _switch("status_on", False),
}
