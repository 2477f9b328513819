"""Real stations over TCP at the centre's desk: commands, dialogue, start-up, what is missing, keys, what is refused."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from central.config import Hj212, StartUp, Station
from central.hj212_desk import RefusedError
from central.ingest_hj212 import Hj212Ingest
from central.store import Store
from central.writer import Writer
from host.clock import ManualClock, RealClock
from host.hj212 import Link, close
from host.secrets import SecretRef
from metrology.periods import parse_iso
from protocols.hj212.commands import ExeRtn
from protocols.hj212.link_commands import StationState
from protocols.hj212.profile import Profile
from protocols.hj212.session import Delivered, Failed, Identity, Output, Requested
from protocols.hj212.station import StationSession
from protocols.hj212.times import parse_time, render_time

MN = "88888880000001"
KEY = b"0123456789abcdef"
NOW = parse_iso("2026-03-01T06:00:00.000Z")
MINUTE = ((("a05001-Avg", "720.0"), ("a05001-Flag", "N")),)
Query = Callable[..., list[Any]]
Serve = Callable[["Peer", Requested], None]


def at(minute: int) -> Any:
    return parse_iso(f"2026-03-01T04:{minute:02d}:00.000Z")


class Peer:
    """A station's end; `serve` gets what the platform asks."""

    def __init__(self, edition: int = 2017, keys: tuple[bytes, ...] = (), serve: Serve | None = None) -> None:
        profile = Profile.strict(edition).with_leniencies(["mn_13_to_24"])
        self.state = StationState()
        handled = frozenset({"2051", "2061", "3019", "1014", "1012", "1072"})
        self.session = StationSession(
            Identity(MN, "123456", profile=profile, keys=keys),
            self.state,
            lambda: NOW,
            handled=handled,
            allowed=handled,
        )
        self.ended: list[Output] = []
        self.asked: list[str] = []
        self.link: Link | None = None
        self._serve = serve
        self._number = 0

    def take(self, output: Output) -> None:
        if isinstance(output, Requested):
            self.asked.append(output.message.cn)
            if self._serve is not None:
                self._serve(self, output)
        elif isinstance(output, Delivered | Failed):
            self.ended.append(output)

    def do(self, outputs: list[Output]) -> None:
        assert self.link is not None
        self.link.perform(outputs)

    def submit(self, cn: str, when: Any, items: Any, **more: Any) -> int:
        assert self.link is not None
        self._number += 1
        self.do(self.session.submit(self._number, cn, when, items, self.link.now, **more))
        return self._number

    async def upload(self, cn: str, when: Any, items: Any, **more: Any) -> Output:
        key = self.submit(cn, when, items, **more)
        await until(lambda: any(one.key == key for one in self.ended))  # type: ignore[union-attr]
        return self.ended[-1]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def connected(ingest: Hj212Ingest, peer: Peer) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    peer.link = Link(peer.session, reader, writer, RealClock(), peer.take)
    task = asyncio.create_task(peer.link.run())
    yield peer
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await close(writer)


@contextlib.asynccontextmanager
async def serving(store: Store, stations: dict[str, Station], **changed: Any) -> AsyncIterator[Hj212Ingest]:
    outlet = stations["tower"].outlets["main"].model_copy(update=changed)
    enrolled = {**stations, "tower": stations["tower"].model_copy(update={"outlets": {"main": outlet}})}
    writer = Writer()
    ingest = Hj212Ingest(Hj212(port=0, settle_s=0), enrolled, store, writer, ManualClock(NOW))
    await ingest.start()
    task = asyncio.create_task(ingest.run())
    yield ingest
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    writer.close()


@pytest.fixture
async def ingest(store: Store, stations: dict[str, Station]) -> AsyncIterator[Hj212Ingest]:
    async with serving(store, stations) as made:
        yield made


