"""A stack, a tower and a field of boards in one process: one truth, instruments on real wires."""

import asyncio
import json
import math
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from metrology.clock import Clock
from simulation import stations
from simulation.board_desk import Gateway
from simulation.boards import Board
from simulation.cems import Cems
from simulation.crds import Crds, Response
from simulation.faults import Faults
from simulation.journal import Journal
from simulation.layout import Scenario, points
from simulation.modbus import ModbusTcp, RtuLine
from simulation.picarro import COLUMNS, Interface, Picarro
from simulation.plantower import Plantower
from simulation.senseair import ANY_ADDRESS, Senseair
from simulation.sensor_error import sensor_error
from simulation.serve import Pty, TcpPort
from simulation.valves import ValveBlock
from simulation.world import World
from simulation.wxt import Weather, Wxt

_STRIDE_S: Final = 6.0
_STATS_EVERY_S: Final = 2.0
_TICK_WALL_S: Final = 0.05
_LINGER_S: Final = 0.3  # closing a pty throws away what its reader has not yet taken
CRDS_DECIMALS: Final = 7
CRDS_RESPONSE: Final = Response(slope={"CO2": 1.0021, "CH4": 0.9964}, offset={"CO2": -0.42, "CH4": 0.0031})


def describe(out: Path, scenario: Scenario, ports: dict[str, int], crds_row_s: float, start: datetime) -> None:
    """Write what a configuration needs: `layout.json` and `cylinders.json`."""
    crds = {"columns": list(COLUMNS), "decimals": CRDS_DECIMALS, "row_s": crds_row_s, "poll_s": max(crds_row_s, 5.0)}
    site = stations.Site(scenario, (out / "wires").absolute(), ports)
    write_json(out / "layout.json", stations.description(site, crds))
    write_json(out / "cylinders.json", stations.cylinders(start))


