"""Two sessions over a line that loses, repeats, reorders and damages: each upload is in the store exactly once."""

import heapq
import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.hj212.message import Area, Item
from protocols.hj212.platform import PlatformSession
from protocols.hj212.profile import Profile
from protocols.hj212.service import StationState
from protocols.hj212.session import (
    Delivered,
    Failed,
    Identity,
    Notified,
    Output,
    PartsMissing,
    RequestEnded,
    Send,
    Timing,
    Uploaded,
)
from protocols.hj212.station import StationSession

T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
KEY = b"0123456789abcdef"
UPLOADS = 8


class Line:
    """Two sessions in simulated time; what one sends may reach the other late, never, twice, or damaged."""

    def __init__(self, edition: int, keys: tuple[bytes, ...], seed: int, bad: float) -> None:
        mn = "0100B1F2A00002" if edition == 2005 else "0100B1F2A00002A00000007B"
        me = Identity(mn, "123456", profile=Profile.strict(edition), keys=keys)
        self.dice, self.bad, self.now = random.Random(seed), bad, 0.0
        beat = 60.0 if edition == 2025 else None
        self.station = StationSession(me, StationState(Timing(10.0, 3)), self.world, heartbeat_s=beat)
        self.platform = PlatformSession({mn: me}, self.world)
        self.mn = mn
        self.flying: list[tuple[float, int, Any, bytes]] = []
        self.number = itertools.count()
        self.handed_over: Counter[bytes] = Counter()
        self.store: dict[tuple[str, str, int | None], Area] = {}
        self.delivered: set[object] = set()
        self.failed: list[object] = []
        self.others: list[Output] = []

    def world(self) -> datetime:
        return T0 + timedelta(seconds=self.now)

    def send(self, to: Any, data: bytes) -> None:
        for _ in range(2 if self.dice.random() < self.bad / 2 else 1):
            if self.dice.random() >= self.bad:
                late = self.dice.uniform(0.01, 15.0 if self.dice.random() < self.bad else 0.1)
                heapq.heappush(self.flying, (self.now + late, next(self.number), to, self.damaged(data)))

    def damaged(self, data: bytes) -> bytes:
        if self.dice.random() >= self.bad / 2:
            return data
        at = self.dice.randrange(len(data))
        kind = self.dice.randrange(4)
        if kind == 0:
            return data[:at] + bytes([data[at] ^ (1 << self.dice.randrange(8))]) + data[at + 1 :]
        if kind == 1:
            return data[:at]
        if kind == 2:
            return self.dice.randbytes(5) + data
        return data[:at] + b"##" + data[at:]

    def perform(self, end: Any, outputs: list[Output]) -> None:
        other = self.platform if end is self.station else self.station
        for output in outputs:
            match output:
                case Send(data):
                    self.send(other, data)
                case Uploaded(message):
                    self.handed_over[message.raw] += 1
                    self.store[message.cn, message.value("DataTime") or "", message.pno] = message.area
                    if self.dice.random() >= self.bad:
                        self.perform(end, self.platform.accepted(message))
                    else:
                        # The commit takes its time.
                        heapq.heappush(self.flying, (self.now + 5.0, next(self.number), message, b""))
                case Delivered(key):
                    self.delivered.add(key)
                case Failed(key):
                    self.failed.append(key)
                case _:
                    self.others.append(output)

    def step(self) -> bool:
        """Go on to whatever is next; False where nothing is."""
        times = [time for time in (self.station.deadline, self.platform.deadline) if time is not None]
        times += [self.flying[0][0]] if self.flying else []
        if not times:
            return False
        self.now = max(self.now, min(times))
        while self.flying and self.flying[0][0] <= self.now:
            _, _, to, data = heapq.heappop(self.flying)
            if to is self.station or to is self.platform:
                self.perform(to, to.receive(data, self.now))
            else:
                self.perform(self.platform, self.platform.accepted(to))
        for end in (self.station, self.platform):
            self.perform(end, end.tick(self.now))
        return True

    def quiet(self) -> None:
        """Let everything that waits come to its end; the line is good now."""
        self.bad = 0.0
        self.perform(self.station, self.station.end(self.now))
        while self.flying or self.platform.deadline is not None or self.station._outgoing.deadline is not None:
            self.step()

    def leaks(self) -> list[object]:
        """Whatever a session still holds that should be gone."""
        station, platform = self.station, self.platform
        held = [
            station._outgoing._sent, station._service._open, platform._pending, platform._requests._open,
            platform._parts._sets,
        ]  # fmt: skip
        return [one for one in held if one] + ([platform._parts._bytes] if platform._parts._bytes else [])


