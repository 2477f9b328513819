"""Which wire a bus declares."""

from collections.abc import Callable

from agent.config import Bus, SerialWire
from agent.wires.wire import Wire
from agent.wires.wire_serial import SerialPort
from agent.wires.wire_tcp import TcpPeer

# The wire of a bus, by its name and what it declares; a recording daemon makes wires that also write down.
MakeWire = Callable[[str, Bus], Wire]


def wire_of(name: str, config: Bus) -> Wire:
    """The wire a bus declares, closed."""
    return SerialPort(config.wire) if isinstance(config.wire, SerialWire) else TcpPeer(config.wire)
