"""The CEMS block and the valve block against the client of pymodbus on a real TCP port."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient

from host.clock import ManualClock
from metrology.measurand import catalogue
from simulation.cems import ADDRESSES, Cems
from simulation.faults import Fault, Faults
from simulation.modbus import ModbusTcp
from simulation.serve import TcpPort
from simulation.stations import STACK_GASES, STACK_PORTS
from simulation.valves import ValveBlock

START = datetime(2026, 5, 1, tzinfo=UTC)
STACK_GAS = {
    "so2": 15.0, "nox": 30.0, "o2": 6.0, "co2_percent": 12.0, "dust": 3.0, "differential_pressure": 70.0,
    "static_pressure": -200.0, "stack_temperature": 53.0, "stack_humidity": 10.6,
}  # fmt: skip


class OneFault(Faults):
    """A fault of the block in its second hour, and nothing else."""

    def __init__(self) -> None:
        self.bad_crc_share = 0.0
        self._faults = [Fault("cems-fault", START + timedelta(hours=1), START + timedelta(hours=1, seconds=60))]


@dataclass
class Stack:
    clock: ManualClock
    client: AsyncModbusTcpClient
    cems: Cems
    told: list[dict[str, float]] = field(default_factory=list)

    async def read(self) -> dict[str, float]:
        answer = await self.client.read_holding_registers(0, count=19, device_id=1)
        floats = struct.unpack(">9f", struct.pack(">18H", *answer.registers[:18]))
        return {**dict(zip(ADDRESSES, floats, strict=True)), "status": answer.registers[18]}

    async def after(self, seconds: float) -> dict[str, float]:
        """What is read when the block has measured once a second for so long."""
        for _ in range(int(seconds)):
            await self.clock.advance(1.0)
            values = await self.read()
        return values


@asynccontextmanager
async def stack() -> AsyncIterator[Stack]:
    clock = ManualClock(START)
    told: list[dict[str, float]] = []
    valve = ValveBlock(STACK_PORTS)
    cems = Cems(
        clock, lambda values: told.append(dict(values)), np.random.default_rng(1), valve, OneFault(), STACK_GASES
    )
    cems.step(START, STACK_GAS)
    served = TcpPort(ModbusTcp({1: cems, 2: valve}))
    client = AsyncModbusTcpClient("127.0.0.1", port=await served.start())
    await client.connect()
    try:
        yield Stack(clock, client, cems, told)
    finally:
        client.close()
        await served.close()


async def test_pymodbus_reads_nine_floats_and_a_status_and_each_read_is_journalled_as_sent() -> None:
    async with stack() as plant:
        values = await plant.read()
        assert values.pop("status") == 0
        assert values == plant.told[-1]
        assert values == pytest.approx(STACK_GAS, rel=0.15)
        assert all(name in catalogue() for name in values)


async def test_only_values_read_whole_are_journalled() -> None:
    async with stack() as plant:
        await plant.client.read_holding_registers(3, count=4, device_id=1)
        assert [set(values) for values in plant.told] == [{"o2"}]
        await plant.client.read_holding_registers(18, count=1, device_id=1)
        assert len(plant.told) == 1


async def test_gas_follows_the_valve_slowly_and_shows_its_drift_to_be_found() -> None:
    async with stack() as plant:
        await plant.client.write_coil(0, False, device_id=2)
        await plant.client.write_coil(1, True, device_id=2)
        early = await plant.after(5)
        assert 1.0 < early["so2"] < 14.0
        late = await plant.after(120)
        assert late["status"] == 4
        assert late["so2"] == pytest.approx(0.4, abs=1.5)
        assert late["dust"] == pytest.approx(3.0, abs=0.6)
        await plant.client.write_coil(1, False, device_id=2)
        await plant.client.write_coil(2, True, device_id=2)
        spanned = await plant.after(120)
        assert spanned["nox"] == pytest.approx(120.0 * 0.992 - 0.5, abs=2.5)
        coils = await plant.client.read_coils(0, count=3, device_id=2)
        assert coils.bits[:3] == [False, False, True]


async def test_blowback_freezes_the_pitot_and_a_fault_shows_in_the_status() -> None:
    async with stack() as plant:
        await plant.after(2)
        await plant.clock.advance(1800 - 2)
        first, second = await plant.read(), await plant.after(3)
        assert (first["status"], second["status"]) == (8, 8)
        assert first["differential_pressure"] == second["differential_pressure"]
        assert first["dust"] != second["dust"]
        await plant.clock.advance(30)
        assert (await plant.read())["status"] == 0
        await plant.clock.advance(1800)
        assert (await plant.read())["status"] & 1 == 1


@pytest.mark.parametrize(
    ("address", "count", "unit", "exception"), [(17, 3, 1, 2), (100, 1, 1, 2), (0, 4, 2, 2), (0, 1, 9, 11)]
)
async def test_what_does_not_exist_is_refused_as_the_standard_says(
    address: int, count: int, unit: int, exception: int
) -> None:
    async with stack() as plant:
        answer = await plant.client.read_holding_registers(address, count=count, device_id=unit)
        assert (answer.isError(), answer.exception_code) == (True, exception)


async def test_two_gases_open_at_once_are_counted() -> None:
    async with stack() as plant:
        written = await plant.client.write_coil(7, True, device_id=2)
        assert written.exception_code == 2
    valve = ValveBlock(("sample", "zero"))
    valve.write(1, 1, 1)
    assert valve.clashes == 1
    valve.write(1, 0, 0)
    assert (valve.open, valve.clashes) == ("zero", 1)
    valve.write(1, 1, 0)
    assert valve.open == "sample"
