"""The instruments of the simulated station, byte for byte: a CEMS block with its valves on Modbus, and an analyzer."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import numpy as np
from sim_loop import SimClock
from sim_net import Net

from simulation.cems import Cems
from simulation.faults import Faults
from simulation.modbus import answer
from simulation.picarro import Interface, Picarro, Row
from simulation.valves import ValveBlock

PLC, CRDS = 502, 51020
STACK = {
    "so2": 40.0, "nox": 60.0, "o2": 6.8, "co2_percent": 12.0, "dust": 4.0, "differential_pressure": 80.0,
    "stack_temperature": 138.5, "static_pressure": -250.0, "stack_humidity": 8.6,
}  # fmt: skip
COLUMNS = ("ALARM_STATUS", "INST_STATUS", "species", "CH4_dry", "CO2_dry", "H2O")
ROW_S = 30.0
Behaviour = str  # "well", "dead", "nonsense", "wrong", "stuck", "slow"


@dataclass
class Manner:
    """How an instrument behaves now."""

    kind: Behaviour = "well"
    slow_s: float = 0.0


class _Rows:
    """A row each five seconds, with values no other row has."""

    def __init__(self, clock: SimClock) -> None:
        self._clock, self._next, self._number = clock, clock.now(), 0

    def until(self, now: datetime) -> Iterator[Row]:
        self._next = max(self._next, now - timedelta(seconds=ROW_S * 600))
        while self._next <= now:
            self._number += 1
            wave = math.sin(self._number / 700)
            values = {
                "ALARM_STATUS": 0, "INST_STATUS": 963, "species": 3,
                "CH4_dry": 2.0 + 1e-6 * self._number, "CO2_dry": 420 + 1e-5 * self._number, "H2O": 1.2 + 0.1 * wave,
            }  # fmt: skip
            yield Row(self._next, values)
            self._next += timedelta(seconds=ROW_S)


class Field:
    """Both instruments on the net. `ports` says at which port of the valve a CEMS answer was given, by its SO2."""

    def __init__(self, net: Net, clock: SimClock, seed: object) -> None:
        self.net, self.clock, self.dice = net, clock, Random(f"{seed}/field")
        self.manners = {PLC: Manner(), CRDS: Manner()}
        self.valve = ValveBlock(("sample", "zero", "span"))
        self.ports: dict[float, str] = {}
        gases = {name: dict.fromkeys(STACK, 0.0) for name in ("zero", "span")}
        gases["span"] |= {"so2": 80.2, "nox": 121.0, "o2": 18.05}
        rng = np.random.default_rng(abs(hash_of(seed)))
        self.cems = Cems(clock, self._gave, rng, self.valve, Faults([], clock.now()), gases)
        self.cems.step(clock.now(), STACK)
        self.crds = Picarro(_Rows(clock), clock, lambda *_, **__: None, Interface(COLUMNS, 6))
        net.listen(lambda: _Modbus(self), PLC)
        net.listen(lambda: _Text(self), CRDS)

    def _gave(self, values: dict[str, float], **_: Any) -> None:
        if "so2" in values:
            self.ports[values["so2"]] = self.valve.open

    def unit(self, number: int) -> Any:
        """A Modbus unit, or None."""
        return {1: self.cems, 2: self.valve}.get(number)


def hash_of(seed: object) -> int:
    """A number that follows from the seed alone."""
    return int.from_bytes(str(seed).encode()[-8:], "big")


class _Peer:
    """An instrument's end of one connection, with the manners of its port."""

    def __init__(self, field: Field, port: int) -> None:
        self._field, self._port, self._pending = field, port, b""
        self._line: Any = None

    def connection_made(self, line: Any) -> None:
        self._line = line

    def connection_lost(self, _: Exception | None) -> None:
        self._line = None

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def _reply(self, data: bytes) -> None:
        manner, dice = self._field.manners[self._port], self._field.dice
        if manner.kind == "dead" or self._line is None:
            return
        if manner.kind == "nonsense":
            data = dice.randbytes(dice.randrange(1, 40))
        elif manner.kind == "wrong":
            place = dice.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ (1 << dice.randrange(8))]) + data[place + 1 :]
        elif manner.kind == "stuck":
            data = data[: dice.randrange(1, len(data))]
        delay = manner.slow_s * dice.random() if manner.kind == "slow" else 0.002 + 0.01 * dice.random()
        self._field.net.loop.call_later(delay, self._send, data, context=self._field.net.context)

    def _send(self, data: bytes) -> None:
        if self._line is not None:
            self._line.write(data)


class _Modbus(_Peer):
    def __init__(self, field: Field) -> None:
        super().__init__(field, PLC)

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= 7:
            transaction, _, length, unit_id = struct.unpack(">HHHB", self._pending[:7])
            if len(self._pending) < 6 + length:
                return
            request, self._pending = self._pending[7 : 6 + length], self._pending[6 + length :]
            if self._field.manners[PLC].kind == "dead":
                continue
            unit = self._field.unit(unit_id)
            reply = answer(unit, request) if unit is not None else bytes((request[0] | 0x80, 0x0B))
            self._reply(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit_id) + reply)


class _Text(_Peer):
    def __init__(self, field: Field) -> None:
        super().__init__(field, CRDS)

    def data_received(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data.replace(b"\n", b"")).split(b"\r")
        for line in lines:
            if self._field.manners[CRDS].kind != "dead":
                self._reply(self._field.crds.answer(line.decode("ascii", "replace")).encode())
