"""The centre's store is put back to an older copy: stations notice by the next acknowledgement, and deliver again."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw

from agent.config import MqttUplink as UplinkConfig
from agent.store.segment import Segment, segment_name, segment_numbers
from agent.uplinks.mqtt import MqttUplink
from agent.uplinks.mqtt_link import link_of
from central.config import Broker
from central.ingest_mqtt import MqttIngest
from central.store import Store
from central.writer import Writer
from host.clock import RealClock
from protocols.mqtt.messages import Birth
from protocols.record import KINDS
from protocols.tlog import Frontier


async def until(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def ingest(port: int, centre: Any, file: Path) -> AsyncIterator[Store]:
    """The centre with its store in `file`, as a process would open it."""
    centre.now += 60
    store = Store(str(file), centre.config.stations, lambda: centre.now, centre.cosigner)
    writer = Writer()
    task = asyncio.create_task(
        MqttIngest(Broker(host="127.0.0.1", port=port), centre.config.stations, store, writer, RealClock()).run()
    )
    try:
        yield store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
        store.close()


@contextlib.asynccontextmanager
async def uplink(port: int, made: Any, log: Any) -> AsyncIterator[MqttUplink]:
    station = made.config.station
    birth = Birth(
        station_id=station.id, network=station.network, t="", epoch=1, name_zh="塔", name_en="tower",
        latitude=31, longitude=121, height_m=10, simulated=False, vkey=made.signer.vkey, series={},
    )  # fmt: skip
    block = UplinkConfig.model_validate({"kind": "mqtt", "host": "127.0.0.1", "port": port})
    one = MqttUplink("centre", block, station, log, RealClock(), birth=birth, make_link=link_of)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def held(file: Path) -> dict[tuple[int, int], bytes]:
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {(epoch, seq): body for epoch, seq, body in db.execute("SELECT epoch, seq, body FROM record")}
    finally:
        db.close()


async def missing(log: Any, file: Path) -> dict[tuple[int, int], bytes]:
    """Records of the log that the store has not, or otherwise."""
    rows = [row for epoch in await log.epochs() for row in await log.read(-1, kinds=KINDS, limit=500, epoch=epoch)]
    found = held(file)
    return {(row.epoch, row.seq): row.body for row in rows if found.get((row.epoch, row.seq)) != row.body}


async def complete(up: MqttUplink, log: Any, file: Path) -> None:
    async with asyncio.timeout(15):
        while up.status()["earlier_epochs"] or await missing(log, file):
            await asyncio.sleep(0.01)


async def test_what_the_older_copy_lacks_is_sent_again_by_a_station_that_stayed_connected(
    broker: Any, machine: Any, centre: Any, tmp_path: Path
) -> None:
    file, copy = tmp_path / "store.db", tmp_path / "copy.db"
    made = machine()
    await made.work(2)
    async with made.running() as log, uplink(broker.port, made, log) as up:
        async with ingest(broker.port, centre, file):
            await until(lambda: up.status().get("acknowledged") == log.next_seq - 1)
        shutil.copy(file, copy)
        early = set(held(copy))
        async with ingest(broker.port, centre, file):
            for _ in range(3):
                await made.minute(log, 400.0)
            await log.post_checkpoint()
            await until(lambda: up.status().get("acknowledged") == log.next_seq - 1)
        shutil.copy(copy, file)
        async with ingest(broker.port, centre, file) as store:
            # Nobody reconnects: it is the next record whose acknowledgement says less than before.
            await made.minute(log, 400.0)
            await until(lambda: log.pending == 0 and up.status().get("acknowledged") == log.next_seq - 1)
            told = [row.fields for row in await log.read(-1, kinds=frozenset({"event"}), limit=500)]
            fell = [one for one in told if one["what"] == "centre-fell-back"]
            assert [(one["of_epoch"], one["held"]) for one in fell] == [(1, max(early)[1])]
            assert fell[0]["acknowledged"] > fell[0]["held"]
            events = store.db.execute("SELECT what FROM event WHERE origin = 'centre'").fetchall()
            assert events == []
            await complete(up, log, file)


async def test_an_epoch_that_was_finished_is_looked_through_again(
    broker: Any, machine: Any, centre: Any, tmp_path: Path
) -> None:
    file, copy = tmp_path / "store.db", tmp_path / "copy.db"
    made = machine()
    await made.work(2)
    async with made.running() as log, uplink(broker.port, made, log) as up, ingest(broker.port, centre, file):
        await until(lambda: up.status().get("acknowledged") == log.next_seq - 1)
    shutil.copy(file, copy)
    await made.work(2)
    newest = sorted(made.segments.glob("log-*.db"), key=segment_numbers)[-1]
    segment = Segment(newest, fold=False)
    places = segment.places().items()
    segment.close()
    Segment.create(newest.with_name(segment_name(2, 0)), 2, 0, Frontier(), places).close()
    async with made.running() as log, uplink(broker.port, made, log) as up:
        async with ingest(broker.port, centre, file):
            await made.minute(log, 400.0)
            await until(lambda: up.status().get("acknowledged") == log.next_seq - 1)
            await until(lambda: up.status()["earlier_epochs"] == 0)
        shutil.copy(copy, file)
        async with ingest(broker.port, centre, file):
            await made.minute(log, 400.0)
            await complete(up, log, file)