async def test_what_is_no_value_is_kept_by_name(ingest: Hj212Ingest, rows: Query) -> None:
    states = ((("SB1-RS", "1"),), (("SB2-RS", "5"),))
    async with connected(ingest, Peer()) as peer:
        assert isinstance(await peer.upload("2021", at(0), states), Delivered)
        assert isinstance(await peer.upload("2081", at(1), ((("RestartTime", "20260301115500"),),)), Delivered)
    assert rows("SELECT cn, data_time, name, value FROM hj212_item ORDER BY cn, name") == [
        ("2021", "2026-03-01T04:00:00.000Z", "SB1-RS", "1"),
        ("2021", "2026-03-01T04:00:00.000Z", "SB2-RS", "5"),
        ("2081", "2026-03-01T04:01:00.000Z", "RestartTime", "20260301115500"),
    ]
    assert [one["value"] for one in await ingest.desk.items("tower")] == ["1", "5", "20260301115500"]


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("2026-03-01T06:11:00.000Z", "future"),
        ("1999-12-31T16:00:00.000Z", "past"),
        ("2026-03-01T04:00:30.000Z", "off-grid"),
    ],
)
async def test_an_impossible_time_is_kept_and_no_average(
    ingest: Hj212Ingest, rows: Query, when: str, problem: str
) -> None:
    async with connected(ingest, Peer()) as peer:
        assert isinstance(await peer.upload("2051", parse_iso(when), MINUTE), Delivered)
        assert isinstance(await peer.upload("2051", parse_iso(when), MINUTE), Delivered)
    assert rows("SELECT problem FROM hj212_frame") == [problem, problem]
    assert rows("SELECT count(*) FROM average") == rows("SELECT count(*) FROM hj212_average") == [0]
    assert rows("SELECT what FROM event") == ["hj212-impossible-time"]


async def test_another_edition_is_refused_counted_and_one_event(ingest: Hj212Ingest, rows: Query) -> None:
    async with connected(ingest, Peer(2025)) as peer:
        peer.submit("2051", at(0), MINUTE)
        peer.submit("2051", at(1), MINUTE)
        await until(lambda: rows("SELECT count FROM refused WHERE name = ?", MN) == [2])
    assert rows("SELECT count(*) FROM hj212_frame") == [0]
    assert rows("SELECT what FROM event") == ["hj212-refused"]
    (outlet,) = await ingest.desk.outlets()
    assert list(outlet["refused"].values()) == [2]
    assert "edition" in next(iter(outlet["refused"]))


async def test_a_command_its_end_its_dialogue_and_its_audit(ingest: Hj212Ingest, rows: Query) -> None:
    async with connected(ingest, Peer()) as peer:
        await peer.upload("2051", at(0), MINUTE)
        outcome = await ingest.desk.send(MN, "1062", ["RtdInterval=60"], "ann")
        assert (outcome["outcome"], outcome["code"]) == ("done", 1)
        assert peer.state.realtime_s == 60
        told = await ingest.desk.send(MN, "1061", [], "ann")
        assert told["data"] == ["RtdInterval=60"]
        lines = await ingest.desk.dialogue(MN)
    assert [(one["way"], one["cn"]) for one in lines if one["cn"] != "2051"] == [
        ("sent", "1062"), ("received", "9011"), ("received", "9012"),
        ("sent", "1061"), ("received", "9011"), ("received", "1061"), ("received", "9012"),
    ]  # fmt: skip
    assert "123456" not in "".join(one["text"] for one in lines)
    assert [one["note"] for one in lines if one["cn"] == "2051"] == ["9014"]
    assert all(one["name_en"] and one["name_zh"] for one in lines)
    detail = rows("SELECT detail ->> 'who', detail ->> 'outcome', detail ->> 'fields' FROM event ORDER BY id")
    assert detail == [("ann", "done", ""), ("ann", "done", "RtdInterval=60")]


