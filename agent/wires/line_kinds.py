"""Which line a bus declares on its wire."""

from agent.config import Bus
from agent.wires.line import Line, TextLine
from agent.wires.wire import Wire


def line_for(config: Bus, wire: Wire) -> Line:
    """The line a bus declares on its wire. Raises ValueError for a bus that is only listened to."""
    if config.protocol == "stream":
        raise ValueError("a stream bus is listened to, not asked")
    if config.protocol == "text":
        return TextLine(wire, config)
    # A station without Modbus need not carry its library.
    from agent.wires.line_modbus import ModbusLine

    return ModbusLine(wire, config)
