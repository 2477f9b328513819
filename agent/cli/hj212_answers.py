"""What a test station answers to a platform's requests: believable data of the right layout, acts at once."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from agent.cli.hj212_line import sm4_key
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

    def area(self, cn: str, at: datetime, asked: Message | None) -> Area:
        """Data of a command to the platform. Raises ValueError."""

    def tell(self, cn: str, at: datetime, area: Area, request: str | None = None) -> None:
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
        try:
            if "records" in returns and message.value("BeginTime") is not None:
                self._records(message)
            elif "answer" in returns:
                area = self._owner.area(message.cn, self._clock.now(), message)
                self._owner.perform(self._owner.session.answer(message.qn, area))
                self._finish(message.qn, ExeRtn.DONE)
            else:
                self._act(message)
        except ValueError:
            # A code or a secret of the platform's that fits no data area of ours.
            self._finish(message.qn, ExeRtn.CONDITION)

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

    def _records(self, message: Message) -> None:
        records = [(at, self._owner.area(message.cn, at, message)) for at in self._labels(message)]
        if not records:
            self._finish(message.qn, ExeRtn.NO_DATA)
            return
        self._open.add(message.qn)
        for at, area in records:
            self._owner.tell(message.cn, at, area, message.qn)

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

    def _act(self, message: Message) -> None:
        session, now = self._owner.session, self._clock.now()
        change = _CHANGES.get(message.cn, _unchanged)
        identity = change(session.identity, {name: value for item in message.area for name, value in item})
        # The answer still goes out under the old name, password and key.
        self._finish(message.qn, ExeRtn.DONE)
        session.identity = identity
        follows = _FOLLOWS.get(message.cn)
        if follows is not None and (follows, "to_platform") in commands(self._owner.edition):
            self._owner.tell(follows, now, self._owner.area(follows, now, message))


def _unchanged(me: Identity, _: Mapping[str, str]) -> Identity:
    return me


def _new_password(me: Identity, values: Mapping[str, str]) -> Identity:
    return dataclasses.replace(me, pw=values.get("NewPW") or values["PW"])


def _new_key(me: Identity, values: Mapping[str, str]) -> Identity:
    return dataclasses.replace(me, keys=(sm4_key(values["NewSK"]), *me.keys[:1]))


def _new_mn(me: Identity, values: Mapping[str, str]) -> Identity:
    return dataclasses.replace(me, mn=values["MN"])


# Requests after which a station is known otherwise. It is so until it ends: nothing is written to disk.
_CHANGES: Final[Mapping[str, Callable[[Identity, Mapping[str, str]], Identity]]] = {
    "1002": _new_mn,
    "1014": _new_key,
    "1072": _new_password,
}
