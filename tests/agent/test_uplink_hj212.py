"""The HJ 212 uplink on a real log and real TCP against the platform's own end."""

import asyncio
import base64
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.config import Station
from agent.config_hj212 import Hj212Uplink as Config
from agent.store.log import Log, Place, Record
from agent.uplinks.hj212 import Hj212Uplink
from agent.uplinks.hj212_entries import Progress, Selection
from agent.uplinks.hj212_outbox import ASIDE_MAX, ASIDE_RETRY_S, Outbox
from agent.values.live import Live
from host.clock import AcceleratedClock, RealClock
from host.hj212 import Link
from host.hj212_server import PlatformServer
from host.shapes import Position
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading
from protocols.hj212.platform import PlatformSession
from protocols.hj212.session import Identity, Output, Uploaded
from protocols.record import averages_fields, encode
from protocols.tlog import signer_from_seed

MN = "0100B1F2A00002A00000007B"
PASSWORD = "pw9x7q"
T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/stack-01")
EVENTS = frozenset({"event"})

Clock = RealClock | AcceleratedClock


def config(port: int, **changes: object) -> Config:
    fields: dict[str, object] = {
        "kind": "hj212", "host": "127.0.0.1", "port": port, "outlet": "stack", "mn": MN, "pw": {"file": "pw"},
        "overtime_s": 1, "recount": 1,
        "factors": {
            "a21026": {"series": "stack.so2"},
            "a05001": {"series": "stack.co2", "unit": "mg/m3", "decimals": 1, "state": "stack-dry"},
        },
    }  # fmt: skip
    return Config.model_validate(fields | changes)


def station(*, simulated: bool = False) -> Station:
    position = Position(latitude=30.0, longitude=120.0, height_m=10.0, datum="WGS-84")
    return Station(id="stack-01", network="n", name_zh="站", name_en="S", position=position, simulated=simulated)


def average(series: str, start: datetime, mean: float | None, period_s: int = 60, **changes: object) -> Average:
    fields: dict[str, object] = {
        "series": series, "unit": "mg/m3", "start": start, "period_s": period_s, "n": 60, "valid_fraction": 1.0,
        "mean": mean, "minimum": mean, "maximum": mean, "sd": 0.0, "rule": "hj-stack",
    }  # fmt: skip
    return Average(**(fields | changes))  # type: ignore[arg-type]


def minute(n: int) -> dict[str, object]:
    return averages_fields([average("stack.so2", T0 + timedelta(minutes=n), float(n))])


@contextlib.asynccontextmanager
async def running_log(folder: Path, clock: Clock, *, simulated: bool = False) -> AsyncIterator[Log]:
    log = Log(folder, clock, station_id="stack-01", signer=SIGNER, commit_s=0.0, simulated=simulated)
    task = asyncio.create_task(log.run())
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def running(uplink: Hj212Uplink) -> AsyncIterator[Hj212Uplink]:
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None, task.exception()


