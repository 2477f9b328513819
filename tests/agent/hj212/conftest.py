"""A station's log and its HJ 212 uplinks against the platform's own session, over real TCP."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config import Station
from agent.config_hj212 import Hj212Uplink as Config
from agent.store.index import Index
from agent.store.log import Log
from agent.uplinks.hj212 import Hj212Uplink
from agent.uplinks.hj212_info import Facts
from agent.uplinks.hj212_requests import Handler
from agent.uplinks.hj212_terms import Secrets
from agent.values.live import Live
from host.clock import AcceleratedClock, ManualClock, RealClock
from host.hj212 import Link
from host.shapes import Position
from metrology.reading import Average, Measurement, Reading
from protocols.hj212.message import Area
from protocols.hj212.platform import PlatformSession
from protocols.hj212.profile import Profile
from protocols.hj212.session import Identity, Notified, Output, RequestEnded, Uploaded
from protocols.record import averages_fields
from protocols.tlog import signer_from_seed

MN = "0100B1F2A00002A00000007B"
PASSWORD = "pw9x7q"
KEY = b"0123456789abcdef"
T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/stack-01")

Clock = RealClock | AcceleratedClock | ManualClock


class Platform:
    """The platform's end, and what it was sent. `silent_on` names uploads that it never answers."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.silent_on: Callable[[Uploaded], bool] = lambda _: False
        self.uploads: list[Uploaded] = []
        self.told: list[Output] = []
        self.server: asyncio.Server | None = None
        self.open: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.stations = {MN: Identity(MN, PASSWORD)}
        self.hangs_up = False
        self.lines: list[tuple[PlatformSession, Link]] = []
        self.unanswered: list[Callable[[], None]] = []
        self.asked: dict[str, asyncio.Future[RequestEnded]] = {}

    async def start(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return self.port

    @property
    def port(self) -> int:
        assert self.server is not None
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        await self.cut()

    async def cut(self) -> None:
        """Break every connection."""
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
            match output:
                case Uploaded():
                    self.uploads.append(output)
                    if self.silent_on(output):
                        self.unanswered.append(lambda: link.perform(session.accepted(output.message)))
                    else:
                        link.perform(session.accepted(output.message))
                case RequestEnded(qn) if qn in self.asked and not self.asked[qn].done():
                    self.asked[qn].set_result(output)
                case _:
                    self.told.append(output)

        link = Link(session, reader, writer, self.clock, take)
        self.lines.append((session, link))
        task = asyncio.ensure_future(link.run())
        self.open.add(task)
        await asyncio.wait([task])

    def ask(self, cn: str, area: Area = (), mn: str = MN) -> "asyncio.Future[RequestEnded]":
        session, link = self.lines[-1]
        qn, outputs = session.request(mn, cn, area, link.now)
        self.asked[qn] = asyncio.get_running_loop().create_future()
        link.perform(outputs)
        return self.asked[qn]

    async def request(self, cn: str, mn: str = MN, **fields: str) -> RequestEnded:
        """Ask; gives how it ended."""
        async with asyncio.timeout(10):
            return await self.ask(cn, tuple(((name, value),) for name, value in fields.items()), mn)

    def release(self) -> None:
        """Answer all, also what was held back."""
        self.silent_on = lambda _: False
        for answer in self.unanswered:
            answer()

    def of(self, cn: str) -> list[Uploaded]:
        return [one for one in self.uploads if one.message.cn == cn]

    def notices(self, cn: str) -> list[Notified]:
        return [one for one in self.told if isinstance(one, Notified) and one.message.cn == cn]

    @property
    def minutes(self) -> list[int]:
        return [minute_of(one) for one in self.of("2051")]


def minute_of(one: Uploaded) -> int:
    assert one.upload is not None
    return int((one.upload.data_time - T0).total_seconds()) // 60


class Rig:
    """One station's log, index and latest values; uplinks as asked for."""

    MN, PASSWORD, KEY, T0, SIGNER = MN, PASSWORD, KEY, T0, SIGNER

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock: Clock = RealClock()
        self.live = Live()
        self.log: Log = None  # type: ignore[assignment]
        self.index: Index = None  # type: ignore[assignment]
        self.facts: dict[str, Any] = {}
        self.handlers: dict[str, Handler] = {}

    def config(self, port: int, **changes: object) -> Config:
        fields: dict[str, object] = {
            "kind": "hj212", "host": "127.0.0.1", "port": port, "outlet": "stack", "mn": MN, "pw": {"file": "pw"},
            "overtime_s": 1, "recount": 1,
            "factors": {
                "a21026": {"series": "stack.so2"},
                "a05001": {"series": "stack.co2", "unit": "mg/m3", "decimals": 1, "state": "stack-dry"},
            },
        }  # fmt: skip
        return Config.model_validate(fields | changes)

    def station(self, *, simulated: bool = False) -> Station:
        position = Position(latitude=30.0, longitude=120.0, height_m=10.0, datum="WGS-84")
        return Station(id="stack-01", network="n", name_zh="站", name_en="S", position=position, simulated=simulated)

    def average(
        self, series: str, start: datetime, mean: float | None, period_s: int = 60, **changes: object
    ) -> Average:
        fields: dict[str, object] = {
            "series": series, "unit": "mg/m3", "start": start, "period_s": period_s, "n": 60, "valid_fraction": 1.0,
            "mean": mean, "minimum": mean, "maximum": mean, "sd": 0.0, "rule": "hj-stack",
        }  # fmt: skip
        return Average(**(fields | changes))  # type: ignore[arg-type]

    def minute(self, n: int, mean: float | None = None, **changes: object) -> dict[str, Any]:
        start = T0 + timedelta(minutes=n)
        return averages_fields([self.average("stack.so2", start, float(n) if mean is None else mean, **changes)])

    async def put(self, *averages: Average) -> Any:
        return await self.log.append("average", averages_fields(averages))

    @contextlib.asynccontextmanager
    async def logging(self, *, simulated: bool = False) -> AsyncIterator[Log]:
        self.log = Log(
            self.folder, self.clock, station_id="stack-01", signer=SIGNER, commit_s=0.0, simulated=simulated,
            on_commit=lambda rows: self.index.add(rows),
        )  # fmt: skip
        self.index = Index(self.folder / "station.db", self.folder, self.log.files)
        task = asyncio.create_task(self.log.run())
        try:
            yield self.log
        finally:
            task.cancel()
            await asyncio.wait([task])
            self.index.close()

    def uplink(
        self, port: int, name: str = "gov", *, pw: str = PASSWORD, key: bytes | None = None,
        simulated_allowed: bool | None = None, **changes: object,
    ) -> Hj212Uplink:  # fmt: skip
        facts = Facts(self.live.latest, **self.facts)
        return Hj212Uplink(
            name, self.config(port, **changes), self.station(simulated=self.log.simulated), self.log, self.index, facts,
            self.clock, Secrets(pw, key), self.folder / f"hj212-{name}.json", handlers=self.handlers,
            simulated_allowed=simulated_allowed,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running(self, uplink: Hj212Uplink) -> AsyncIterator[Hj212Uplink]:
        task = asyncio.create_task(uplink.run())
        try:
            yield uplink
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None, task.exception()

    @contextlib.asynccontextmanager
    async def sending(self, port: int, *args: Any, **changes: Any) -> AsyncIterator[Hj212Uplink]:
        """A log and one uplink on it, connected."""
        async with self.logging(), self.running(self.uplink(port, *args, **changes)) as uplink:
            await self.until(lambda: uplink.status()["connected"])
            yield uplink

    def measure(self, series: str, value: float | None, at: datetime | None = None, **changes: Any) -> None:
        instrument, _, measurand = series.partition(".")
        unit = {"o2": "%"}.get(measurand, "mg/m3")
        reading = Reading(instrument, measurand, value, unit, at or self.clock.now(), **changes)
        self.live.update(Measurement(reading, value))

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def events(self) -> list[dict[str, Any]]:
        """All events, those committed last too."""
        await self.log.append("event", {"what": "last", "origin": "test"})
        rows = await self.log.read(-1, kinds=frozenset({"event"}), limit=500)
        return [record.fields for record in rows][:-1]

    def identity(self, edition: int = 2017, **changes: Any) -> Identity:
        fields = {"mn": MN, "pw": PASSWORD, "profile": Profile.strict(edition)}
        return Identity(**(fields | changes))

    def clock_at(self, at: datetime) -> Clock:
        """A clock that goes on from there."""
        return AcceleratedClock(datetime.now(UTC).timestamp(), at.timestamp(), 1.0)

    def platform(self) -> Platform:
        return Platform(self.clock)


@pytest.fixture
def hj(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
async def platform(hj: Rig) -> AsyncIterator[Platform]:
    made = hj.platform()
    yield made
    await made.stop()
