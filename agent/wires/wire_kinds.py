"""Which wire a bus declares."""

from collections.abc import Callable

from agent.config import Bus
from agent.config_wires import MqttWire, SerialWire, TcpWire
from agent.wires.wire import Wire
from agent.wires.wire_tcp import TcpPeer

# The wire of a bus, by its name and what it declares; a recording daemon makes wires that also write down.
MakeWire = Callable[[str, Bus], Wire]


def wire_of(name: str, config: Bus) -> Wire:
    """The wire a bus declares, closed. A station carries only the kinds it has."""
    match config.wire:
        case SerialWire():
            from agent.wires.wire_serial import SerialPort

            return SerialPort(config.wire)
        case TcpWire():
            return TcpPeer(config.wire)
        case MqttWire():
            from agent.wires.wire_mqtt import MqttPeer

            return MqttPeer(config.wire)
    from agent.wires.wire_udp import UdpPeer

    return UdpPeer(config.wire)
