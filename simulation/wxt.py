"""A Vaisala WXT5xx weather transmitter, ASCII, polled: `0R0` asks the composite message of address 0.

Source: WXT520 user's guide, chapter 7 (ASCII protocol).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.journal import Pen

_LINE_BYTES_MAX: Final = 64


@dataclass(slots=True)
class Weather:
    """What surrounds the transmitter, in the catalogue's units."""

    wind_direction: float = 0.0
    wind_speed: float = 0.0
    air_temperature: float = 20.0
    relative_humidity: float = 50.0
    air_pressure: float = 1013.0


class Wxt:
    """The transmitter. `weather` is set from outside; answers carry whole degrees and tenths of the rest."""

    def __init__(self, journal: Pen, rng: np.random.Generator) -> None:
        self._journal = journal
        self._rng = rng
        self._buffer = b""
        self.weather = Weather()

    def hear(self, data: bytes) -> bytes:
        """Answer each line that ends CR LF."""
        *lines, rest = (self._buffer + data).split(b"\r\n")
        self._buffer = rest[-_LINE_BYTES_MAX:]
        return b"".join(self._reply(line) for line in lines)

    def _reply(self, line: bytes) -> bytes:
        if line in (b"0", b"?"):
            return b"0\r\n"
        if line[:1] != b"0":
            return b""  # another address on the line
        return self._composite() if line == b"0R0" else b"0TX,Unknown cmd error\r\n"

    def _composite(self) -> bytes:
        values = self._values()
        self._journal(values)
        direction, speed, temperature, humidity, pressure = values.values()
        return (
            f"0R0,Dm={direction:03.0f}D,Sm={speed:.1f}M,Ta={temperature:.1f}C,Ua={humidity:.1f}P,Pa={pressure:.1f}H\r\n"
        ).encode()

    def _values(self) -> Mapping[str, float]:
        now, noise = self.weather, self._rng.normal(0.0, 1.0, 3).tolist()
        return {
            "wind_direction": float(round(now.wind_direction) % 360),
            "wind_speed": round(max(now.wind_speed, 0.0), 1),
            "air_temperature": round(now.air_temperature + 0.05 * noise[0], 1),
            "relative_humidity": round(min(max(now.relative_humidity + 0.3 * noise[1], 0.0), 100.0), 1),
            "air_pressure": round(now.air_pressure + 0.05 * noise[2], 1),
        }
