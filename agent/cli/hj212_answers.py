"""What a test station answers to a platform's requests: believable data of the right layout, acts at once."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from agent.cli.hj212_line import key
from metrology.clock import Clock
from metrology.periods import DAY_S, HOUR_S, MINUTE_S
from protocols.hj212 import Edition, Message, StationSession
from protocols.hj212.commands import ExeRtn, commands
from protocols.hj212.message import Area
from protocols.hj212.service import StationState
from protocols.hj212.session import Identity, Output
from protocols.hj212.times import parse_time

# A request for years is answered with its first records.
RECORDS_MAX: Final = 100
_PERIOD_S: Final = {"2031": DAY_S, "2041": DAY_S, "2051": MINUTE_S}
# What an act brings by itself a moment later.
_FOLLOWS: Final = {"3022": "3015", "3024": "2062"}
_CHINA_S: Final = 8 * HOUR_S


class Owner(Protocol):
    """The station that answers."""

    @property
    def session(self) -> StationSession:
        """Its link to the platform."""

    @property
    def edition(self) -> Edition:
        """The edition it writes."""

    def area(self, cn: str, at: datetime, given: Mapping[str, str]) -> Area:
        """Data of a command to the platform."""

    def tell(self, cn: str, at: datetime, given: Mapping[str, str] | None = None, request: str | None = None) -> None:
        """Queue an upload."""

    def perform(self, outputs: list[Output]) -> None:
        """Do what the session said."""


class Answers:
    """Executes what the session handed over: `answer` begins a request, `complete` ends one whose records are sent."""

    def __init__(self, owner: Owner, state: StationState, clock: Clock) -> None:
        self._owner, self._state, self._clock = owner, state, clock
        self._open: set[str] = set()

    def answer(self, message: Message) -> None:
        """Answer a request: by records, by one message, or by doing as told."""
        command = commands(self._owner.edition)[message.cn, "to_station"]
        returns = frozenset().union(*(form.returns for form in command.forms))
        given = {name: value for name in ("PolId", "InfoId") if (value := message.value(name)) is not None}
        if "records" in returns and message.value("BeginTime") is not None:
            self._records(message, given)
        elif "answer" in returns:
            area = self._owner.area(message.cn, self._clock.now(), given)
            self._owner.perform(self._owner.session.answer(message.qn, area))
            self._finish(message.qn, ExeRtn.DONE)
        else:
            self._act(message, given)

    def complete(self, qn: str) -> None:
        """All records of that request were acknowledged, or given up."""
        if qn in self._open:
            self._open.discard(qn)
            self._finish(qn, ExeRtn.DONE)

    def forget(self) -> None:
        """The link is gone, and with it everybody who waited for an answer: what is said now goes nowhere."""
        for qn in self._open:
            self._owner.session.finish(qn, ExeRtn.FAILED)
        self._open.clear()

    def _finish(self, qn: str, code: int) -> None:
        self._owner.perform(self._owner.session.finish(qn, code))

    def _records(self, message: Message, given: Mapping[str, str]) -> None:
        labels = list(self._labels(message))
        if not labels:
            self._finish(message.qn, ExeRtn.NO_DATA)
            return
        self._open.add(message.qn)
        for at in labels:
            self._owner.tell(message.cn, at, given, message.qn)

    def _labels(self, message: Message) -> Iterator[datetime]:
        """Starts of the periods asked for, both ends included (UTC+8); none of a time to come."""
        begin, end = (parse_time(message.value(name) or "") for name in ("BeginTime", "EndTime"))
        step = _PERIOD_S.get(message.cn, HOUR_S)
        if message.cn == "2051":
            step *= self._state.minute_min
        at = begin + timedelta(seconds=-(begin.timestamp() + _CHINA_S) % step)
        for _ in range(RECORDS_MAX):
            if at > min(end, self._clock.now()):
                return
            yield at
            at += timedelta(seconds=step)

    def _act(self, message: Message, given: Mapping[str, str]) -> None:
        self._finish(message.qn, ExeRtn.DONE)
        session = self._owner.session
        if change := _CHANGES.get(message.cn):
            session.identity = change(session.identity, {name: v for item in message.area for name, v in item})
        follows = _FOLLOWS.get(message.cn)
        if follows is not None and (follows, "to_platform") in commands(self._owner.edition):
            self._owner.tell(follows, self._clock.now(), {k: v for k, v in given.items() if k != "PolId"})


def _new_password(me: Identity, values: Mapping[str, str]) -> Identity:
    return dataclasses.replace(me, pw=values.get("NewPW") or values["PW"])


def _new_key(me: Identity, values: Mapping[str, str]) -> Identity:
    return dataclasses.replace(me, keys=(key(values["NewSK"]), *me.keys[:1]))


def _new_mn(me: Identity, values: Mapping[str, str]) -> Identity:
    return dataclasses.replace(me, mn=values["MN"])


# Requests after which a station is known otherwise. It is so until it ends: nothing is written to disk.
_CHANGES: Final[Mapping[str, Callable[[Identity, Mapping[str, str]], Identity]]] = {
    "1002": _new_mn,
    "1014": _new_key,
    "1072": _new_password,
}
