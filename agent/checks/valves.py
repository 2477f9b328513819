"""Rules for valves: each port has what its kind of valve opens it by, and without power no gas flows unattended."""

from typing import Final

from agent.checks.findings import Findings
from agent.config import Config
from agent.config_gas import Valve

# What a port of each kind has, and keys of a valve that only one kind has.
_PORT_KEYS: Final = {"coils": "coil", "vici": "position", "picarro": "mask"}
_OWN_KEYS: Final = {"dead_man_s": "coils", "id": "vici"}


def check_valve(name: str, valve: Valve, config: Config, find: Findings) -> None:
    """Check one valve by itself."""
    if find.known("bus-unknown", valve.bus, config.buses, "valves", name, "bus"):
        _protocol(name, valve, config.buses[valve.bus].protocol, find)
    find.known("sample-port-unknown", valve.sample, valve.ports, "valves", name, "sample")
    _port_keys(name, valve, find)
    for key, kind in _OWN_KEYS.items():
        if getattr(valve, key) and valve.kind != kind:
            find.error("valve-key", "valves", name, key, at_key=True, key=key, kind=kind, found=valve.kind)
    _without_power(name, valve, find)


def _protocol(name: str, valve: Valve, protocol: str, find: Findings) -> None:
    fits = ("modbus-rtu", "modbus-tcp") if valve.kind == "coils" else ("text",)
    if protocol not in fits:
        wanted = ", ".join(fits)
        find.error(
            "valve-protocol", "valves", name, "bus", bus=valve.bus, kind=valve.kind, found=protocol, wanted=wanted
        )
    if valve.kind == "coils" and valve.unit is None:
        find.error("valve-unit-missing", "valves", name, at_key=True)


def _port_keys(name: str, valve: Valve, find: Findings) -> None:
    wanted = _PORT_KEYS[valve.kind]
    taken: dict[int, str] = {}
    for port, block in valve.ports.items():
        given = block.model_dump(exclude_none=True)
        path = ("valves", name, "ports", port)
        if set(given) != {wanted}:
            find.error("port-key", *path, at_key=True, port=port, kind=valve.kind, wanted=wanted)
        elif (other := taken.setdefault(given[wanted], port)) != port:
            find.error("coil-taken", *path, wanted, key=wanted, value=given[wanted], other=other)


def _without_power(name: str, valve: Valve, find: Findings) -> None:
    """A valve that stays has no passive way home: at the least the gas must end by itself."""
    path = ("valves", name, "on_power_loss")
    if valve.kind == "vici" and valve.on_power_loss != "stays":
        find.error("valve-always-stays", *path, found=valve.on_power_loss)
    elif valve.on_power_loss == "stays" and not valve.upstream_shutoff_closes_without_power:
        find.error("valve-stays-open", *path)
    elif valve.on_power_loss == "stays":
        find.warn("valve-no-passive-way", *path)
