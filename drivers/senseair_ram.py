"""Senseair K30 and K33 by reading their memory (function 0x44): for old firmware, and where the map does not answer.

`FE 44 00 08 02 9F 25` reads two bytes at address 8, the CO2; the answer is FE 44, number of bytes, bytes, CRC-16.
Sources: Senseair K series UART EEPROM/RAM access procedure; Modbus on CO2 Engine and eSense, rev. 2.00.
"""

from typing import Final

from drivers.base import BadAnswer, DriverInfo, Options, Poll, PolledEntry, Scan, Text
from drivers.binary import ask, frame_in
from metrology.reading import Reading

ANY_ADDRESS: Final = 0xFE
READ_RAM: Final = 0x44
CO2: Final = 0x08
UNIT: Final = "umol/mol"


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first (Modbus over serial line V1.02, section 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class SenseairRam:
    """One sensor on a text bus: function 0x44 is none of the standard's, so a Modbus bus cannot carry it."""

    def __init__(self, instrument: str, unit: int) -> None:
        self._instrument = instrument
        self._unit = unit
        question = bytes((unit, READ_RAM, 0, CO2, 2))
        self._step = ask(question + crc(question), self._take)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {"co2": UNIT}

    def _take(self, came: bytes) -> bytes | None:
        if len(came) < 2 or came[0] != self._unit or came[1] & 0x7F != READ_RAM:
            return None
        frame = came[: 5 if came[1] & 0x80 else 7]
        return frame if len(frame) >= 5 and crc(frame[:-2]) == frame[-2:] else None

    def poll(self) -> Poll:
        """Ask once; one scan. The memory holds no status word: what is not CO2 cannot be told from it."""
        answer = yield self._step
        frame = frame_in(answer, self._take)
        assert isinstance(answer, Text)
        if frame[1] & 0x80:
            raise BadAnswer(f"exception {frame[2]}", modbus_exception=frame[2])
        value = float(int.from_bytes(frame[3:5], "big", signed=True))
        return [Scan(self._instrument, answer.at, (Reading(self._instrument, "co2", value, UNIT, answer.at),))]


def _make(instrument: str, unit: int | None, options: Options) -> SenseairRam:
    return SenseairRam(instrument, ANY_ADDRESS if unit is None else unit)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="senseair_ram",
        title="Senseair K30, K33 by memory",
        kind="polled",
        protocol="text",
        measurands={"co2": UNIT},
        manual="K series UART EEPROM/RAM access procedure (revision and page unverified)",
        evidence="src",
        default_unit=ANY_ADDRESS,
    ),
    _make,
)
