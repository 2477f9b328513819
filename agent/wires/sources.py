"""Where scans come from: a poller for each instrument that is asked, a listener for each line that speaks unasked."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.config import Config, Instrument
from agent.wires.bus import AskedBus
from agent.wires.bus_stream import StreamBus
from agent.wires.bus_wire import OnEvent
from agent.wires.listener import Listener
from agent.wires.poller import Poller, Sink
from agent.wires.wire_kinds import MakeWire, wire_of
from drivers.registry import driver, stream_driver
from metrology.clock import Clock


@dataclass(frozen=True, slots=True)
class Sources:
    """All parts that bring scans to the intake."""

    pollers: dict[str, Poller]
    listeners: dict[str, Listener]
    streams: dict[str, StreamBus]


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
        name: poller_of(name, block, buses[block.bus], sink, clock)
        for name, block in config.instruments.items()
        if block.bus in buses
    }
    listeners = {name: _listener(config, name, sink, clock) for name in config.buses if name not in buses}
    streams = {
        name: StreamBus(name, config.buses[name], clock, on_event, listener.feed, make_wire)
        for name, listener in listeners.items()
    }
    return Sources(pollers, listeners, streams)


def poller_of(name: str, block: Instrument, bus: AskedBus, sink: Sink, clock: Clock) -> Poller:
    """What asks one instrument, not yet running. Raises DriverError where the driver refuses its options."""
    asked = driver(block.driver, instrument=name, unit=block.unit, options=block.options)
    return Poller(name, block, asked, bus, sink, clock)


def _listener(config: Config, bus: str, sink: Sink, clock: Clock) -> Listener:
    """All instruments of a stream bus share one driver, which tells them apart by their unit."""
    own = {name: block for name, block in config.instruments.items() if block.bus == bus}
    first = next(iter(own.values()))
    units = {block.unit or 0: name for name, block in own.items()}
    return Listener(own, stream_driver(first.driver, units, first.options), sink, clock)
