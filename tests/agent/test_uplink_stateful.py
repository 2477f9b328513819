"""The MQTT sender against a hostile line and a centre that forgets: whatever happens, all that is committed arrives.

Messages and acknowledgements are lost, doubled and reordered; the centre refuses a record, is put back to an older
copy; the station is killed, begins epochs, changes what it selects. Then the line heals: everything must come, in
bounded work.
"""

import asyncio
import base64
import shutil
import tempfile
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.config import MqttUplink as UplinkConfig
from agent.store.log import Log
from agent.store.segment import Segment, segment_name, segment_numbers
from agent.uplinks.mqtt_sender import Sender
from host.clock import ManualClock
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import Ack, build_message
from protocols.mqtt.payload import Payload, parse_payload
from protocols.mqtt.topics import Topic
from protocols.mqtt.window import BATCHES_MAX
from protocols.tlog import Frontier, signer_from_seed

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/tower-01")
ALL: Final = ("scan", "average", "event")
# Steps of 5 s in which a healed line must have delivered everything: refusals wait 2**5 times 10 s at most.
HEALED_STEPS: Final = 400
Number = tuple[int, int]


class Inline(Executor):
    """Runs at once, in the caller's thread: every step of the machine is the same again."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor hands on whatever it was
            done.set_exception(error)
        return done


class Centre:
    """What it stores, and how far; copies of that as backups."""

    def __init__(self) -> None:
        self.opening = 0
        self.held: dict[Number, bytes] = {}
        self.coverage: dict[int, Coverage] = {}
        self.copies: list[tuple[dict[Number, bytes], dict[int, Coverage]]] = [({}, {})]
        self.poison: Number | None = None

    def take(self, payload: Payload) -> Ack:
        known = self.coverage.get(payload.epoch, Coverage())
        if self.poison in [(payload.epoch, row.seq) for row in payload.rows]:
            return Ack.of(payload.epoch, known, {payload.prev: "poison"}, str(self.opening))
        for row in payload.rows:
            # Once, whichever message brings it.
            assert self.held.setdefault((payload.epoch, row.seq), row.body) == row.body
        known = self.coverage[payload.epoch] = known.add(payload.prev, payload.last)
        return Ack.of(payload.epoch, known, None, str(self.opening))

    def greeted(self, epoch: int) -> list[Ack]:
        numbers = range(1, epoch + 1)
        return [Ack.of(one, self.coverage.get(one, Coverage()), None, str(self.opening)) for one in numbers]


class Line(RuleBasedStateMachine):
    """A station, a line, a centre."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="stateful"))
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.centre = Centre()
        self.up: list[tuple[str, bytes]] = []
        self.down: list[bytes] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.kinds = ALL
        self.denies: str | None = None
        # Numbers and bodies whose commit returned, by kind.
        self.wanted: dict[Number, bytes] = {}

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    # -- the station

    @initialize(batch=st.sampled_from([1, 3, 200]))
    def begin(self, batch: int) -> None:
        self.batch = batch
        self._open()
        self._connect()

    def _open(self) -> None:
        async def opened() -> None:
            self.log = Log(
                self.folder, self.clock, station_id="tower-01", signer=SIGNER, commit_s=0.0, executor=Inline()
            )
            self.writer = asyncio.create_task(self.log.run())
            block = {
                "kind": "mqtt", "host": "127.0.0.1", "port": 1, "kinds": list(self.kinds), "batch_max": self.batch,
                "window": 4, "backfill_per_s": 1000,
            }  # fmt: skip
            self.sender = Sender("centre", UplinkConfig.model_validate(block), "tower-01", self.log, self.clock)
            await self.sender.load()

        self.run(opened())

    def _connect(self) -> None:
        async def publish(kind: str, payload: bytes) -> bool:
            if kind == self.denies:
                return False
            self.up.append((kind, payload))
            return True

        async def expiring() -> None:
            while True:
                await self.clock.sleep_wall(0.5)
                self.sender.expire()

        async def connected() -> None:
            self.sender.restart()
            sender = self.sender
            parts = (sender.send_live(publish), sender.send_backfill(publish), sender.save_places(), expiring())
            self.tasks = [asyncio.create_task(part) for part in parts]
            for ack in self.centre.greeted(self.log.epoch):
                self.sender.acknowledge(build_message(ack))

        self.run(connected())

    def _disconnect(self) -> None:
        async def ended() -> None:
            for task in self.tasks:
                task.cancel()
            for found in await asyncio.gather(*self.tasks, return_exceptions=True):
                assert isinstance(found, asyncio.CancelledError), found

        self.run(ended())

    @rule(count=st.integers(1, 40), kind=st.sampled_from(ALL))
    def measure(self, count: int, kind: str) -> None:
        async def written() -> None:
            for row in await asyncio.gather(*(self.log.append(kind, {"i": i}) for i in range(count))):
                if kind in self.kinds:
                    self.wanted[row.epoch, row.seq] = row.body

        self.run(written())

    @rule(seconds=st.sampled_from([0.6, 2.0, 15.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.clock.advance(seconds))

    @rule()
    def reconnect(self) -> None:
        self._disconnect()
        self.up.clear()
        self._connect()

    @rule(epoch=st.booleans())
    def kill(self, epoch: bool) -> None:
        """Without a farewell: the place is as old as it was kept last. Perhaps another epoch begins."""
        self._disconnect()
        self._close()
        if epoch:
            newest = sorted(self.folder.glob("log-*.db"), key=segment_numbers)[-1]
            segment = Segment(newest, fold=False)
            following, places = segment.epoch + 1, segment.places().items()
            segment.close()
            Segment.create(self.folder / segment_name(following, 0), following, 0, Frontier(), places).close()
        self.up.clear()
        self._open()
        self._connect()

    def _close(self) -> None:
        self.writer.cancel()
        self.run(asyncio.gather(self.writer, return_exceptions=True))

    @precondition(lambda self: self.kinds == ALL and len(self.wanted) > 5)
    @rule()
    def select_less(self) -> None:
        """A person takes a kind out: it is no longer owed, nor again where the centre had it and forgets."""
        self.kinds = ("average", "event")
        for number in self.run(self._scans()):
            self.wanted.pop(number, None)
        self.kill(epoch=False)

    async def _scans(self) -> set[Number]:
        found: set[Number] = set()
        for epoch in await self.log.epochs():
            rows = await self.log.read(-1, kinds=frozenset({"scan"}), limit=10_000, epoch=epoch)
            found |= {(row.epoch, row.seq) for row in rows}
        return found

    # -- the line

    @precondition(lambda self: self.up)
    @rule(at=st.integers(0, 5), twice=st.booleans(), answered=st.booleans())
    def deliver(self, at: int, twice: bool, answered: bool) -> None:
        kind, data = self.up[at % len(self.up)] if twice else self.up.pop(at % len(self.up))
        ack = self._taken(kind, data)
        if answered:
            self.down.append(ack)
            del self.down[:-50]

    def _taken(self, kind: str, data: bytes) -> bytes:
        payload = parse_payload(Topic("n", "tower-01", "up", kind), data)
        assert isinstance(payload, Payload), payload
        return build_message(self.centre.take(payload))

    @precondition(lambda self: self.up)
    @rule()
    def deliver_all(self) -> None:
        for kind, data in self.up:
            self.down.append(self._taken(kind, data))
        self.up.clear()

    @precondition(lambda self: self.up)
    @rule(at=st.integers(0, 5))
    def lose(self, at: int) -> None:
        self.up.pop(at % len(self.up))

    @precondition(lambda self: self.down)
    @rule(at=st.integers(0, 5), twice=st.booleans())
    def answer(self, at: int, twice: bool) -> None:
        """An acknowledgement, perhaps late, perhaps again; of a centre that has since been put back too."""
        data = self.down[-1 - at % len(self.down)]
        if not twice:
            self.down.remove(data)
        self._answered(data)
        self.run(self.clock.advance(0))

    def _answered(self, data: bytes) -> None:
        async def answered() -> None:
            self.sender.acknowledge(data)

        self.run(answered())

    @rule(kind=st.sampled_from([None, "scan", "backlog"]))
    def deny(self, kind: str | None) -> None:
        self.denies = kind

    # -- the centre

    @precondition(lambda self: self.wanted)
    @rule(at=st.integers(0, 1000))
    def poison(self, at: int) -> None:
        self.centre.poison = sorted(self.wanted)[at % len(self.wanted)]

    @rule()
    def copy(self) -> None:
        self.centre.copies.append((dict(self.centre.held), dict(self.centre.coverage)))

    @rule(at=st.integers(0, 5))
    def put_back(self, at: int) -> None:
        """An older copy of its store, opened anew; what is under way comes to it, answers of the former are late."""
        self.centre.held, self.centre.coverage = map(dict, self.centre.copies[at % len(self.centre.copies)])
        self.centre.opening += 1
        for ack in self.centre.greeted(self.log.epoch):
            self.down.append(build_message(ack))

    # -- what must hold

    @invariant()
    def bounded(self) -> None:
        for task in self.tasks:
            assert not task.done(), task.exception()
        for window in self.sender._windows.values():
            assert len(window._sent) <= BATCHES_MAX
            assert window._sent.keys().isdisjoint(window._aside)

    def teardown(self) -> None:
        try:
            self._heal()
        finally:
            self._disconnect()
            self._close()
            self.loop.close()
            shutil.rmtree(self.folder)

    def _heal(self) -> None:
        """Nothing is lost any more: all that is owed arrives, the refused record apart, and no other is set aside."""
        self.denies = None
        self.reconnect()
        self.down.clear()
        self.run(self.clock.advance(61))
        for ack in self.centre.greeted(self.log.epoch):
            self._answered(build_message(ack))
        for _ in range(HEALED_STEPS):
            if self._complete():
                break
            self.deliver_all() if self.up else None
            for data in self.down:
                self._answered(data)
            self.down.clear()
            self.run(self.clock.advance(5))
        owed = {number: body for number, body in self.wanted.items() if number != self.centre.poison}
        missing = sorted(owed.keys() - self.centre.held.keys())
        assert not missing, missing[:20]
        assert all(self.centre.held[number] == body for number, body in owed.items())

    def _complete(self) -> bool:
        return not self.up and all(number in self.centre.held for number in self.wanted if number != self.centre.poison)


TestLine = Line.TestCase
TestLine.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