async def test_what_cannot_be_sent_is_refused(ingest: Hj212Ingest) -> None:
    desk = ingest.desk
    with pytest.raises(RefusedError, match="not connected"):
        desk.send(MN, "1061", [], "ann")
    with pytest.raises(RefusedError, match="not enrolled"):
        desk.send("1" * 14, "1061", [], "ann")
    with pytest.raises(RefusedError, match="NAME=VALUE"):
        desk.send(MN, "1062", ["RtdInterval"], "ann")
    for cn in ("1072", "9014", "0000", "2052"):
        with pytest.raises(RefusedError, match="no command for a person"):
            desk.send(MN, cn, [], "ann")
    assert not {"1072", "1002", "1014"} & {one["cn"] for one in desk.commands(MN)}
    async with connected(ingest, Peer()) as peer:
        await peer.upload("2051", at(0), MINUTE)
        outcome = await desk.send(MN, "1062", ["RtdInterval=x"], "ann")
    assert outcome["outcome"] == "not sent"


async def test_a_station_that_comes_is_given_its_orders(
    store: Store, stations: dict[str, Station], rows: Query
) -> None:
    start_up = StartUp(clock=True, overtime_s=5, recount=2, realtime_s=45, minute_min=10, realtime=True, status=False)
    served: Serve = lambda peer, asked: peer.do(peer.session.finish(asked.qn, ExeRtn.DONE))  # noqa: E731
    async with serving(store, stations, start_up=start_up) as ingest, connected(ingest, Peer(serve=served)) as peer:
        await peer.upload("2051", at(0), MINUTE)
        await until(lambda: rows("SELECT count(*) FROM event WHERE what = 'hj212-command'") == [6])
        assert peer.asked == ["1012"]
        state = peer.state
    assert (state.timing.overtime_s, state.timing.recount, state.realtime_s, state.minute_min) == (5, 2, 45, 10)
    assert (state.realtime_on, state.status_on) == (True, False)
    assert rows("SELECT DISTINCT detail ->> 'who', detail ->> 'outcome' FROM event") == [("start-up", "done")]


def history(*minutes: int) -> Serve:
    """Serve 2051 of these minutes; ExeRtn 100 where the range holds none."""

    def serve(peer: Peer, asked: Requested) -> None:
        begin, end = (parse_time(asked.message.value(name) or "") for name in ("BeginTime", "EndTime"))
        found = [at(minute) for minute in minutes if begin <= at(minute) <= end]
        for when in found:
            peer.submit("2051", when, MINUTE)
        peer.do(peer.session.finish(asked.qn, ExeRtn.DONE if found else ExeRtn.NO_DATA))

    return serve


async def test_missing_minutes_are_asked_for_and_come(ingest: Hj212Ingest, rows: Query) -> None:
    async with connected(ingest, Peer(serve=history(2, 3, 5))) as peer:
        for minute in (0, 1, 4, *range(6, 60)):
            await peer.upload("2051", at(minute), MINUTE)
        assert await ingest.filler.fill(MN)
        await until(lambda: len(peer.ended) == 60)
        assert peer.asked == ["2051"] * 3, "after 05:00; minute 5; minutes 2 and 3"
        assert await ingest.filler.fill(MN)
        assert len(peer.asked) == 3, "what is not there, and what came, is not asked for again"
    assert rows("SELECT count(*) FROM average WHERE period_s = 60") == [60]
    assert set(rows("SELECT verdict FROM hj212_missing")) == {"absent"}
    assert rows("SELECT min(start) FROM hj212_missing") == ["2026-03-01T05:00:00.000Z"]
    (outlet,) = await ingest.desk.outlets("tower")
    assert outlet["missing"] == {"absent": rows("SELECT count(*) FROM hj212_missing")[0]}


async def test_what_came_by_mqtt_is_not_missing(
    store: Store, stations: dict[str, Station], make_log: Callable[..., Any]
) -> None:
    log = make_log()
    for minute in range(110):
        log.minute(minute)
    store.add([log.delivery(0, 109)])
    async with serving(store, stations) as ingest, connected(ingest, Peer(serve=history())) as peer:
        await peer.upload("2051", at(0), MINUTE)
        assert await ingest.filler.fill(MN)
        assert peer.asked == []


