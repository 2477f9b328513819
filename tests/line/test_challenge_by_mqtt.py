"""A challenge over a real broker: the centre asks, the station answers from its disk, the centre judges."""

import asyncio
from typing import Any

from agent.config import MqttUplink as UplinkConfig
from agent.store.log import Place
from agent.uplinks.mqtt import MqttUplink
from agent.uplinks.mqtt_link import link_of
from central.config import Broker
from central.ingest_mqtt import MqttIngest
from central.queries import open_reader
from central.writer import Writer
from host.clock import RealClock
from protocols.mqtt.messages import Birth
from protocols.record import decode, encode


async def until(condition: Any) -> None:
    async with asyncio.timeout(8):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_record_is_asked_for_and_found_as_it_was_or_otherwise(broker: Any, machine: Any, centre: Any) -> None:
    made = machine()
    await made.work(2)
    honest = made.bodies()
    centre.take(honest)
    with centre.store.db:
        for seq in (2, 3):
            centre.challenger.ask("tower-01", 1, seq)
    writer = Writer()
    ingest = MqttIngest(
        Broker(host="127.0.0.1", port=broker.port), centre.config.stations, centre.store, writer, RealClock(),
        centre.challenger,
    )  # fmt: skip
    reader = open_reader(centre.config.store)

    def verdicts() -> list[Any]:
        return reader.execute("SELECT seq, verdict FROM challenge ORDER BY seq").fetchall()

    async with made.running() as log:
        station = made.config.station
        birth = Birth(
            station_id=station.id, network=station.network, t="", epoch=1, name_zh="塔", name_en="tower",
            latitude=31, longitude=121, height_m=10, simulated=False, vkey=made.signer.vkey, series={},
        )  # fmt: skip
        block = UplinkConfig.model_validate({"kind": "mqtt", "host": "127.0.0.1", "port": broker.port})
        uplink = MqttUplink("centre", block, station, log, RealClock(), birth=birth, make_link=link_of)
        # The uplink is there before the centre asks; what it misses would come again after ten minutes.
        forged = encode({**decode(honest[1, 3]), "instrument": "other"})
        await log.call(log.files.live._db.execute, "UPDATE rec SET body = ? WHERE seq = 3", (forged,))
        await log.save_place("centre", Place(1, log.next_seq - 1))
        tasks = [asyncio.create_task(uplink.run())]
        await until(lambda: uplink.status()["connected"])
        tasks.append(asyncio.create_task(ingest.run()))
        await until(lambda: verdicts() == [(2, "intact"), (3, "altered")] or any(task.done() for task in tasks))
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    writer.close()
    reader.close()
    assert centre.events() == [("record-altered-at-rest", 3)]
