"""The centre of the simulation: its real store, witness, MQTT ingest and HJ 212 platform as one process."""

import asyncio
from collections.abc import Callable
from typing import Any

from sim_broker import Broker
from sim_loop import Process, SimClock, SimLoop
from sim_station import FACTORS, MN, PLATFORM, STATION, VKEY

from central.config import Config
from central.ingest_hj212 import Hj212Ingest
from central.ingest_mqtt import MqttIngest
from central.store import Store
from central.writer import Writer
from protocols.tlog_cosign import cosigner_from_seed

WITNESS_SEED = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="


def configuration() -> Config:
    """One enrolled station."""
    place = {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"}
    station = {
        "network": "n", "name_zh": "模拟", "name_en": "simulated", "position": place, "vkey": VKEY,
        "outlets": {"o": {"mn": MN, "st": "31", "pw": {"file": "pw"}, "factors": FACTORS}},
    }  # fmt: skip
    return Config.model_validate(
        {
            "store": "centre.db", "stations": {STATION: station},
            "mqtt": {"host": "127.0.0.1", "port": 1883}, "hj212": {"host": "127.0.0.1", "port": PLATFORM},
        }
    )  # fmt: skip


class Centre:
    """Started and killed like the station; its disk is a good one."""

    def __init__(self, loop: SimLoop, clock: SimClock, broker: Broker, told: Callable[..., None]) -> None:
        self.loop, self.clock, self.broker, self._told = loop, clock, broker, told
        self.config = configuration()
        self.process: Process | None = None
        self.store: Store | None = None
        self.graves: list[Any] = []

    def start(self) -> None:
        """Start."""
        process = self.process = Process("centre")
        context = process.context()
        task = self.loop.create_task(context.run(self._made), context=context)
        task.add_done_callback(lambda done: self._done(process, done), context=self.loop.net.context)
        self.graves.append((process, task))

    def _made(self) -> Any:
        config, clock = self.config, self.clock
        store = self.store = Store(
            config.store, config.stations, lambda: clock.now().timestamp(), cosigner_from_seed(WITNESS_SEED, "w")
        )
        store.db.pragma("synchronous", "OFF")  # its power never fails here
        parts = (config.stations, store, Writer(), clock)
        assert config.mqtt is not None, "configured"
        assert config.hj212 is not None, "configured"
        mqtt, hj212 = MqttIngest(config.mqtt, *parts), Hj212Ingest(config.hj212, *parts)
        mqtt._client = self.broker.client  # type: ignore[method-assign,assignment]
        self.graves.append((mqtt, hj212, store))
        return self._run(mqtt, hj212)

    async def _run(self, mqtt: MqttIngest, hj212: Hj212Ingest) -> None:
        await hj212.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(mqtt.run())
            group.create_task(hj212.run())

    def _done(self, process: Process, task: "asyncio.Task[None]") -> None:
        if process.alive:
            process.alive = False
            error = task.exception()
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self._told("violation", rule="centre", text=f"the centre ended: {type(error).__name__} {error}")

    def die(self) -> None:
        """Kill it: what it had not committed is gone."""
        if self.process is not None:
            self.process.alive = False
