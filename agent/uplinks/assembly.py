"""Uplinks of a station, made from its configuration with their secrets."""

from pathlib import Path
from typing import Any, Protocol

from agent.config import Config, MqttUplink
from agent.config_hj212 import Hj212Uplink
from agent.store.log import Log
from agent.values.live import Live
from agent.values.series import series_of
from host.secrets import path_of, read_secret
from metrology.clock import Clock
from metrology.periods import iso


class Uplink(Protocol):
    """A reader of the log with its own place."""

    async def run(self) -> None:
        """Send for ever; reconnects by itself."""

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything committed that it selects is acknowledged, at most so many wall seconds."""

    def status(self) -> dict[str, Any]:
        """State for people."""


def uplinks(config: Config, log: Log, live: Live, clock: Clock, vkey: str) -> dict[str, Uplink]:
    """All uplinks, not yet running. The libraries of a kind are loaded only where the kind is used."""
    found: dict[str, Uplink] = {}
    for name, block in config.uplinks.items():
        if isinstance(block, MqttUplink):
            found[name] = _mqtt(name, block, config, log, clock, vkey)
        else:
            found[name] = _hj212(name, block, config, log, live, clock)
    return found


def _mqtt(name: str, block: MqttUplink, config: Config, log: Log, clock: Clock, vkey: str) -> Uplink:
    from agent.uplinks import mqtt
    from host.tls import client_context
    from protocols.mqtt.messages import Birth, BirthSeries

    station, tls = config.station, block.tls
    birth = Birth(
        station_id=station.id,
        network=station.network,
        t=iso(clock.now()),
        epoch=log.epoch,
        name_zh=station.name_zh,
        name_en=station.name_en,
        latitude=station.position.latitude,
        longitude=station.position.longitude,
        height_m=station.position.height_m,
        simulated=log.simulated,
        vkey=vkey,
        series={
            spec.series: BirthSeries(unit=spec.unit, kind=config.instruments[spec.series.split(".")[0]].kind)
            for spec in series_of(config)
        },
    )
    context = client_context(Path(tls.ca), Path(tls.certificate), path_of(tls.key)) if tls else None
    return mqtt.MqttUplink(name, block, station, log, clock, birth=birth, tls=context)


def _hj212(name: str, block: Hj212Uplink, config: Config, log: Log, live: Live, clock: Clock) -> Uplink:
    from agent.uplinks import hj212

    password = read_secret(block.pw).decode()
    set_time = clock.set_wall if block.set_clock else None
    return hj212.Hj212Uplink(name, block, config.station, log, live, clock, password, set_time=set_time)
