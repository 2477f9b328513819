"""The three simulated stations as a configuration needs them: identity, places, wires, ranges, standard gases."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from simulation import cems
from simulation.layout import Layout, Position, Scenario

Block = dict[str, Any]

STACK, TOWER, FIELD = "stack-01", "tower-01", "field-01"
PTYS: Final = ("tower-01.ndir", "tower-01.weather", "field-01.gateway-1", "field-01.gateway-2",
               "field-01.pm", "field-01.weather")  # fmt: skip
PORTS: Final = ("stack-01.plc", "tower-01.crds", "tower-01.valve")
STACK_PORTS: Final = ("sample", "zero", "span")
TOWER_PORTS: Final = ("sample", "zero", "span", "target")
STACK_GASES: Final = {
    "zero": {"so2": 0.0, "nox": 0.0, "o2": 0.0, "co2_percent": 0.0},
    "span": {"so2": 80.0, "nox": 120.0, "o2": 18.0, "co2_percent": 15.0},
}
TOWER_GASES: Final = {
    "zero": {"CO2": 0.0, "CH4": 0.0},
    "span": {"CO2": 449.62, "CH4": 2.2147},
    "target": {"CO2": 424.18, "CH4": 2.0436},
}
WEATHER: Final = ("wind_direction", "wind_speed", "air_temperature", "relative_humidity", "air_pressure")
_SCALES: Final = {"co2_dry": "WMO CO2 X2019", "ch4_dry": "WMO CH4 X2004A"}
_NAMES: Final = {
    STACK: ("Stack 1", "一号烟囱"), TOWER: ("North-west tower", "西北塔"), FIELD: ("Well field", "井场微站"),
}  # fmt: skip


def cylinders(start: datetime) -> Block:
    """Standard gases by station and port, in the shape of an agent's `cylinders` block."""
    expires = (start + timedelta(days=540)).date().isoformat()
    stack = {f"{STACK}-{port}": {g: _assigned(v, "mg/m3" if g in ("so2", "nox") else "%", 0.01, "GBW(E) 060000")
                                 for g, v in gases.items()} for port, gases in STACK_GASES.items()}  # fmt: skip
    tower = {f"{TOWER}-{port}": {f"{g.lower()}_dry": _assigned(v, "umol/mol", 0.0002, _SCALES[f"{g.lower()}_dry"])
                                 for g, v in gases.items()} for port, gases in TOWER_GASES.items()}  # fmt: skip
    return {
        name: {"number": f"SIM-{n:04d}", "certificate": f"simulated-{n:04d}", "expires": expires, "assigned": assigned}
        for n, (name, assigned) in enumerate((stack | tower).items(), 1)
    }


def _assigned(value: float, unit: str, relative: float, scale: str) -> Block:
    return {"value": value, "unit": unit, "uncertainty": round(value * relative, 6), "scale": scale}


@dataclass(frozen=True, slots=True)
class Site:
    """What a description is made from. `ports` is empty where no simulation runs: then a port is null."""

    scenario: Scenario
    wires: Path
    ports: Mapping[str, int]

    def serial(self, name: str, baud: int, stop_bits: int = 1) -> Block:
        """A serial wire."""
        return {"kind": "serial", "device": str(self.wires / name), "baud": baud, "stop_bits": stop_bits}

    def tcp(self, name: str) -> Block:
        """A TCP wire."""
        return {"kind": "tcp", "host": "127.0.0.1", "port": self.ports.get(name)}

    def place(self, position: Position) -> Block:
        """A position in degrees."""
        latitude, longitude = self.scenario.to_degrees(position.x, position.y)
        return {"latitude": round(latitude, 7), "longitude": round(longitude, 7), "height_m": position.height_m,
                "datum": "WGS-84"}  # fmt: skip


