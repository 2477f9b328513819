"""The shape of a station's configuration: one HJSON file, strict, frozen, secrets by reference only.

This module holds shape alone; `agent.checks` holds what must agree between parts, `host.hjson` finds line and column,
`agent/checks/keys.toml` says in two languages what each key means.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent.config_clock import ClockCare
from agent.config_cylinders import Cylinder
from agent.config_density import Density
from agent.config_firmware import Firmware
from agent.config_gas import Guard, Sequence, Valve
from agent.config_hj212 import Hj212Uplink
from agent.config_qa import Declared, Qa
from agent.config_since import Since
from agent.config_stack import Stack
from agent.config_store import Store
from agent.config_tls import StationTls
from agent.config_wires import MqttWire, SerialWire, TcpWire, UdpWire
from host.hjson import Strict
from host.secrets import SecretRef
from host.shapes import Name, Position, Tls, WebPage
from protocols.tlog_cosign import WitnessKey


class Station(Strict):
    """Identity. `id` is permanent: topics, certificates, ledger and business key carry it."""

    id: Name
    network: Name
    name_zh: str
    name_en: str
    position: Position
    day_start_utc_offset_h: float = Field(default=8, ge=-12, le=14)
    simulated: bool = False


class Ledger(Strict):
    """Ed25519 key (32-byte seed, base64) that signs checkpoints, and how often one is made."""

    key: SecretRef
    checkpoint_s: float = Field(default=300, ge=10, le=3600)


class Bus(Strict):
    """One line with one owner. `timeout_s` is wall time for one answer, `gap_ms` the silence kept between requests."""

    wire: Annotated[SerialWire | TcpWire | UdpWire | MqttWire, Field(discriminator="kind")]
    protocol: Literal["modbus-rtu", "modbus-tcp", "text", "stream"]
    timeout_s: float = Field(default=1.0, gt=0, le=60)
    gap_ms: int = Field(default=0, ge=0, le=10000)


class SeriesOptions(Strict):
    """What a site declares of one measurand of an instrument. The range must be the analyzer's own (design, 13.8)."""

    minimum: float | None = None
    maximum: float | None = None


class Instrument(Strict):
    """One instrument on one bus. `poll_s` is absent where the instrument speaks unasked."""

    driver: str
    bus: Name
    unit: int | None = Field(default=None, ge=0, le=65535)
    poll_s: float | None = Field(default=None, ge=0.001, le=86400)
    kind: Literal["regulated", "research"]
    rule: Literal["hj-stack", "hj-ambient", "ghg"]
    options: dict[str, str | int | float | bool | list[str]] = Field(default={})
    series: dict[str, SeriesOptions] = Field(default={})
    expected_per_minute: float | None = Field(default=None, gt=0)
    serial_number: str | None = None
    declared: Declared | None = None
    qa: Qa | None = None
    density: Density | None = None
    position: Position | None = None
    optional: bool = False


def _witness(text: str) -> str:
    WitnessKey.from_vkey(text)
    return text


class MqttBroker(Strict):
    """A broker by which a centre can be reached."""

    host: str
    port: int = Field(ge=1, le=65535)
    tls: Tls | None = None


class MqttUplink(Strict):
    """To a centre of ours: the record is the message; done means acknowledged by the centre, not by the broker."""

    kind: Literal["mqtt"]
    host: str
    port: int = Field(ge=1, le=65535)
    tls: StationTls | None = None
    brokers: list[MqttBroker] = Field(default=[], max_length=8)
    return_s: float = Field(default=600, ge=1)
    version: Literal["5", "3.1.1"] = "5"
    since: Since = "beginning"
    kinds: list[Literal["scan", "average", "calibration", "event", "config", "checkpoint", "gap"]] = Field(
        default=["scan", "average", "calibration", "event", "config", "checkpoint", "gap"]
    )
    window: int = Field(default=20, ge=1, le=50)
    batch_max: int = Field(default=200, ge=1, le=1000)
    backfill_per_s: float = Field(default=2000, gt=0)
    witness: Annotated[str, AfterValidator(_witness)] | None = None

    @property
    def addresses(self) -> list[MqttBroker]:
        """All brokers in the order in which they are tried."""
        return [MqttBroker(host=self.host, port=self.port, tls=self.tls), *self.brokers]


class Page(WebPage):
    """The station page, a process of its own. Listens on loopback unless told otherwise."""

    port: int = Field(ge=1, le=65535)


class Config(Strict):
    """A whole station."""

    station: Station
    store: Store
    clock: ClockCare = ClockCare()
    ledger: Ledger
    buses: dict[Name, Bus]
    instruments: dict[Name, Instrument]
    stacks: dict[Name, Stack] = Field(default={})
    valves: dict[Name, Valve] = Field(default={})
    cylinders: dict[Name, Cylinder] = Field(default={})
    guards: dict[Name, Guard] = Field(default={})
    sequences: dict[Name, Sequence] = Field(default={})
    uplinks: dict[Name, Annotated[Hj212Uplink | MqttUplink, Field(discriminator="kind")]] = Field(default={})
    firmware: Firmware | None = None
    socket: str
    page: Page | None = None
