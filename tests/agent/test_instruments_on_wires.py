"""Instruments on a real pty, asked by the owner of a bus; independent programs read and serve the same line."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import minimalmodbus
import pytest
from peers.lines import METER, on_a_pty, unheard

from agent.config import Bus
from agent.wires.bus import AskedBus
from drivers.registry import driver
from host.clock import RealClock
from metrology.reading import Scan
from simulation.instruments.gas_line import AlicatController
from simulation.instruments.registers import Gmp252, Sdm630
from simulation.instruments.small_sensors import Sps30Sensor
from simulation.modbus import RtuLine

UNITS = ["gas_pressure=psi", "gas_temperature=degC", "volume_flow=L/min", "mass_flow=L/min", "flow_setpoint=L/min"]


async def polled(device: str, protocol: str, name: str, unit: int | None, **options: Any) -> list[Scan]:
    wire = {"kind": "serial", "device": device, "baud": 19200}
    config = Bus.model_validate({"wire": wire, "protocol": protocol, "timeout_s": 2})
    bus = AskedBus("line", config, RealClock(), lambda what, detail: None)
    try:
        return await bus.run_poll(unit, driver(name, instrument="i", unit=unit, options=options).poll())
    finally:
        bus.close()


def values(scans: list[Scan]) -> dict[str, float | None]:
    return {reading.measurand: reading.value for scan in scans for reading in scan.readings}


def client(device: str, unit: int) -> minimalmodbus.Instrument:
    """An independent Modbus client."""
    found = minimalmodbus.Instrument(device, unit, close_port_after_each_call=True)
    found.serial.baudrate, found.serial.timeout = 19200, 2
    return found


async def test_an_independent_client_reads_the_same_from_a_probe() -> None:
    probe = Gmp252(unheard)
    with on_a_pty(RtuLine({240: probe}).hear) as device:
        scans = await polled(device, "modbus-rtu", "vaisala_gmp252", 240)
        other = client(device, 240)
        order = minimalmodbus.BYTEORDER_LITTLE_SWAP
        co2, temperature = [
            await asyncio.to_thread(other.read_float, address, 3, 2, order) for address in (0, 4)
        ]  # fmt: skip
    assert values(scans) == {"co2": co2, "probe_temperature": temperature}
    assert co2 == 420.0


async def test_an_independent_client_reads_the_same_from_a_meter() -> None:
    with on_a_pty(RtuLine({1: Sdm630(METER)}).hear) as device:
        scans = await polled(device, "modbus-rtu", "eastron_sdm630", 1)
        other = client(device, 1)
        watts = await asyncio.to_thread(other.read_float, 52, 4)
        volts = await asyncio.to_thread(other.read_float, 2, 4)
    read = values(scans)
    assert read["active_power"] == pytest.approx(watts / 1000, rel=1e-12)
    assert read["voltage_b"] == volts


async def test_lines_of_text_and_of_frames_on_a_pty() -> None:
    with on_a_pty(AlicatController(unheard).hear) as device:
        assert values(await polled(device, "text", "alicat", 1, units=UNITS))["mass_flow"] == 0.5
    sensor = Sps30Sensor(unheard, RealClock())
    sensor.measuring = True
    with on_a_pty(sensor.hear) as device:
        assert list(values(await polled(device, "text", "sps30", None)).values()) == sensor.mass


@pytest.fixture
async def public_meter(tmp_path: Path) -> AsyncIterator[tuple[str, Any]]:
    """The server of the public package dlt645 on a serial line, its address 000000000000; and the line's name."""
    from dlt645 import MeterServerService  # takes half a second and much memory: nobody else pays for it

    near, far = os.openpty(), os.openpty()
    for _, slave in (near, far):
        tty.setraw(slave)
    loop = asyncio.get_running_loop()
    for here, there in ((near[0], far[0]), (far[0], near[0])):
        loop.add_reader(here, lambda here=here, there=there: os.write(there, os.read(here, 4096)))
    server = MeterServerService.new_rtu_server(os.ttyname(far[1]), 8, 1, 2400, "N", 1.0)
    assert await asyncio.to_thread(server.start)
    yield os.ttyname(near[1]), server
    await asyncio.to_thread(server.stop)
    for master, slave in (near, far):
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


async def test_a_public_meter_server_is_read(public_meter: tuple[str, Any]) -> None:
    device, server = public_meter
    server.set_00(0x00010000, 1234.56)
    for di, value in {0x02010100: 231.4, 0x02030000: -3.1415, 0x02060000: 0.987, 0x02800002: 49.98}.items():
        server.set_02(di, value)
    read = ["active_energy", "voltage_a", "currents", "active_power", "power_factor", "mains_frequency"]
    scans = await polled(device, "text", "dlt645", 1, meter="000000000000", read=read)
    # This server has no blocks of phases and says so; the rest of the scan stands.
    assert values(scans) == {
        "active_energy": 1234.56, "voltage_a": 231.4, "current_a": None, "current_b": None, "current_c": None,
        "active_power": -3.1415, "power_factor": 0.987, "mains_frequency": 49.98,
    }  # fmt: skip
    refused = {reading.measurand for reading in scans[0].readings if "fault" in reading.quality.causes}
    assert refused == {"current_a", "current_b", "current_c"}
    assert scans[0].status == {"meter": "000000000000"}
