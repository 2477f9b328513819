"""Uplinks of a station, made from its configuration with their secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agent.clock.state import ClockState
from agent.config import Config, MqttUplink
from agent.config_hj212 import Hj212Uplink
from agent.gas.calibrator import Calibrator
from agent.gas.maintenance import Maintenance
from agent.store.index import Index
from agent.store.log import Log
from agent.uplinks.mqtt_link import MakeLink, link_of
from agent.values.averaging import SeriesSpec
from agent.values.intake import Intake
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What uplinks need of a station."""

    config: Config
    log: Log
    index: Index
    live: Live
    intake: Intake
    calibrator: Calibrator
    maintenance: Maintenance
    clock: Clock
    vkey: str
    serials: Mapping[str, str]
    make_link: MakeLink = link_of
    clock_state: ClockState | None = None


def uplinks(parts: Parts) -> dict[str, Uplink]:
    """All uplinks, not yet running. The libraries of a kind are loaded only where the kind is used."""
    found: dict[str, Uplink] = {}
    for name, block in parts.config.uplinks.items():
        if isinstance(block, MqttUplink):
            found[name] = _mqtt(name, block, parts)
        else:
            found[name] = _hj212(name, block, parts)
    return found


def _mqtt(name: str, block: MqttUplink, parts: Parts) -> Uplink:
    from agent.uplinks import mqtt
    from host.tls import client_context
    from protocols.mqtt.messages import Birth, BirthSeries

    config, log, clock = parts.config, parts.log, parts.clock
    station = config.station
    # A thousand series have a dozen units among them.
    alike: dict[tuple[str, str], BirthSeries] = {}

    def told(spec: SeriesSpec) -> BirthSeries:
        source = config.instruments.get(spec.series.partition(".")[0])
        # What a stack derives is regulated, whatever it is made of.
        kind = source.kind if source else "regulated"
        return alike.setdefault((spec.unit, kind), BirthSeries(unit=spec.unit, kind=kind))

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
        vkey=parts.vkey,
        series={spec.series: told(spec) for spec in series_of(config)},
    )
    contexts = [
        client_context(Path(one.tls.ca), Path(one.tls.certificate), path_of(one.tls.key)) if one.tls else None
        for one in block.addresses
    ]
    return mqtt.MqttUplink(name, block, station, log, clock, birth=birth, make_link=parts.make_link, tls=contexts)


def _hj212(name: str, block: Hj212Uplink, parts: Parts) -> Uplink:
    from agent.uplinks.hj212 import Hj212Uplink as Uplink212
    from agent.uplinks.hj212_clock import clock_setter
    from agent.uplinks.hj212_gas import GasActs
    from agent.uplinks.hj212_info import Facts
    from agent.uplinks.hj212_terms import Secrets

    config, clock = parts.config, parts.clock
    facts = Facts(
        parts.live.latest,
        parts.intake.ranges,
        parts.intake.coefficients,
        parts.serials,
        lambda: parts.maintenance.held is not None,
        lambda: parts.clock_state is not None and parts.clock_state.held,
    )
    secrets = Secrets(read_secret(block.pw).decode(), read_secret(block.sm4_key) if block.sm4_key else None)
    kept = Path(config.store.path) / f"hj212-{name}.json"
    handlers = GasActs(name, block, parts.calibrator).handlers()
    handlers["1012"] = clock_setter(clock, block.clock_step_max_s, lambda: parts.calibrator.busy, parts.clock_state)
    return Uplink212(
        name, block, config.station, parts.log, parts.index, facts, clock, secrets, kept, handlers=handlers,
        checkpoint_s=config.ledger.checkpoint_s,
    )  # fmt: skip
