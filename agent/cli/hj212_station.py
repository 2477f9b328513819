"""`plumeline hj212 station`: a station to try a platform against. What it sends was never measured, and says so."""

import argparse
import asyncio
import sys
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.cli.hj212_answers import Answers
from agent.cli.hj212_encode import UsageError, command_for, password, values_of
from agent.cli.hj212_samples import FACTORS, Asked, sample
from agent.cli.hj212_show import Show, TappedLink, Typed, Words, profile, until_interrupted
from agent.cli.words import say
from host.address import is_loopback
from host.clock import RealClock
from host.hj212 import keep_connected, until_first_ends
from host.problems import Lang
from metrology.clock import Clock
from protocols.hj212 import Edition, Message, StationSession
from protocols.hj212.commands import commands
from protocols.hj212.message import Area
from protocols.hj212.service import StationState
from protocols.hj212.session import Commanded, Delivered, Failed, Identity, Output, Requested, Timing, Unexpected
from protocols.hj212.tables.fields import number
from protocols.hj212.times import parse_time

WAITING_MAX: Final = 1000
WINDOW: Final = 4
TRIES_MAX: Final = 3
EVERYTHING: Final = "all"


def station(line: argparse.Namespace) -> int:
    """Connect and upload until Ctrl-C; 2 where the command line cannot be."""
    try:
        if line.mn is None:
            raise UsageError(say("hj212.no-mn", line.lang))
        if not (line.known or is_loopback(line.host)):
            raise UsageError(say("hj212.not-measured", line.lang, host=line.host))
        keys = () if line.key is None else (line.key,)
        identity = Identity(line.mn, password(line), line.st, profile(line), keys)
        return until_interrupted(Station(line, identity, factors_of(line.value, line.lang), RealClock()).run())
    except (UsageError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def factors_of(values: list[str], lang: Lang) -> dict[str, float]:
    """Means of the factors by code, those made up where none is given. Raises UsageError."""
    found: dict[str, float] = {}
    for text in values:
        code, _, value = text.partition("=")
        mean = number(value)
        if mean is None or not code.isalnum():
            raise UsageError(say("hj212.bad-value", lang, value=text))
        found[code] = mean
    return found or FACTORS


@dataclass(slots=True)
class Upload:
    """Something to be told to the platform: an upload, a notice, or a record inside the answer to `request`."""

    cn: str
    at: datetime
    area: Area
    notice: bool = False
    request: str | None = None
    resent: bool = False
    failed: int = 0


class _Watched(StationSession):
    """A session whose incoming frames are shown first."""

    link: TappedLink

    def receive(self, data: bytes, now: float) -> list[Output]:
        self.link.incoming.pass_on(data)
        return super().receive(data, now)


class Station:
    """One outlet on one platform: what it has to tell waits here until it was acknowledged, over any outage."""

    def __init__(
        self, line: argparse.Namespace, identity: Identity, factors: Mapping[str, float], clock: Clock
    ) -> None:
        self._line, self._factors, self._clock = line, factors, clock
        self.show = Show(line.lang, as_json=line.json)
        asked = {cn for cn, way in commands(identity.edition) if way == "to_station"}
        allowed = asked if EVERYTHING in line.allow else asked & set(line.allow)
        self._state = StationState(Timing(line.overtime, line.recount), line.interval or 30)
        self.session = _Watched(
            identity,
            self._state,
            clock.now,
            allowed=frozenset(allowed),
            window=WINDOW,
            handled=frozenset(asked),
            heartbeat_s=line.heartbeat,
        )
        self._answers = Answers(self, self._state, clock)
        self._typed = Typed(line.send)
        self._waiting: OrderedDict[Hashable, Upload] = OrderedDict()
        self._under_way: set[Hashable] = set()
        self._numbers = 0
        self._link: TappedLink | None = None

    @property
    def edition(self) -> Edition:
        """The edition it writes."""
        return self.session.identity.edition

    async def run(self) -> None:
        """Until it is cancelled."""
        self.show.happened("simulated", factors=", ".join(self._factors))
        if ("2081", "to_platform") in commands(self.edition):
            self._measured("2081", self._clock.now())
        with self._typed.listening():
            await until_first_ends(
                keep_connected(
                    self._line.host, self._line.port, self._clock, self._carry, self._trouble, first_s=self._line.retry
                ),
                self._obey(),
                self._measure(),
            )

    def _trouble(self, why: str) -> None:
        self.show.happened("trouble", why=why)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        session = self.session
        link = self._link = session.link = TappedLink(
            session, reader, writer, self._clock, self._take, self.show, lambda _: session.identity.keys
        )
        self.show.happened("connected", peer=link.peer)
        try:
            self._pump()
            await link.run()
        finally:
            self._link = None
            session.disconnected()
            self._lost()
            self.show.happened("disconnected", peer=link.peer)
        return True

    def _lost(self) -> None:
        """What was under way is told again later; records of a request that nobody waits for any more are not."""
        self._under_way.clear()
        for key, upload in list(self._waiting.items()):
            if upload.request is not None:
                del self._waiting[key]
            else:
                upload.resent = True
        self._answers.forget()

    async def _measure(self) -> None:
        while self._line.interval:
            now = self._clock.now()
            if self._state.realtime_on:
                self._measured("2011", now)
            if self._state.status_on:
                self._measured("2021", now)
            await self._clock.sleep(self._state.realtime_s)
        await asyncio.Event().wait()

    async def _obey(self) -> None:
        while True:
            cn, *items = await self._typed.next()
            try:
                self._type(cn, tuple(items))
            except (UsageError, ValueError) as error:
                self.show.happened("mistyped", cn=cn, why=str(error))

    def _type(self, cn: str, items: Words) -> None:
        """Tell what a person typed. Raises UsageError or ValueError."""
        lang = self.show.lang
        command = command_for(self.edition, cn, "to_platform", lang)
        if command.dialogue not in ("upload", "notice"):
            raise UsageError(say("hj212.not-begun", lang, cn=cn))
        given = {name: values[0] for name, values in values_of(items, lang).items()}
        at = parse_time(given["DataTime"]) if "DataTime" in given else self._clock.now()
        asked = Asked(self._factors, given.get("PolId"))
        self.tell(cn, at, sample(command, self.session.identity.st, at, asked, given))

    def tell(self, cn: str, at: datetime, area: Area, request: str | None = None) -> None:
        """Queue an upload or notice for that time."""
        self._numbers += 1
        notice = commands(self.edition)[cn, "to_platform"].dialogue == "notice"
        self._waiting[self._numbers] = Upload(cn, at, area, notice, request)
        if len(self._waiting) > WAITING_MAX:
            oldest, lost = self._waiting.popitem(last=False)
            self._under_way.discard(oldest)
            self.show.happened("dropped", cn=lost.cn)
        self._pump()

    def area(self, cn: str, at: datetime, asked: Message | None) -> Area:
        """Data of a command to the platform, all made up, of what a request asks for. Raises ValueError."""
        pol_id, info_id = (asked.value(name) if asked else None for name in ("PolId", "InfoId"))
        command = commands(self.edition)[cn, "to_platform"]
        return sample(command, self.session.identity.st, at, Asked(self._factors, pol_id, info_id), {})

    def _measured(self, cn: str, at: datetime) -> None:
        self.tell(cn, at, self.area(cn, at, None))

    def _pump(self) -> None:
        """Hand over what waits, as far as the session has room."""
        for key, upload in list(self._waiting.items()):
            if self._link is None or len(self._under_way) >= WINDOW:
                return
            if key in self._under_way:
                continue
            self._under_way.add(key)
            now = self._link.now
            if upload.notice:
                self._link.perform(self.session.notify(key, upload.cn, upload.area, now))
            else:
                items = [item for item in upload.area if item[0][0] != "DataTime"]
                resent = upload.resent and self.edition is Edition.HJ2025
                self._link.perform(self.session.submit(key, upload.cn, upload.at, items, now, resent=resent))

    def perform(self, outputs: list[Output]) -> None:
        """Do what the session said, while there is a link."""
        if self._link is not None:
            self._link.perform(outputs)

    def _take(self, output: Output) -> None:
        match output:
            case Delivered(key):
                self._ended(key, "delivered")
            case Failed(key):
                self._failed(key, output)
            case Requested(message):
                self._answers.answer(message)
            case Commanded(qn, cn, _, result):
                self.show.happened("commanded", qn=qn, cn=cn, result=result)
            case Unexpected(message):
                self.show.happened("unexpected", mn=message.mn, cn=message.cn, qn=message.qn)
        self._pump()

    def _failed(self, key: Hashable, failed: Failed) -> None:
        """An upload or heartbeat without the right answer: a link on which nothing else was answered is of no use."""
        upload = self._waiting.get(key)
        self.show.happened("unanswered", cn=upload.cn if upload else "9015", why=failed.reason)
        if upload is not None:
            self._under_way.discard(key)
            upload.resent = True
            upload.failed += 1
            if upload.failed >= TRIES_MAX:
                self._ended(key, "given-up")
        if self._link is not None and not failed.others_answered:
            self._link.abort()

    def _ended(self, key: Hashable, how: str) -> None:
        """An upload is done with."""
        self._under_way.discard(key)
        upload = self._waiting.pop(key)
        self.show.happened(how, cn=upload.cn, resent=upload.resent)
        if upload.request is not None and all(other.request != upload.request for other in self._waiting.values()):
            self._answers.complete(upload.request)
