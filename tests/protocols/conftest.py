"""Both ends of an HJ 212 link against each other in one thread; time is a number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from protocols.hj212.message import Area, Item
from protocols.hj212.platform import PlatformSession
from protocols.hj212.profile import Profile
from protocols.hj212.service import StationState
from protocols.hj212.session import Identity, Output, Requested, RequestEnded, Send, Uploaded
from protocols.hj212.station import StationSession

MN = {2005: "0100B1F2A00002", 2017: "0100B1F2A00002A00000007B", 2025: "010000A8900016F000169DC0"}
T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
ITEMS: tuple[Item, ...] = ((("a05001-Avg", "181500.0"), ("a05001-Flag", "N")),)


def identity(edition: int = 2017, *keys: bytes, **changes: Any) -> Identity:
    return Identity(**{"mn": MN[edition], "pw": "123456", "profile": Profile.strict(edition), "keys": keys} | changes)


@dataclass
class Line:
    """Both sessions, the outputs of each, and a line between them that `lose` may cut."""

    station: StationSession
    platform: PlatformSession
    stations: dict[str, Identity]
    lose: Callable[[bytes], bool] = lambda _: False
    commit: bool = True
    now: float = 0.0
    at_station: list[Output] = field(default_factory=list)
    at_platform: list[Output] = field(default_factory=list)
    up: list[bytes] = field(default_factory=list)
    down: list[bytes] = field(default_factory=list)

    def from_station(self, outputs: list[Output]) -> None:
        for output in outputs:
            if not isinstance(output, Send):
                self.at_station.append(output)
                continue
            self.up.append(output.data)
            if not self.lose(output.data):
                self.from_platform(self.platform.receive(output.data, self.now))

    def from_platform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Uploaded) and self.commit:
                self.at_platform.append(output)
                self.from_platform(self.platform.accepted(output.message))
            elif not isinstance(output, Send):
                self.at_platform.append(output)
            else:
                self.down.append(output.data)
                if not self.lose(output.data):
                    self.from_station(self.station.receive(output.data, self.now))

    def wait(self) -> bool:
        """Let time pass to the next deadline; False where nobody waits."""
        deadlines = [d for d in (self.station.deadline, self.platform.deadline) if d is not None]
        if not deadlines:
            return False
        self.now = max(self.now, min(deadlines))
        self.from_station(self.station.tick(self.now))
        self.from_platform(self.platform.tick(self.now))
        return True

    def submit(
        self, key: object = "k", cn: str = "2051", items: tuple[Item, ...] = ITEMS, at: datetime = T0, **how: bool
    ) -> None:
        self.from_station(self.station.submit(key, cn, at, items, self.now, **how))

    def notify(self, cn: str, area: Area = (), key: object = "k") -> None:
        self.from_station(self.station.notify(key, cn, area, self.now))

    def ask(self, cn: str, area: Area = ()) -> str:
        """Ask; gives the number of the request."""
        qn, outputs = self.platform.request(self.station.identity.mn, cn, area, self.now)
        self.from_platform(outputs)
        return qn

    def asked(self, cn: str, area: Area = ()) -> RequestEnded:
        """Ask and wait until it ended."""
        self.ask(cn, area)
        while not self.ended and self.wait():
            pass
        ended = self.ended.pop()
        self.at_platform.remove(ended)
        return ended

    @property
    def ended(self) -> list[RequestEnded]:
        return [one for one in self.at_platform if isinstance(one, RequestEnded)]

    def requested(self) -> Requested:
        """Take the oldest request that waits for its owner."""
        wish = next(one for one in self.at_station if isinstance(one, Requested))
        self.at_station.remove(wish)
        return wish

    def finish(self, wish: Requested, code: int, *areas: Area) -> None:
        for area in areas:
            self.from_station(self.station.answer(wish.qn, area))
        self.from_station(self.station.finish(wish.qn, code))


def line(
    edition: int = 2017,
    *keys: bytes,
    me: Identity | None = None,
    enrolled: Identity | None = None,
    state: StationState | None = None,
    platform: Mapping[str, Any] | None = None,
    **station: Any,
) -> Line:
    """A link of one station and its platform; `enrolled` where the platform knows it otherwise than it is."""
    me = me or identity(edition, *keys)
    stations = {me.mn: enrolled or me}
    session = StationSession(me, state or StationState(), lambda: T0, **station)
    return Line(session, PlatformSession(stations, lambda: T0, **(platform or {})), stations)


@pytest.fixture(name="line")
def _line() -> Callable[..., Line]:
    return line


@pytest.fixture(name="identity")
def _identity() -> Callable[..., Identity]:
    return identity
