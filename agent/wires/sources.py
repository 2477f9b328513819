"""Where scans come from: a poller for each instrument that is asked, a listener for each line that speaks unasked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agent.config import Config, Instrument
from agent.wires.bus import AskedBus
from agent.wires.bus_stream import StreamBus
from agent.wires.bus_wire import OnEvent
from agent.wires.listener import Listener
from agent.wires.poller import Poller, Sink
from agent.wires.wire_kinds import MakeWire, wire_of
from drivers.registry import driver, stream_driver
from metrology.clock import Clock

if TYPE_CHECKING:
    from agent.firmware.line import BoardLine

# The part of a second, or of a shorter period, over which instruments of one instant are spread.
SPREAD: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sources:
    """All parts that bring scans to the intake."""

    pollers: dict[str, Poller]
    listeners: dict[str, Listener]
    streams: dict[str, StreamBus]
    lines: "dict[str, BoardLine]" = field(default_factory=dict)


def sources(
    config: Config,
    buses: Mapping[str, AskedBus],
    sink: Sink,
    clock: Clock,
    on_event: OnEvent,
    make_wire: MakeWire = wire_of,
) -> Sources:
    """Make the parts, not yet running. Raises DriverError where a driver refuses its options."""
    pollers = {
        name: poller_of(name, block, buses[block.bus], sink, clock, offset_s)
        for (name, block), offset_s in zip(config.instruments.items(), offsets_s(config), strict=True)
        if block.bus in buses
    }
    listeners = {name: listener_of(config, name, sink, clock) for name in config.buses if name not in buses}
    lines = _board_lines(listeners) if listeners else {}
    streams = {
        name: StreamBus(name, config.buses[name], clock, on_event, (lines.get(name) or listener).feed, make_wire)
        for name, listener in listeners.items()
    }
    for name, line in lines.items():
        line.attach(streams[name].write)
    return Sources(pollers, listeners, streams, lines)


def _board_lines(listeners: Mapping[str, Listener]) -> "dict[str, BoardLine]":
    # Only a station that is spoken to unasked can have boards, and carries what manages them.
    from agent.firmware.line import BoardLine
    from firmware_bridge.board import Boards

    return {
        name: BoardLine(name, listener.driver, listener.feed)
        for name, listener in listeners.items()
        if isinstance(listener.driver, Boards)
    }


def offsets_s(config: Config) -> list[float]:
    """How long after whole multiples of its period each instrument is asked, in the order of the configuration.

    Evenly over a part of a second, or of a shorter period: a hundred questions in one instant would wait for each
    other, and what they bring is still of the same quarter of a second.
    """
    count = len(config.instruments)
    return [
        min(block.poll_s or 1.0, 1.0) * SPREAD * place / count
        for place, block in enumerate(config.instruments.values())
    ]


def poller_of(name: str, block: Instrument, bus: AskedBus, sink: Sink, clock: Clock, offset_s: float = 0.0) -> Poller:
    """What asks one instrument, not yet running. Raises DriverError where the driver refuses its options."""
    asked = driver(block.driver, instrument=name, unit=block.unit, options=block.options)
    return Poller(name, block, asked, bus, sink, clock, offset_s)


def listener_of(config: Config, bus: str, sink: Sink, clock: Clock) -> Listener:
    """All instruments of a stream bus share one driver, which tells them apart by their unit."""
    own = {name: block for name, block in config.instruments.items() if block.bus == bus}
    first = next(iter(own.values()))
    units = {block.unit or 0: name for name, block in own.items()}
    return Listener(own, stream_driver(first.driver, units, first.options), sink, clock)
