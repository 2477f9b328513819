"""What a platform has a station do with gas: its orders over real TCP, real Modbus coils, a clock moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.uplinks.assembly import Parts, uplinks
from agent.values.series import serials_of
from host.hj212 import Link
from metrology.quality import Quality
from metrology.reading import Measurement, Reading
from protocols.hj212.message import Message, encode, flag_of
from protocols.hj212.platform import PlatformSession
from protocols.hj212.profile import Edition, Profile
from protocols.hj212.session import Identity, Output, RequestEnded, Send, Timing, Uploaded
from protocols.hj212.times import render_qn, render_time

SAMPLE, ZERO, SPAN, TARGET = 0, 1, 2, 3
MN = "0100B1F2A00002A00000007B"
PASSWORD = "pw9x7q"
CODE = "a05001"
ALL = ["1012", "3011", "3013", "3024"]


class Platform:
    """The platform's end. It answers every upload at once and keeps what it was told."""

    def __init__(self, edition: int) -> None:
        self.stations = {MN: Identity(MN, PASSWORD, profile=Profile.strict(edition))}
        self.links: list[Link] = []
        self.ended: dict[str, RequestEnded] = {}
        self.heard: list[Message] = []
        self.uploads: list[Message] = []
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.clock: Any = None

    async def start(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    async def go_away(self) -> int:
        """Take no more connections and drop those there are; gives the port to come back to."""
        assert self.server is not None
        port = int(self.server.sockets[0].getsockname()[1])
        self.server.close()
        for link in self.links:
            link.abort()
        return port

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.session = PlatformSession(
            self.stations, self.clock.now, timing=Timing(600, 3), execution_s=36000, heard=self.heard.append
        )

        def take(output: Output) -> None:
            if isinstance(output, RequestEnded):
                self.ended[output.qn] = output
            elif isinstance(output, Uploaded):
                self.uploads.append(output.message)
                link.perform(self.session.accepted(output.message))

        link = Link(self.session, reader, writer, self.clock, take)
        self.links.append(link)
        task = asyncio.ensure_future(link.run())
        self.tasks.add(task)
        await asyncio.wait([task])
        self.links.remove(link)

    def send(self, cn: str, **fields: str) -> str:
        """Order something; gives its number."""
        area = tuple(((name, value),) for name, value in fields.items())
        qn, outputs = self.session.request(MN, cn, area, self.links[-1].now)
        self.links[-1].perform(outputs)
        return qn

    def codes(self, qn: str) -> list[tuple[str, str]]:
        """CN and return code of each answer to a request, in order."""
        pairs = ((one.cn, one.value("QnRtn") or one.value("ExeRtn") or "") for one in self.heard if one.qn == qn)
        return list(pairs)


class Linked:
    """A rig whose uplink is connected to a platform."""

    def __init__(self, one: Any, platform: Platform, uplink: Any) -> None:
        self.one, self.platform, self.uplink = one, platform, uplink

    async def ask(self, cn: str, **fields: str) -> RequestEnded:
        """An order until it has ended, while time goes on."""
        qn = self.platform.send(cn, **fields)
        await self.one.until(lambda: qn in self.platform.ended)
        return self.platform.ended[qn]

    async def records(self, *whats: str) -> list[dict[str, Any]]:
        """Records of these kinds of happenings; one step lets what was just posted be committed."""
        await self.one.step(0)
        return list(await self.one.records(*whats))


Make = Callable[..., Awaitable[Linked]]


@pytest.fixture
async def linked(rig, tmp_path: Path) -> AsyncIterator[Make]:
    """`await linked(edition=..., allow=..., calibrate=..., change=...)`."""
    made: list[tuple[Platform, asyncio.Task[None]]] = []

    async def make(
        edition: int = 2025,
        allow: list[str] = ALL,
        calibrate: dict[str, str] | None = None,
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        **factor: Any,
    ) -> Linked:
        platform = Platform(edition)
        port = await platform.start()
        (tmp_path / "pw").write_text(PASSWORD)
        (tmp_path / "pw").chmod(0o600)

        def with_uplink(document: dict[str, Any]) -> None:
            daily = document["sequences"]["daily"]
            zero, span, _ = daily["injections"]
            document["sequences"] |= {
                "zero": {**daily, "injections": [zero]},
                "span": {**daily, "injections": [span]},
                "both": {**daily, "injections": [zero, span]},
                "clean": {**daily, "injections": [], "blowback": {"port": "target", "blow_s": 20, "pulses": 2}},
            }
            chosen = {"zero": "zero", "span": "span", "both": "both", "check": "daily", "blowback": "clean"}
            document["uplinks"]["gov"] = {
                "kind": "hj212", "host": "127.0.0.1", "port": port, "outlet": "main", "mn": MN,
                "pw": {"file": str(tmp_path / "pw")}, "edition": edition, "allow": allow,
                "overtime_s": 99, "recount": 99, "realtime_s": 3600, "periods": [],
                "factors": {CODE: {"series": "ndir.co2", "unit": "umol/mol", **factor,
                                   "calibrate": chosen if calibrate is None else calibrate}},
            }  # fmt: skip
            change(document)

        one = await rig(change=with_uplink)
        platform.clock = one.clock
        parts = Parts(
            one.config, one.log, one.index, one.live, one.intake, one.calibrator, one.lock, one.clock, "vkey",
            serials_of(one.config),
        )  # fmt: skip
        uplink = uplinks(parts)["gov"]
        task = asyncio.create_task(uplink.run())
        made.append((platform, task))
        await one.until(lambda: platform.links)
        return Linked(one, platform, uplink)

    yield make
    for platform, task in made:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()
        await platform.stop()


def opened(one: Any, since: int) -> list[int]:
    return [coil for coil, on in one.peer.coil_writes[since:] if on]


@pytest.mark.parametrize(
    ("edition", "kind", "ports"),
    [
        (2025, "0", [ZERO, SAMPLE]),
        (2025, "1", [SPAN, SAMPLE]),
        (2017, None, [ZERO, SPAN, SAMPLE]),
        (2005, None, [ZERO, SPAN, SAMPLE]),
    ],
)
async def test_3011_runs_the_gas_and_answers_when_it_has_ended(
    linked: Make, edition: int, kind: str | None, ports: list[int]
) -> None:
    station = await linked(edition)
    one, platform = station.one, station.platform
    writes = len(one.peer.coil_writes)
    qn = platform.send("3011", PolId=CODE, **({} if kind is None else {"CalibrationType": kind}))
    await one.until(lambda: one.phase == "recovery")
    assert platform.codes(qn) == [("9011", "1")]
    await one.until(lambda: qn in platform.ended)
    assert platform.codes(qn) == [("9011", "1"), ("9012", "1")]
    assert opened(one, writes) == ports
    assert one.peer.open_at_once == 1
    (started,) = await station.records("run-started")
    for part in ("uplink gov", "127.0.0.1", MN, qn, "3011"):
        assert part in started["who"]
    assert PASSWORD not in str(started)
    (finished,) = await station.records("run-finished")
    assert finished["t"] <= (await station.records("platform-request"))[0]["t"]


async def test_an_act_is_on_record_without_secrets(linked: Make) -> None:
    station = await linked()
    ended = await station.ask("3011", PolId=CODE, CalibrationType="1")
    (act,) = await station.records("platform-request")
    assert (act["origin"], act["mn"], act["qn"], act["cn"]) == ("uplink gov", MN, ended.qn, "3011")
    assert act["platform"].startswith("127.0.0.1:")
    assert act["fields"] == {"PolId": CODE, "CalibrationType": "1"}
    assert (act["result"], act["sequence"]) == ("done", "span")
    assert act["run"] == (await station.records("run-started"))[0]["run"]
    assert PASSWORD not in str(await station.records())


@pytest.mark.parametrize(
    ("edition", "calibrate", "fields", "ran"),
    [
        (2017, {"span": "span"}, {}, "span"),
        (2017, {"zero": "zero", "span": "span"}, {}, None),
        (2017, {"check": "daily"}, {}, None),
        (2025, {"both": "both"}, {"CalibrationType": "0"}, None),
        (2025, {"both": "both"}, {}, "both"),
    ],
)
async def test_3011_takes_the_sequence_of_the_site_or_refuses(
    linked: Make, edition: int, calibrate: dict[str, str], fields: dict[str, str], ran: str | None
) -> None:
    station = await linked(edition, calibrate=calibrate)
    ended = await station.ask("3011", PolId=CODE, **fields)
    assert ended.code == (1 if ran else 3)
    assert [row["sequence"] for row in await station.records("run-started")] == ([ran] if ran else [])
    if ran is None:
        (refused,) = await station.records("platform-request-refused")
        assert (refused["cn"], refused["result"], refused["fields"]["PolId"]) == ("3011", "ExeRtn 3", CODE)
        assert "no sequence" in refused["reason"]


async def test_3024_checks_and_changes_nothing(linked: Make) -> None:
    station = await linked()
    one = station.one
    await station.ask("3011", PolId=CODE)
    await one.until(lambda: one.ready)
    before = one.intake.coefficients["ndir.co2"]
    ended = await station.ask("3024", PolId=CODE)
    assert ended.code == 1
    assert one.intake.coefficients["ndir.co2"] == before
    assert len(await station.records("coefficients")) == 1
    checks = await station.records("standard-check")
    assert [row["role"] for row in checks] == ["zero", "span", "target"]
    assert all(row["passed"] for row in checks)
    await one.until(lambda: len([up for up in station.platform.uploads if up.cn == "2062"]) == 3)
    sent = sorted((up for up in station.platform.uploads if up.cn == "2062"), key=lambda up: up.value("DataTime"))
    for record, upload in zip(checks, sent, strict=True):
        assert float(upload.value(f"{CODE}-SampleRd")) == pytest.approx(record["reading"], abs=0.05)
        assert float(upload.value(f"{CODE}-StandardValue")) == pytest.approx(record["assigned"], abs=0.05)
        assert upload.value(f"{CODE}-ResultType") == "1"
    first = one.clock.now().fromisoformat(checks[0]["start"])
    assert sent[0].value("DataTime") == render_time(first)


async def test_3024_that_finds_a_gas_off_is_done_and_says_failed(linked: Make, monkeypatch) -> None:
    station = await linked()
    monkeypatch.setattr(station.one, "indication", lambda: 700.0)
    assert (await station.ask("3024", PolId=CODE)).code == 1
    await station.one.until(lambda: len([up for up in station.platform.uploads if up.cn == "2062"]) == 3)
    results = {up.value(f"{CODE}-ResultType") for up in station.platform.uploads if up.cn == "2062"}
    assert results == {"0"}


async def test_3013_blows_back(linked: Make) -> None:
    station = await linked(2017)
    writes = len(station.one.peer.coil_writes)
    assert (await station.ask("3013", PolId=CODE)).code == 1
    assert opened(station.one, writes) == [TARGET, SAMPLE, TARGET, SAMPLE]
    (started,) = await station.records("run-started")
    assert started["purpose"] == "blowback"


@pytest.mark.parametrize(
    ("edition", "cn", "fields"),
    [
        (2005, "3013", {"PolId": CODE}),
        (2017, "3012", {"PolId": CODE}),
        (2017, "3014", {"PolId": CODE}),
        (2017, "3015", {}),
        (2017, "3016", {"PolId": CODE, "CstartTime": "000000", "Ctime": "2"}),
        (2017, "3017", {"PolId": CODE}),
        (2017, "3018", {"PolId": CODE}),
        (2025, "3012", {"PolId": CODE}),
        (2025, "3022", {"PolId": CODE}),
    ],
)
async def test_what_a_station_has_no_equipment_for_is_not_supported(
    linked: Make, edition: int, cn: str, fields: dict[str, str]
) -> None:
    station = await linked(edition, allow=[cn])
    ended = await station.ask(cn, **fields)
    # 2005 has no code for a command that is not supported: it is refused.
    assert (ended.outcome, ended.code) == ("refused", 2 if edition == 2005 else 8)
    assert await station.records("platform-request-refused")
    assert not await station.records("run-started")


async def test_3013_without_a_blowback_is_not_supported(linked: Make) -> None:
    station = await linked(2017, calibrate={"both": "both"})
    assert (await station.ask("3013", PolId=CODE)).code == 8


async def test_3018_tells_the_minutes_to_a_result(linked: Make) -> None:
    station = await linked(2017, result_min=3)
    ended = await station.ask("3018", PolId=CODE)
    assert (ended.code, ended.data) == (1, ((((("PolId", CODE),), (("Stime", "3"),))),))
    assert (await station.ask("3018", PolId="a19001")).code == 3


@pytest.mark.parametrize("cn", ["1012", "3011", "3013", "3024"])
async def test_nothing_acts_that_is_not_allowed(linked: Make, cn: str) -> None:
    station = await linked(allow=[one for one in ALL if one != cn])
    writes = len(station.one.peer.coil_writes)
    fields = {"SystemTime": "20260101080500"} if cn == "1012" else {"PolId": CODE}
    for _ in range(2):
        ended = await station.ask(cn, **fields)
        assert (ended.outcome, ended.code) == ("refused", 2)
    assert len(station.one.peer.coil_writes) == writes
    refused = await station.records("platform-request-refused")
    assert [(row["cn"], row["result"], row["refused_so_far"]) for row in refused] == [
        (cn, "QnRtn 2", 1), (cn, "QnRtn 2", 2),
    ]  # fmt: skip
    assert not await station.records("platform-request", "run-started", "clock-step")


async def test_a_wrong_password_gets_its_code_and_cannot_fill_the_log(linked: Make) -> None:
    station = await linked()
    area = ((("PolId", CODE),),)
    for count in range(5):
        qn = render_qn(station.one.clock.now() + timedelta(seconds=count))
        asked = Message(qn, "31", "3011", "guess7", MN, flag_of(Edition.HJ2025, wants_answer=True), area)
        station.platform.links[-1].perform([Send(encode(asked))])
        async with asyncio.timeout(10):
            while station.uplink.status()["refused_requests"] <= count:
                await asyncio.sleep(0.002)
    refused = await station.records("platform-request-refused")
    assert [row["result"] for row in refused] == ["QnRtn 3"]
    assert "guess7" not in str(refused)
    assert not await station.records("run-started")


async def test_refusals_of_a_known_platform_are_bounded(linked: Make) -> None:
    station = await linked(allow=[])
    for count in range(40):
        station.platform.send("3011", PolId=CODE)
        async with asyncio.timeout(10):
            while station.uplink.status()["refused_requests"] <= count:
                await asyncio.sleep(0.002)
    refused = await station.records("platform-request-refused")
    assert 20 <= len(refused) < 40
    for _ in range(3):
        await station.one.step(30)
    await station.ask("3011", PolId=CODE)
    assert (await station.records("platform-request-refused"))[-1]["refused_so_far"] == 41


async def test_the_maintenance_lock_and_an_unknown_factor_refuse(linked: Make) -> None:
    station = await linked()
    await station.one.lock.lock("zhang", "new regulator")
    writes = len(station.one.peer.coil_writes)
    assert (await station.ask("3011", PolId=CODE)).code == 3
    assert (await station.ask("3024", PolId=CODE)).code == 3
    await station.one.lock.unlock("zhang")
    assert (await station.ask("3011", PolId="a21026")).code == 3
    assert len(station.one.peer.coil_writes) == writes
    reasons = [row["reason"] for row in await station.records("platform-request-refused")]
    assert ["maintenance lock of zhang" in reason for reason in reasons] == [True, True, False]
    assert len(await station.records("calibration-refused")) == 2


async def test_taking_the_lock_ends_a_platforms_run(linked: Make) -> None:
    station = await linked()
    one = station.one
    qn = station.platform.send("3011", PolId=CODE)
    await one.until(lambda: SPAN in one.open_ports)
    locking = asyncio.create_task(one.lock.lock("zhang", "leak test"))
    await one.until(lambda: locking.done() and qn in station.platform.ended)
    assert station.platform.ended[qn].code == 2
    assert one.open_ports == {SAMPLE}


async def test_a_guard_refuses_and_trips(linked: Make) -> None:
    def change(document: dict[str, Any]) -> None:
        document["guards"] = {"shelter_co": {"series": "shelter.co", "below": 30, "unit": "umol/mol"}}

    station = await linked(change=change)
    one = station.one

    def tell(value: float) -> None:
        reading = Reading("shelter", "co", value, "umol/mol", one.clock.now(), Quality())
        one.live.latest["shelter.co"] = Measurement(reading, value)

    assert (await station.ask("3011", PolId=CODE)).code == 3
    tell(1.0)
    qn = station.platform.send("3011", PolId=CODE)
    await one.until(lambda: ZERO in one.open_ports)
    tell(50.0)
    await one.until(lambda: qn in station.platform.ended)
    assert station.platform.ended[qn].code == 2
    assert one.open_ports == {SAMPLE}
    (act,) = await station.records("platform-request")
    assert (act["result"], "shelter.co is 50 umol/mol" in act["reason"]) == ("ExeRtn 2", True)


async def test_busy_while_a_run_goes_on_and_a_valve_that_fails_is_a_fault(linked: Make) -> None:
    station = await linked()
    one = station.one
    qn = station.platform.send("3011", PolId=CODE)
    await one.until(lambda: ZERO in one.open_ports)
    assert (await station.ask("3013", PolId=CODE)).code == 5
    assert (await station.ask("1012", SystemTime=render_time(one.clock.now() + timedelta(seconds=20)))).code == 5
    one.peer.stuck = {SPAN}
    await one.until(lambda: qn in station.platform.ended)
    assert station.platform.ended[qn].code == 6
    assert one.open_ports == {SAMPLE}


async def test_gas_that_gives_no_reading_is_a_failure(linked: Make, monkeypatch) -> None:
    station = await linked()
    monkeypatch.setattr(station.one, "indication", lambda: float("nan"))
    assert (await station.ask("3011", PolId=CODE)).code == 2
    (act,) = await station.records("platform-request")
    assert "no usable reading" in act["reason"]


async def test_a_cut_link_ends_no_run_and_a_new_one_gets_the_result(linked: Make) -> None:
    station = await linked()
    one, platform = station.one, station.platform
    qn = platform.send("3011", PolId=CODE, CalibrationType="0")
    await one.until(lambda: ZERO in one.open_ports)
    old = platform.links[-1]
    old.abort()
    await one.until(lambda: old not in platform.links and platform.links)
    await one.until(lambda: one.ready)
    assert await station.records("run-finished")
    # The platform's side of that dialogue is gone: what comes answers nothing it still asks.
    assert platform.codes(qn) == [("9011", "1")]
    assert (await station.ask("3011", PolId=CODE, CalibrationType="0")).code == 1


async def test_results_that_reach_nobody_hold_no_place(linked: Make) -> None:
    station = await linked(2017)
    one, platform = station.one, station.platform
    for count in range(1, 18):
        platform.send("3013", PolId=CODE)
        await one.until(lambda: TARGET in one.open_ports)
        port = await platform.go_away()
        await one.until(lambda: one.ready)
        assert len(await station.records("run-finished")) == count
        await platform.start(port)
        await one.until(lambda: platform.links)
    assert (await station.ask("3013", PolId=CODE)).code == 1


async def test_the_clock_is_set_within_bounds_and_on_record(linked: Make) -> None:
    station = await linked()
    clock = station.one.clock
    late = clock.now() + timedelta(seconds=90)
    assert (await station.ask("1012", SystemTime=render_time(late))).code == 1
    assert clock.now() >= late - timedelta(seconds=1)
    (act,) = await station.records("platform-request")
    assert (act["cn"], act["result"]) == ("1012", "done")
    assert 80 <= act["offset_s"] <= 90
    here = clock.now()
    assert (await station.ask("1012", SystemTime=render_time(here + timedelta(seconds=4000)))).code == 3
    assert (await station.ask("1012", SystemTime=render_time(here - timedelta(days=900)))).code == 3
    assert (await station.ask("1012", SystemTime=render_time(here), PolId=CODE)).code == 3
    assert clock.now() - here < timedelta(seconds=600)
    reasons = [row["reason"] for row in await station.records("platform-request-refused")]
    assert ["beyond 3600" in reason for reason in reasons] == [True, True, False]
