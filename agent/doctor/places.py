"""Where to look: serial ports and TCP peers, and under which settings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serial.tools import list_ports

from agent.config import Bus

# Ports tried where a host is named alone: Modbus TCP; C-Link; Picarro's command interface.
TCP_PORTS: Final = (502, 9880, 51020)
# Kinds of questions: Modbus, and text or frames of a maker.
WAYS: Final = ("modbus", "text")
BY_ID: Final = Path("/dev/serial/by-id")


@dataclass(frozen=True, slots=True)
class Plan:
    """How to look. `units` are Modbus addresses, `ways` the kinds of questions; times are wall seconds."""

    bauds: tuple[int, ...]
    parities: tuple[str, ...]
    units: tuple[int, ...]
    timeout_s: float
    listen_s: float
    ours: bool
    ways: tuple[str, ...] = WAYS


@dataclass(frozen=True, slots=True)
class Place:
    """One serial port (`port` None) or TCP peer; `bus` is that of a running daemon which owns it."""

    name: str
    port: int | None = None
    bus: str | None = None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"

    def wires(self, plan: Plan) -> Iterator[dict[str, Any]]:
        """Wires of a configuration, one for each setting to be tried."""
        if self.port is not None:
            yield {"kind": "tcp", "host": self.name, "port": self.port}
            return
        for baud in plan.bauds:
            for parity in plan.parities:
                yield {"kind": "serial", "device": self.name, "baud": baud, "parity": parity}

    @property
    def protocols(self) -> tuple[str, ...]:
        """What it may speak, in the order it is tried."""
        return ("text", "modbus-rtu") if self.port is None else ("modbus-tcp", "text", "modbus-rtu")


def bus(wire: dict[str, Any], protocol: str) -> Bus:
    """The block of a bus on a wire."""
    return Bus.model_validate({"wire": wire, "protocol": protocol})


def setting(wire: dict[str, Any]) -> str:
    """A wire's setting for people."""
    return "" if wire["kind"] == "tcp" else f"{wire.get('baud', 9600)} 8{wire.get('parity', 'N')}1"


def places(named: list[str]) -> list[Place]:
    """Places by name: `/dev/...`, `HOST`, `HOST:PORT`; every serial port of the machine where none is named.

    Raises ValueError for a port that is no number.
    """
    if not named:
        return [Place(stable(port.device)) for port in sorted(list_ports.comports())]
    found: list[Place] = []
    for name in named:
        host, colon, port = name.rpartition(":")
        if "/" in name:
            found.append(Place(name))
        elif colon:
            found.append(Place(host.strip("[]"), int(port)))
        else:
            found += [Place(name, number) for number in TCP_PORTS]
    return found


def stable(device: str) -> str:
    """The path of a serial port that stays when adapters are plugged in another order, where there is one."""
    links = sorted(BY_ID.iterdir()) if BY_ID.is_dir() else []
    return next((str(link) for link in links if link.resolve() == Path(device).resolve()), device)