class Platform:
    """The platform's end, and what it was sent. `silent_on` names uploads that it never answers."""

    def __init__(self, clock: Clock, silent_on: Callable[[Uploaded], bool] = lambda _: False) -> None:
        self.clock = clock
        self.silent_on = silent_on
        self.uploads: list[Uploaded] = []
        self.odd: list[Output] = []
        self.server: asyncio.Server | None = None
        self.open: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.stations = {MN: Identity(MN, PASSWORD)}
        self.hangs_up = False

    async def start(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        for task in self.open:
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = PlatformSession(self.stations, self.clock.now)
        self.connections += 1
        if self.hangs_up:
            writer.close()
            return

        def take(output: Output) -> None:
            if not isinstance(output, Uploaded):
                self.odd.append(output)
                return
            self.uploads.append(output)
            if not self.silent_on(output):
                link.perform(session.accepted(output.frame.qn))

        link = Link(session, reader, writer, self.clock, take)
        task = asyncio.ensure_future(link.run())
        self.open.add(task)
        await asyncio.wait([task])

    def of(self, cn: str) -> list[Uploaded]:
        return [one for one in self.uploads if one.frame.cn == cn]

    @property
    def minutes(self) -> list[int]:
        return [int((one.upload.data_time - T0).total_seconds()) // 60 for one in self.of("2051")]


@contextlib.asynccontextmanager
async def serving(
    clock: Clock, commit: Callable[[Sequence[Uploaded]], Awaitable[None]]
) -> AsyncIterator[tuple[PlatformServer, int]]:
    server = PlatformServer({MN: Identity(MN, PASSWORD)}, clock, commit, lambda _: None)
    try:
        yield server, await server.start("127.0.0.1", 0)
    finally:
        await server.stop()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def events(log: Log) -> list[dict[str, object]]:
    return [record.fields for record in await log.read(-1, kinds=EVENTS, limit=500)]


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    made = Platform(RealClock())
    yield made
    await made.stop()


def uplink_of(log: Log, port: int, clock: Clock, live: Live | None = None, **changes: object) -> Hj212Uplink:
    return Hj212Uplink("gov", config(port, **changes), station(), log, live or Live(), clock, PASSWORD)


async def test_averages_go_up_by_their_command_in_the_platforms_units_and_are_acknowledged(
    tmp_path: Path, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock = RealClock()
    async with running_log(tmp_path, clock) as log, running(uplink_of(log, await platform.start(), clock)) as uplink:
        fault = Quality.of(Mark(Cause.INCOMPLETE, "hj-stack", T0))
        so2 = average("stack.so2", T0, 35.126)
        co2 = average("stack.co2", T0, 400.0, unit="umol/mol", sum=7.0)
        await log.append("average", averages_fields([so2, co2, average("other.so2", T0, 1.0)]))
        await log.append(
            "average", averages_fields([average("stack.so2", T0, 35.0, 3600, quality=fault, valid_fraction=0.7)])
        )
        await log.append("average", averages_fields([average("stack.so2", T0, None, 86400, quality=fault)]))
        await log.append("average", averages_fields([average("stack.so2", T0, 36.0, revision=1)]))
        await log.append("average", averages_fields([average("other.so2", T0, 36.0)]))
        last = await log.append("event", {"what": "anything", "origin": "test"})
        await until(lambda: len(platform.uploads) == 3)
        async with asyncio.timeout(5):
            await uplink.drain(5)
        status = uplink.status()
    assert status["connected"]
    assert (status["acknowledged"], status["unacknowledged"], status["backlog"]) == (3, 0, 0)
    by_cn = {
        one.frame.cn: {row.code: (dict(row.values), row.flag) for row in one.upload.rows} for one in platform.uploads
    }
    mg = round(400.0 * 44.01 / 22.4, 1)
    assert by_cn == {
        "2051": {
            "a21026": ({"Min": 35.13, "Avg": 35.13, "Max": 35.13}, "N"),
            "a05001": ({"Cou": 7.0, "Min": mg, "Avg": mg, "Max": mg}, "N"),
        },
        "2061": {"a21026": ({"Min": 35.0, "Avg": 35.0, "Max": 35.0}, "D")},
        "2031": {"a21026": ({}, "D")},
    }
    assert {one.upload.data_time for one in platform.uploads} == {T0}
    again = Log(tmp_path, clock, station_id="stack-01", signer=SIGNER)
    place = await again.load_place("gov")
    assert place is not None
    assert (place.through, place.above) == (last.seq, ())
    assert PASSWORD not in caplog.text


async def test_after_an_outage_the_newest_go_first_everything_arrives_once_and_a_restart_resends_nothing(
    tmp_path: Path, platform: Platform
) -> None:
    clock = RealClock()
    port = await platform.start()
    async with running_log(tmp_path, clock) as log:
        async with running(uplink_of(log, port, clock)) as uplink:
            await log.append("average", minute(0))
            await until(lambda: platform.minutes == [0])
            await platform.stop()
            await until(lambda: not uplink.status()["connected"])
            for n in range(1, 13):
                await log.append("average", minute(n))
            await platform.start(port)
            await until(lambda: len(platform.minutes) == 13)
            await uplink.drain(5)
        assert sorted(platform.minutes) == list(range(13))
        assert platform.minutes[1] == 12
        assert platform.minutes.index(11) < platform.minutes.index(2)
        async with running(uplink_of(log, port, clock)) as uplink:
            await log.append("average", minute(13))
            await until(lambda: 13 in platform.minutes)
            await uplink.drain(5)
        assert sorted(platform.minutes) == list(range(14))


async def test_a_frame_the_platform_never_answers_is_set_aside_with_an_alarm_and_blocks_nobody(
    tmp_path: Path, platform: Platform
) -> None:
    clock = RealClock()
    platform.silent_on = lambda one: one.frame.cn == "2061"
    async with running_log(tmp_path, clock) as log, running(uplink_of(log, await platform.start(), clock)) as uplink:
        hour = await log.append("average", averages_fields([average("stack.so2", T0, 1.0, 3600)]))
        await until(lambda: platform.of("2061"))
        await log.append("average", minute(0))
        await until(lambda: uplink.status()["set_aside"] == 1)
        await log.append("average", minute(1))
        await until(lambda: platform.minutes == [0, 1])
        await uplink.drain(5)
        assert uplink.status()["connected"]
        assert len({one.frame.qn for one in platform.of("2061")}) == 1
        (alarm,) = await events(log)
        assert alarm["what"] == "uplink-set-aside"
        assert (alarm["cn"], alarm["record"]) == ("2061", {"epoch": log.epoch, "seq": hour.seq})
        # It stays open in the kept place: a restart offers it again.
        platform.silent_on = lambda _: False
    async with running_log(tmp_path, clock) as log, running(uplink_of(log, platform_port(platform), clock)) as uplink:
        await until(lambda: uplink.status()["acknowledged"] == 1)
        assert platform.of("2061")[-1].upload.data_time == T0


def platform_port(platform: Platform) -> int:
    assert platform.server is not None
    return int(platform.server.sockets[0].getsockname()[1])


async def test_a_platform_that_answers_nothing_is_left_and_tried_again(tmp_path: Path, platform: Platform) -> None:
    clock = RealClock()
    platform.silent_on = lambda _: True
    async with running_log(tmp_path, clock) as log, running(uplink_of(log, await platform.start(), clock)) as uplink:
        await log.append("average", minute(0))
        await until(lambda: not uplink.status()["connected"] and uplink.status()["failed"] == 1)
        platform.silent_on = lambda _: False
        await until(lambda: uplink.status()["acknowledged"] == 1)
        assert set(platform.minutes) == {0}
        assert uplink.status()["down_wall_s"] is None
        await log.append("event", {"what": "last", "origin": "test"})
        told = await events(log)
    assert [(event["what"], event.get("reason")) for event in told] == [
        ("uplink-down", "no answer"), ("uplink-up", None), ("last", None),
    ]  # fmt: skip


class HurriedClock(RealClock):
    """Wall time passes fifty times as fast."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def wall_monotonic(self) -> float:
        return super().wall_monotonic() * 50

    async def sleep_wall(self, wall_s: float) -> None:
        self.pauses.append(wall_s)
        await super().sleep_wall(wall_s / 50)


@pytest.mark.parametrize(("ack", "hangs_up"), [("required", False), ("required", True), ("none", True)])
async def test_a_platform_that_will_not_have_us_is_told_once_and_asked_ever_more_slowly(
    tmp_path: Path, platform: Platform, caplog: pytest.LogCaptureFixture, ack: str, *, hangs_up: bool
) -> None:
    """As one does that does not know our MN: it refuses, or just hangs up."""
    clock = HurriedClock()
    platform.stations, platform.hangs_up = {}, hangs_up
    port = await platform.start()
    async with (
        running_log(tmp_path, clock) as log,
        running(uplink_of(log, port, clock, ack=ack, overtime_s=99)) as uplink,
    ):
        await log.append("average", minute(0))
        await until(lambda: platform.connections >= 7)
        assert max(clock.pauses) > 15
        down = uplink.status()
        assert down["last_error"] == ("the connection ended" if hangs_up else "refused with QnRtn 4")
        assert [event["what"] for event in await events(log)] == ["uplink-down"]
        assert len([row for row in caplog.records if row.name.startswith("agent.")]) == 1
        platform.stations, platform.hangs_up = {MN: Identity(MN, PASSWORD)}, False
        for n in itertools.count(1):
            await log.append("average", minute(n))
            if uplink.status()["down_wall_s"] is None:
                break
            await asyncio.sleep(0.05)
        assert down["down_wall_s"] > 15
        await log.append("event", {"what": "last", "origin": "test"})
        assert [event["what"] for event in await events(log)] == ["uplink-down", "uplink-up", "last"]
    assert len([row for row in caplog.records if row.name.startswith("agent.")]) == 2


async def test_without_acknowledgements_records_are_counted_as_sent_unconfirmed(
    tmp_path: Path, platform: Platform
) -> None:
    clock = RealClock()
    port = await platform.start()
    async with running_log(tmp_path, clock) as log, running(uplink_of(log, port, clock, ack="none")) as uplink:
        await log.append("average", minute(0))
        await until(lambda: platform.minutes == [0])
        await uplink.drain(5)
        assert (uplink.status()["sent_unconfirmed"], uplink.status()["acknowledged"]) == (1, 0)


async def test_simulated_records_do_not_leave_this_machine(tmp_path: Path) -> None:
    clock = RealClock()
    async with running_log(tmp_path, clock, simulated=True) as log:
        made = Hj212Uplink("gov", config(9, host="192.0.2.1"), station(simulated=True), log, Live(), clock, PASSWORD)
        async with running(made) as uplink:
            await log.append("average", minute(0))
            await until(lambda: uplink.status()["last_error"])
            await uplink.drain(1)
            await log.append("average", minute(1))
            (event,) = await events(log)
        assert event["what"] == "uplink-down"
        assert not uplink.status()["connected"]
        # A station that was simulated once and is real now: its old records stay at home too.
        selection = Selection(config(9), simulated_allowed=False)
        (record, *_) = await log.read(-1, kinds=frozenset({"average"}), limit=1)
        assert selection.entry(record, 0) is None
        assert Selection(config(9), simulated_allowed=True).entry(record, 0) is not None


async def test_real_time_values_go_at_the_interval_of_world_time_and_the_platform_may_change_it(tmp_path: Path) -> None:
    wall = datetime.now(UTC).timestamp()
    clock = AcceleratedClock(wall, T0.timestamp(), 200.0)
    got: list[Uploaded] = []

    async def commit(batch: Sequence[Uploaded]) -> None:
        got.extend(batch)

    live = Live()
    async with (
        serving(clock, commit) as (server, port),
        running_log(tmp_path, clock) as log,
        running(uplink_of(log, port, clock, live)) as uplink,
    ):
        live.update(Measurement(Reading("stack", "so2", 1.0, "mg/m3", T0), 1.25))
        await until(lambda: len(got) >= 2)
        first = got[0].upload
        assert (got[0].frame.cn, first.data_time, first.rows[0].values) == ("2011", T0, {"Rtd": 1.25})
        with pytest.raises(ConnectionError):
            await server.request("A" * 24, "1061")
        ended = await server.request(MN, "1062", ((("RtdInterval", "60"),),))
        assert ended.outcome == "done"
        assert uplink.status()["realtime_s"] == 60
        assert (await server.request(MN, "1061")).data == (((("RtdInterval", "60"),),),)
        assert (await server.request(MN, "1012", ((("SystemTime", "20260115093501"),),))).code == 2
        assert (await server.request(MN, "2012")).outcome == "done"
        assert uplink.status()["realtime_s"] is None
        await log.append("event", {"what": "last", "origin": "test"})
        said = [(event["what"], event.get("cn")) for event in await events(log)]
        assert said == [
            ("platform-request", "1062"),
            ("platform-request-refused", "1012"),
            ("platform-request", "2012"),
            ("last", None),
        ]


async def test_a_platform_that_answers_averages_and_never_real_time_values_stays_connected(tmp_path: Path) -> None:
    clock = AcceleratedClock(datetime.now(UTC).timestamp(), T0.timestamp(), 200.0)
    platform = Platform(clock, lambda one: one.frame.cn == "2011")
    live = Live()
    async with running_log(tmp_path, clock) as log:
        async with running(uplink_of(log, await platform.start(), clock, live)) as uplink:
            await log.append("average", minute(0))
            await until(lambda: uplink.status()["acknowledged"] == 1)
            live.update(Measurement(Reading("stack", "so2", 1.0, "mg/m3", T0), 1.25))
            await until(lambda: uplink.status()["failed"] >= 1)
            await log.append("average", minute(1))
            await until(lambda: platform.minutes == [0, 1])
            assert platform.connections == 1
        await platform.stop()


async def test_a_platform_may_set_the_time_where_the_station_gives_it_a_way(tmp_path: Path) -> None:
    clock = RealClock()
    asked: list[datetime] = []

    async def set_time(at: datetime) -> bool:
        asked.append(at)
        return True

    async def commit(batch: Sequence[Uploaded]) -> None:
        assert batch

    async with serving(clock, commit) as (server, port), running_log(tmp_path, clock) as log:
        made = Hj212Uplink("gov", config(port), station(), log, Live(), clock, PASSWORD, set_time=set_time)
        async with running(made) as uplink:
            await log.append("average", minute(0))
            await until(lambda: uplink.status()["acknowledged"] == 1)
            ended = await server.request(MN, "1012", ((("SystemTime", "20260115093501"),),))
            (event,) = await events(log)
    assert (ended.outcome, asked) == ("done", [datetime(2026, 1, 15, 1, 35, 1, tzinfo=UTC)])
    assert (event["cn"], event["result"]) == ("1012", "done")


async def test_a_commit_that_fails_leaves_the_upload_unanswered_and_says_so(tmp_path: Path) -> None:
    clock = RealClock()

    async def commit(batch: Sequence[Uploaded]) -> None:
        raise RuntimeError("disk gone")

    async with (
        serving(clock, commit) as (server, port),
        running_log(tmp_path, clock) as log,
        running(uplink_of(log, port, clock)) as uplink,
    ):
        await log.append("average", minute(0))
        with pytest.raises(RuntimeError, match="disk gone"):
            async with asyncio.timeout(5):
                await server.run()
        assert uplink.status()["acknowledged"] == 0


async def test_what_an_older_epoch_still_owes_goes_up_too(tmp_path: Path, platform: Platform) -> None:
    clock = RealClock()
    async with running_log(tmp_path, clock) as log:
        for n in range(3):
            await log.append("average", minute(n))
        await log.save_place("gov", Place(log.epoch, 0))
        first = log.epoch
        # The next day's file is damaged: the log goes on in a new epoch.
        (tmp_path / f"log-{first:04d}-{log.next_seq:012d}.db").write_bytes(b"no database" * 100)
    async with running_log(tmp_path, clock) as log:
        assert log.epoch == first + 1
        async with running(uplink_of(log, await platform.start(), clock)) as uplink:
            await log.append("average", minute(3))
            await until(lambda: sorted(platform.minutes) == [1, 2, 3])
            await uplink.drain(5)
        place = await log.load_place("gov")
        assert place is not None
        assert (place.epoch, place.through) == (first + 1, log.next_seq - 1)


# -- order and places, without I/O


def record_of(seq: int) -> Record:
    return Record(1, seq, "average", encode({**minute(seq), "v": 1, "epoch": 1, "seq": seq, "kind": "average"}))


def outbox_with(count: int) -> tuple[Outbox, list[object]]:
    selection = Selection(config(9), simulated_allowed=True)
    entries = [selection.entry(record_of(seq), seq) for seq in range(count)]
    return Outbox(Place(1, -1)), list(entries)


def test_old_periods_take_at_most_half_of_the_window_and_ten_each_second() -> None:
    outbox, entries = outbox_with(12)
    for one in entries:
        outbox.put_old(one)  # type: ignore[arg-type]
    first = outbox.take(0.0)
    assert first is entries[0]
    assert outbox.take(0.0) is None
    assert outbox.wake_at(0.0) == pytest.approx(0.1)
    assert outbox.take(0.1) is entries[1]
    assert outbox.take(0.2) is None
    outbox.delivered(entries[1])  # type: ignore[arg-type]
    assert outbox.take(0.2) is entries[2]
    assert outbox.place() == Place(1, -1, ((1, 1),))
    outbox.delivered(entries[0])  # type: ignore[arg-type]
    assert outbox.place() == Place(1, 1, ())


def test_frames_set_aside_come_again_slowly_and_are_bounded() -> None:
    outbox, entries = outbox_with(ASIDE_MAX + 1)
    told = [outbox.set_aside(one, 0.0) for one in entries]  # type: ignore[arg-type]
    assert [news for news, _ in told] == [True] * (ASIDE_MAX + 1)
    assert [given_up for _, given_up in told if given_up] == [entries[0]]
    assert outbox.aside == ASIDE_MAX
    assert outbox.take(ASIDE_RETRY_S - 1) is None
    assert outbox.take(ASIDE_RETRY_S) is entries[1]
    assert outbox.set_aside(entries[1], ASIDE_RETRY_S) == (False, None)  # type: ignore[arg-type]
    outbox.delivered(entries[1])  # type: ignore[arg-type]
    assert outbox.aside == ASIDE_MAX - 1
    assert outbox.place().through == 1


def test_progress_joins_what_touches() -> None:
    progress = Progress(Place(1, 4, ((8, 9),)))
    progress.add(12, 12)
    progress.add(7, 7)
    assert progress.place(1) == Place(1, 4, ((7, 9), (12, 12)))
    assert progress.open_below(14) == 5
    progress.add(5, 11)
    assert progress.place(1) == Place(1, 12, ())
    assert progress.open_below(13) == 0
    assert [progress.covers(seq) for seq in (0, 12, 13)] == [True, True, False]