def write_json(path: Path, content: object) -> None:
    """Replace a file in one step, so that who waits for it never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, path)


class Plant:
    """Everything that is simulated, and how it hangs together. `only` opens one wire instead of all."""

    def __init__(self, out: Path, scenario: Scenario, clock: Clock, crds_row_s: float, only: str | None) -> None:
        start = clock.now()
        self._out = out
        self._clock = clock
        self._only = only
        self._row_s = crds_row_s
        (out / "wires").mkdir(parents=True, exist_ok=True)
        (out / "wires" / "ports.json").unlink(missing_ok=True)  # it comes back when everything listens
        self.journal = Journal(out / "journal", clock)
        self.world = World(scenario, start)
        self.faults = Faults(scenario.seed, start)
        self.start = self._at = start
        self._ptys: dict[str, Pty] = {}
        self._tcp: dict[str, TcpPort] = {}
        self._points = points(self.world.layout.boards)
        self._stack()
        self._tower()
        self._field()
        self._step(start)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.world.scenario.seed, 11, *key])

    def _pty(self, name: str, hear: Any = lambda data: b"") -> Pty:
        self._ptys[name] = Pty(self._out / "wires" / name, self._clock, hear)
        return self._ptys[name]

    def _stack(self) -> None:
        self.stack_valve = ValveBlock(stations.STACK_PORTS)
        pen = self.journal.pen(stations.STACK, "cems")
        self._cems = Cems(self._clock, pen, self._rng(1), self.stack_valve, self.faults, stations.STACK_GASES)
        self._tcp["stack-01.plc"] = TcpPort(ModbusTcp({1: self._cems, 2: self.stack_valve}))

    def _tower(self) -> None:
        station = stations.TOWER
        self.tower_valve = ValveBlock(stations.TOWER_PORTS)
        self._crds = Crds(self._rng(2), CRDS_RESPONSE, self._row_s)
        interface = Interface(decimals=CRDS_DECIMALS)
        self.picarro = Picarro(self._crds, self._clock, self.journal.pen(station, "crds"), interface)
        self._tcp["tower-01.crds"] = TcpPort(self.picarro)
        self._tcp["tower-01.valve"] = TcpPort(ModbusTcp({1: self.tower_valve}))
        self._ndir = Senseair(self.journal.pen(station, "ndir"), self._rng(3))
        line = RtuLine({ANY_ADDRESS: self._ndir})
        self._pty("tower-01.ndir", lambda data: b"" if self._silent() else line.hear(data))
        self._tower_weather = Wxt(self.journal.pen(station, "weather"), self._rng(4))
        self._pty("tower-01.weather", self._tower_weather.hear)

    def _silent(self) -> bool:
        return self.faults.active("senseair-silence", self._clock.now())

    def _field(self) -> None:
        station, seed = stations.FIELD, self.world.scenario.seed
        gateways = {number: Gateway() for number in (1, 2)}
        lines = {number: self._pty(f"field-01.gateway-{number}", gateways[number].hear) for number in (1, 2)}
        self._boards = [
            Board(
                number, lines[stations.gateway(number)], self.journal.pen(station, place.name),
                sensor_error(seed, place.name), self._rng(5, number), self.faults, self.start,
            )
            for number, place in enumerate(self.world.layout.boards, 1)
        ]  # fmt: skip
        for board in self._boards:
            gateways[stations.gateway(board.number)].boards.append(board)
        self._pm = Plantower(self._pty("field-01.pm"), self.journal.pen(station, "pm"), self._rng(6))
        self._field_weather = Wxt(self.journal.pen(station, "weather"), self._rng(7))
        self._pty("field-01.weather", self._field_weather.hear)

    async def run(self, stop: asyncio.Event) -> None:
        """Open the wires, tell where they are, and live until `stop`."""
        chosen = {name: port for name, port in self._tcp.items() if self._only in (None, name)}
        watchers = [
            asyncio.create_task(pty.run(), name=name) for name, pty in self._ptys.items() if self._only in (None, name)
        ]
        ports = {name: await port.start() for name, port in chosen.items()}
        describe(self._out, self.world.scenario, ports, self._row_s, self.start)
        write_json(self._out / "truth.json", self.truth())
        write_json(self._out / "wires" / "ports.json", ports)
        try:
            await self._live(stop, watchers)
        finally:
            for pty in self._ptys.values():
                pty.mute()
            await asyncio.sleep(_LINGER_S)
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            for port in chosen.values():
                await port.close()
            self.journal.close()
            write_json(self._out / "stats.json", self.stats())

    async def _live(self, stop: asyncio.Event, watchers: list[asyncio.Task[None]]) -> None:
        told = -math.inf
        while not stop.is_set():
            self._until(self._clock.now())
            for task in watchers:
                if task.done():
                    task.result()  # a wire of ours broke: that is a bug and ends the simulation
            if self._clock.wall_monotonic() - told > _STATS_EVERY_S:
                told = self._clock.wall_monotonic()
                write_json(self._out / "stats.json", self.stats())
            await self._clock.sleep(max(1.0, _TICK_WALL_S * self._clock.rate))

    def _until(self, now: datetime) -> None:
        """Catch up in strides no longer than what the instruments can tell apart."""
        while self._at < now:
            self._step(min(self._at + timedelta(seconds=_STRIDE_S), now))

    def _step(self, at: datetime) -> None:
        world, before, self._at = self.world, self._at, at
        world.advance(at)
        air_degC = world.temperature_K - 273.15
        self._cems.step(at, world.stack_gas())
        self._crds.step(at, self._tower_inlet())
        self.picarro.take()
        self._ndir.step(at, world.gas("co2", world.layout.tower))
        self._tower_weather.weather = self._weather("tower", world.layout.tower.height_m)
        self._field_weather.weather = self._weather("met", world.layout.met.height_m)
        self._pm.step(at)
        for _ in range(self.faults.begun("board-restart", before, at)):
            self._boards[7].restart(at)
        for board, ch4 in zip(self._boards, world.gas_many("ch4", self._points).tolist(), strict=True):
            board.step(at, ch4, air_degC)

    def _tower_inlet(self) -> dict[str, float]:
        port, place = self.tower_valve.open, self.world.layout.tower
        if port != "sample":
            return {**stations.TOWER_GASES[port], "H2O": 0.004}
        return {"CO2": self.world.gas("co2", place), "CH4": self.world.gas("ch4", place), "H2O": self._water_percent()}

    def _water_percent(self) -> float:
        """Water in air at the station's humidity (Magnus over water, WMO No. 8, annex 4.B)."""
        celsius = self.world.temperature_K - 273.15
        saturation_Pa = 611.2 * math.exp(17.62 * celsius / (243.12 + celsius))
        return self._humidity() * saturation_Pa / self.world.pressure_Pa

    def _humidity(self) -> float:
        return min(max(55.0 - 2.0 * (self.world.temperature_K - 293.15), 10.0), 98.0)

    def _weather(self, mast: str, height_m: float) -> Weather:
        wind = self.world.wind(mast, height_m)
        return Weather(
            wind_direction=wind.direction_from,
            wind_speed=wind.speed,
            air_temperature=self.world.temperature_K - 273.15,
            relative_humidity=self._humidity(),
            air_pressure=self.world.pressure_Pa / 100.0,
        )

    def truth(self) -> dict[str, Any]:
        """The hidden answers: leaks, errors of the analyzers, faults to come."""
        return {
            **self.world.truth(),
            "crds": {"slope": CRDS_RESPONSE.slope, "offset": CRDS_RESPONSE.offset},
            "faults": self.faults.truth(),
        }

    def stats(self) -> dict[str, Any]:
        """What happened so far: answers, frames nobody read, rows lost in the analyzer, valve clashes."""
        return {
            "answers": self.journal.lines,
            "dropped": {name: pty.dropped for name, pty in self._ptys.items()},
            "crds": {"overflowed": self.picarro.overflowed, "read_out": self.picarro.read_out},
            "valve_clashes": {"stack-01": self.stack_valve.clashes, "tower-01": self.tower_valve.clashes},
        }