def upload(number: int, *, split: bool) -> tuple[str, datetime, tuple[Item, ...]]:
    count = 40 if split and number % 2 else 1
    items = tuple(((f"a{n:05d}-Avg", f"{number}.{n}"), (f"a{n:05d}-Flag", "N")) for n in range(count))
    return ("2051", "2061", "2031")[number % 3], T0 + timedelta(minutes=number), items


def stored(run: Line) -> dict[tuple[str, str], list[Item]]:
    found: dict[tuple[str, str], list[Item]] = {}
    for (cn, at, _), area in sorted(run.store.items(), key=lambda one: (one[0][0], one[0][1], one[0][2] or 0)):
        found.setdefault((cn, at), []).extend(area[1:])
    return found


def deliver(run: Line, *, split: bool) -> None:
    """As an owner does it: what failed is submitted again, later and as resent, until it is delivered."""
    waiting = [(number, False) for number in range(UPLOADS)]
    asked = 0
    for _ in range(3_000):
        while waiting and run.station.free:
            number, resent = waiting.pop(0)
            cn, at, items = upload(number, split=split)
            run.perform(run.station, run.station.submit(number, cn, at, items, run.now, resent=resent))
        if asked < 3 and run.now >= 20.0 * asked:
            asked += 1
            run.perform(run.platform, run.platform.request(run.mn, "1061", (), run.now)[1])
        if not run.step():
            run.now += 1.0
        waiting += [(key, True) for key in run.failed if isinstance(key, int)]
        run.failed.clear()
        if len(run.delivered) == UPLOADS and asked == 3:
            return
    raise AssertionError(f"only {len(run.delivered)} delivered")


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
@pytest.mark.parametrize(
    ("edition", "keys"), [(2005, ()), (2017, ()), (2025, ()), (2025, (KEY,))], ids=["2005", "2017", "2025", "sm4"]
)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), bad=st.floats(0.0, 0.4))
def test_each_upload_is_in_the_store_exactly_once(
    edition: int, keys: tuple[bytes, ...], split: bool, seed: int, bad: float
) -> None:
    run = Line(edition, keys, seed, bad)
    deliver(run, split=split)
    run.quiet()
    expected = {}
    for number in range(UPLOADS):
        cn, at, items = upload(number, split=split)
        expected[cn, (at + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")] = list(items)
    assert stored(run) == expected
    # The same frame never twice, however often it came.
    assert set(run.handed_over.values()) == {1}
    ended = [one for one in run.others if isinstance(one, RequestEnded)]
    assert len(ended) == 3
    assert {one.outcome for one in ended} <= {"done", "unanswered", "failed"}
    assert run.leaks() == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), bad=st.floats(0.0, 0.5))
def test_requests_are_executed_once_and_notices_told_once(seed: int, bad: float) -> None:
    run = Line(2017, (), seed, bad)
    for number in range(4):
        run.perform(run.station, run.station.notify(number, "1013", (), run.now))
        area: Area = ((("RtdInterval", str(60 + number)),),)
        run.perform(run.platform, run.platform.request(run.mn, "1062", area, run.now)[1])
    run.now += 1.0
    for _ in range(200):
        run.step()
    run.quiet()
    acts = [one for one in run.others if type(one).__name__ == "Commanded" and getattr(one, "result", "") == "done"]
    assert len({one.qn for one in acts}) == len(acts)
    notices = [one for one in run.others if isinstance(one, Notified)]
    assert len({one.message.qn for one in notices}) == len(notices)
    done = {one.qn for one in run.others if isinstance(one, RequestEnded) and one.outcome == "done"}
    assert done <= {one.qn for one in acts}
    assert len(run.delivered) + len(run.failed) == 4
    assert run.leaks() == []


def test_a_line_that_is_cut_in_a_set_of_parts_leaves_nothing_behind() -> None:
    run = Line(2017, (), 1, 0.0)
    cn, at, items = upload(1, split=True)
    run.perform(run.station, run.station.submit("k", cn, at, items, 0.0))
    run.step()
    run.flying.clear()
    run.perform(run.platform, run.platform.end(run.now))
    run.station.disconnected()
    assert [type(one) for one in run.others] == [PartsMissing]
    assert run.leaks() == []
