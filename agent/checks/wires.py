"""Rules for wires: what is spoken fits what it is spoken on, and a port is found again when it was unplugged."""

import re
from datetime import datetime
from typing import Final

from agent.checks.findings import Findings
from agent.checks.tls import check_file
from agent.config import Bus, Config
from agent.config_wires import MqttWire, SerialWire, UdpWire

# Names the system gives in the order adapters are found: after a new plugging another one may stand there.
_PASSING: Final = re.compile(r"/dev/tty(?:USB|ACM)\d+")


def check_wires(config: Config, wall: datetime, find: Findings) -> None:
    """Check the wire of every bus; `wall` is real time, by which a broker's certificate is judged."""
    for name, bus in config.buses.items():
        if isinstance(bus.wire, SerialWire):
            _serial(name, bus, bus.wire, find)
        elif isinstance(bus.wire, UdpWire):
            _udp(name, bus, bus.wire, find)
        elif isinstance(bus.wire, MqttWire):
            _mqtt(name, bus, bus.wire, wall, find)


def _serial(name: str, bus: Bus, wire: SerialWire, find: Findings) -> None:
    path = ("buses", name, "wire")
    if _PASSING.fullmatch(wire.device):
        find.warn("port-passing", *path, "device", device=wire.device)
    if bus.protocol == "modbus-tcp":
        find.error("framing", "buses", name, "protocol")
    if bus.protocol == "modbus-rtu" and wire.data_bits != 8:
        find.error("rtu-bits", *path, "data_bits")
    if bus.protocol == "modbus-rtu" and wire.flow == "xonxoff":
        find.error("flow-binary", *path, "flow")
    if wire.rs485 is not None and wire.flow == "rtscts":
        find.error("rts-twice", *path, "flow")


def _udp(name: str, bus: Bus, wire: UdpWire, find: Findings) -> None:
    if wire.port is None and bus.protocol != "stream":
        find.error("udp-port", "buses", name, "wire", at_key=True, protocol=bus.protocol)
    elif wire.port is None and wire.local_port is None:
        find.error("udp-local", "buses", name, "wire", at_key=True)


def _mqtt(name: str, bus: Bus, wire: MqttWire, wall: datetime, find: Findings) -> None:
    path = ("buses", name, "wire")
    if bus.protocol != "stream":
        find.error("mqtt-stream", "buses", name, "protocol", protocol=bus.protocol)
    if wire.password is not None and wire.user is None:
        find.error("mqtt-user", *path, "password", at_key=True)
    if wire.ca is not None:
        check_file((*path, "ca"), wire.ca, wall, find)
