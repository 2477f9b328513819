"""The bench's unit as a driver of a third party: 20 registers, each a measurand; nothing else is said about them.

Register 0 counts reads, register 1 tells when (ticks of 4 ms), the rest never change. Which registers go into one
request is left to the register map's own joining. The bench brings it as an entry point of group `plumeline.drivers`.
"""

from drivers.base import Options, PolledDriver, PolledEntry
from drivers.register_map import RegisterMapDriver
from drivers.register_table import RegisterMap
from metrology.measurand import catalogue

NAME = "bench_unit"
# All 65536 numbers of a register stay within what the catalogue allows of each measurand.
SCALE = 0.0001
MEASURANDS = (
    "dust", "differential_pressure", "static_pressure", "stack_temperature", "stack_humidity", "air_temperature",
    "stack_velocity", "relative_humidity", "pm1", "pm2_5", "pm10", "pm4", "board_temperature", "battery_voltage",
    "probe_temperature", "gas_pressure", "gas_temperature", "active_power", "voltage_a", "voltage_b",
)  # fmt: skip

MAP = RegisterMap.model_validate(
    {
        "maker": "bench",
        "model": "unit of 20 registers",
        "manual": {"title": "README of the bench", "revision": "1", "page": "6"},
        "evidence": "src",
        "largest_gap": 8,
        "largest_block": 125,
        "registers": [
            {
                "measurand": name,
                "unit": catalogue()[name].unit,
                "table": "holding",
                "address": place,
                "type": "u16",
                "scale": SCALE,
            }
            for place, name in enumerate(MEASURANDS)
        ],
    }
)


def _make(instrument: str, unit: int | None, options: Options) -> PolledDriver:
    return RegisterMapDriver(MAP, instrument)


ENTRY = PolledEntry(MAP.info(NAME, "modbus", MAP.registers, {}), _make)