async def test_a_station_that_refuses_history_is_left_in_peace(ingest: Hj212Ingest, rows: Query) -> None:
    async with connected(ingest, Peer()) as peer:
        peer.session = StationSession(peer.session.identity, StationState(), lambda: NOW)
        assert peer.link is not None
        peer.link._session = peer.session
        await peer.upload("2051", at(0), MINUTE)
        assert not await ingest.filler.fill(MN)
    assert rows("SELECT count(*) FROM event WHERE what = 'hj212-command'") == [1]
    assert set(rows("SELECT verdict, attempts FROM hj212_missing")) == {("open", 1)}


@pytest.fixture
def key_file(tmp_path: Path) -> SecretRef:
    path = tmp_path / "sm4"
    path.write_bytes(KEY + b"\n")
    path.chmod(0o600)
    return SecretRef(file=str(path))


async def test_an_encrypted_upload_is_kept_as_it_came_and_in_plain(
    store: Store, stations: dict[str, Station], key_file: SecretRef, rows: Query
) -> None:
    async with serving(store, stations, edition=2025, sm4_key=key_file) as ingest:
        async with connected(ingest, Peer(2025, (KEY,))) as peer:
            assert isinstance(await peer.upload("2051", at(0), MINUTE, resent=True), Delivered)
        lines = await ingest.desk.dialogue(MN)
    ((data, area, resent),) = rows("SELECT bytes, area, resent FROM hj212_frame")
    assert b"DataTime" not in data
    assert area == f"DataTime={render_time(at(0))};a05001-Avg=720.0,a05001-Flag=N"
    assert resent == 1
    assert rows("SELECT mean FROM average") == [720.0]
    assert area in lines[-1]["text"]
    assert lines[-1]["note"] == "9014 RF=1"


async def test_a_new_key_is_kept_sent_and_the_old_one_goes_when_it_is_used(
    store: Store, stations: dict[str, Station], key_file: SecretRef, rows: Query, tmp_path: Path
) -> None:
    def serve(peer: Peer, asked: Requested) -> None:
        new = (asked.message.value("NewSK") or "").encode()
        peer.do(peer.session.finish(asked.qn, ExeRtn.DONE))
        before = peer.session.identity
        peer.session.identity = Identity(MN, "123456", profile=before.profile, keys=(new, KEY))

    folder, _sent = tmp_path / "hj212-keys", "SELECT detail ->> 'outcome' FROM event WHERE what = 'hj212-key-sent'"
    async with serving(store, stations, edition=2025, sm4_key=key_file) as ingest:
        async with connected(ingest, Peer(2025, (KEY,), serve)) as peer:
            await peer.upload("2051", at(0), MINUTE)
            assert not folder.exists()
            assert peer.link is not None
            peer.do(peer.session.notify("ask", "1014", ((("SKCreateTime", render_time(NOW)),),), peer.link.now))
            await until(
                lambda: rows("SELECT detail ->> 'outcome' FROM event WHERE what = 'hj212-key-sent'") == ["done"]
            )
            text = (folder / MN).read_text()
            assert KEY.hex() in text, "until the new one was used"
            assert stat.S_IMODE((folder / MN).stat().st_mode) == 0o600
            await peer.upload("2051", at(1), MINUTE)
            await until(lambda: KEY.hex() not in (folder / MN).read_text())
            new = peer.session.identity.keys[0]
        said = "".join(one["text"] for one in await ingest.desk.dialogue(MN))
        assert new.decode() not in said
        assert "NewSK=******" in said
    async with serving(store, stations, edition=2025, sm4_key=key_file) as ingest:
        async with connected(ingest, Peer(2025, (new,))) as peer:
            assert isinstance(await peer.upload("2051", at(2), MINUTE), Delivered)
        async with connected(ingest, Peer(2025, (KEY,))) as peer:
            peer.submit("2051", at(3), MINUTE)
        await until(lambda: rows("SELECT count(*) FROM dead_letter") == [1])
    assert rows("SELECT count(*) FROM average") == [3]