def description(site: Site, crds: Block) -> Block:
    """Everything of `layout.json`; `crds` is how the analyzer on the tower answers."""
    layout = Layout.of(site.scenario)
    found = {STACK: _stack(site, layout), TOWER: _tower(site, layout, crds), FIELD: _field(site, layout)}
    for name, station in found.items():
        station |= {"network": "demo", "name_en": _NAMES[name][0], "name_zh": _NAMES[name][1], "simulated": True}
    origin = {"latitude": site.scenario.latitude, "longitude": site.scenario.longitude}
    return {"origin": origin, "stations": found}


def _stack(site: Site, layout: Layout) -> Block:
    place = site.place(layout.stack)
    ranges = {name: {"minimum": low, "maximum": high} for name, (low, high) in cems.RANGES.items()}
    block = {"what": "cems-block", "bus": "plc", "unit": 1, "poll_s": 1, "kind": "regulated", "rule": "hj-stack",
             "measurands": list(cems.ADDRESSES), "position": place, "ranges": ranges}  # fmt: skip
    return {
        "position": place,
        "buses": {"plc": {"wire": site.tcp("stack-01.plc"), "protocol": "modbus-tcp"}},
        "instruments": {"cems": block},
        "valves": {"gas": _valve("plc", 2, STACK_PORTS)},
    }


def _tower(site: Site, layout: Layout, crds: Block) -> Block:
    place = site.place(layout.tower)
    ours = {"kind": "research", "rule": "ghg", "position": place}
    return {
        "position": place,
        "buses": {
            "crds": {"wire": site.tcp("tower-01.crds"), "protocol": "text"},
            "ndir": {"wire": site.serial("tower-01.ndir", 9600, 2), "protocol": "modbus-rtu"},
            "weather": {"wire": site.serial("tower-01.weather", 19200), "protocol": "text"},
            "valve": {"wire": site.tcp("tower-01.valve"), "protocol": "modbus-tcp"},
        },
        "instruments": {
            "crds": {"what": "picarro-crds", "bus": "crds", **ours, **crds},
            "ndir": {"what": "senseair-s8", "bus": "ndir", "unit": 254, "poll_s": 4, "measurands": ["co2"], **ours},
            "weather": _weather(place),
        },
        "valves": {"gas": _valve("valve", 1, TOWER_PORTS)},
    }


def _field(site: Site, layout: Layout) -> Block:
    place = site.place(layout.met)
    gateways = (f"gateway-{number}" for number in (1, 2))
    boards = {
        board.name: {"what": "board", "bus": f"gateway-{gateway(number)}", "unit": number, "kind": "research",
                     "rule": "ghg", "expected_per_minute": 2, "position": site.place(board),
                     "measurands": ["ch4", "board_temperature", "battery_voltage"]}
        for number, board in enumerate(layout.boards, 1)
    }  # fmt: skip
    pm = {"what": "plantower-pms", "bus": "pm", "kind": "research", "rule": "hj-ambient", "expected_per_minute": 6,
          "measurands": ["pm1", "pm2_5", "pm10"], "position": place}  # fmt: skip
    return {
        "position": place,
        "buses": {
            **{name: {"wire": site.serial(f"field-01.{name}", 115200), "protocol": "stream"} for name in gateways},
            "pm": {"wire": site.serial("field-01.pm", 9600), "protocol": "stream"},
            "weather": {"wire": site.serial("field-01.weather", 19200), "protocol": "text"},
        },
        "instruments": {**boards, "pm": pm, "weather": _weather(place)},
        "valves": {},
    }


def gateway(board: int) -> int:
    """Which of the two gateways carries board number 1 to 24."""
    return 1 if board <= 12 else 2


def _valve(bus: str, unit: int, ports: tuple[str, ...]) -> Block:
    coils = {name: {"coil": number} for number, name in enumerate(ports)}
    return {"bus": bus, "unit": unit, "ports": coils, "sample": "sample", "on_power_loss": "sample"}


def _weather(position: Block) -> Block:
    return {"what": "vaisala-wxt", "bus": "weather", "poll_s": 5, "kind": "research", "rule": "ghg",
            "measurands": list(WEATHER), "position": position}  # fmt: skip
