"""A LI-COR LI-7810: publishes its readings to the MQTT broker the analyzer itself is, and keeps their units there.

Source: LI-7810 instructions, "Communication with the MQTT protocol", table 7-1 (topics); members of the object as
public programs read them. The broker is a real one beside this; the form of the units message is ours.
"""

import asyncio
import json
from typing import Final

import aiomqtt

from metrology.clock import Clock
from simulation.journal import Pen

TOPIC: Final = "licor/niobrara/output/concentration"
UNITS: Final = {"SECONDS": "secs", "NANOSECONDS": "nsecs", "H2O": "ppm", "CO2": "ppm", "CH4": "ppb"}
AGAIN_WALL_S: Final = 0.2


class Li7810Analyzer:
    """The analyzer. `co2` and `h2o` in umol/mol and `ch4` in nmol/mol are set from outside.

    `warm` is False while its laser warms up, when it says blanks; `mute` it says nothing at all.
    """

    def __init__(self, journal: Pen, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._number = 0
        self.co2, self.ch4, self.h2o = 420.0, 2000.0, 9000.0
        self.diag = 0
        self.warm = True
        self.mute = False

    async def run(self, port: int, period_s: float = 1.0) -> None:
        """Publish once in `period_s` (world time) until cancelled; a broker that went away is connected to again."""
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", port, timeout=2) as client:
                    await client.publish(f"{TOPIC}/units", json.dumps({"Concentration": UNITS}), qos=1, retain=True)
                    while True:
                        if not self.mute:
                            # Acknowledged, so that a broker that is gone is noticed.
                            await client.publish(TOPIC, self.message(), qos=1)
                        await self._clock.sleep(period_s)
            except aiomqtt.MqttError:
                await asyncio.sleep(AGAIN_WALL_S)

    def message(self) -> str:
        """The next message, as of now."""
        at = self._clock.now()
        self._number += 1
        gases: dict[str, float | str] = {"H2O": self.h2o, "CO2": self.co2, "CH4": self.ch4}
        if not self.warm:
            gases = dict.fromkeys(gases, "")
        told = {"co2_dry": self.co2, "ch4_dry": self.ch4 / 1000, "h2o_reported": self.h2o / 10000}
        self._journal(told if self.warm else {})
        members = {
            "SECONDS": int(at.timestamp()), "NANOSECONDS": at.microsecond * 1000, "NDX": self._number,
            "DIAG": self.diag, "REMARK": "", **gases, "CAVITY_P": 39.29, "CAVITY_T": 55.0, "RESIDUAL": 0.21,
            "RING_DOWN_TIME": 13.6, "CHK": 0,
        }  # fmt: skip
        return json.dumps({"Concentration": members}, indent=1)
