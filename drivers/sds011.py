"""Nova SDS011: PM2.5 and PM10 by laser scattering, one question and one answer.

Question: AA B4 04, twelve zeros, device id, sum, AB. Answer: AA C0, PM2.5 and PM10 in 0.1 ug/m3 (low byte first),
device id, sum, AB; the sum is that of the bytes after the second. A sensor in active mode sends such answers unasked.
Source: SDS011 laser dust sensor control protocol V1.3 (2015).
"""

from typing import Final

from drivers.base import DriverError, DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from drivers.binary import ask, frame_in
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading

ANY: Final = b"\xff\xff"
FRAME_BYTES: Final = 10
UNIT: Final = "ug/m3"
TENTHS_MAX: Final = 9999  # the sensor's range ends at 999.9 ug/m3


class Sds011:
    """One sensor, or the one of several whose id is given."""

    def __init__(self, instrument: str, device: bytes) -> None:
        self._instrument = instrument
        self._device = device
        body = b"\x04" + bytes(12) + device
        self._step = ask(b"\xaa\xb4" + body + bytes((sum(body) & 0xFF, 0xAB)), self._take)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {"pm2_5": UNIT, "pm10": UNIT}

    def _take(self, came: bytes) -> bytes | None:
        frame = came[:FRAME_BYTES]
        if len(frame) < FRAME_BYTES or frame[:2] != b"\xaa\xc0" or frame[9] != 0xAB:
            return None
        if sum(frame[2:8]) & 0xFF != frame[8]:
            return None
        return frame if self._device in (ANY, frame[6:8]) else None

    def poll(self) -> Poll:
        """Ask once; one scan."""
        answer = yield self._step
        frame = frame_in(answer, self._take)
        assert isinstance(answer, Text)
        readings = []
        for measurand, low in (("pm2_5", 2), ("pm10", 4)):
            tenths = int.from_bytes(frame[low : low + 2], "little")
            above = Mark(Cause.OUT_OF_RANGE, "above 999.9 ug/m3", answer.at)
            quality = Quality.of(above) if tenths > TENTHS_MAX else GOOD
            readings.append(Reading(self._instrument, measurand, tenths / 10, UNIT, answer.at, quality))
        return [Scan(self._instrument, answer.at, tuple(readings), {"device": frame[6:8].hex().upper()})]


def _make(instrument: str, unit: int | None, options: Options) -> Sds011:
    try:
        device = bytes.fromhex(str(options["id"]))
    except ValueError:
        device = b""
    if len(device) != 2:
        raise DriverError(f'id {options["id"]!r}: write the four hexadecimal digits of the sensor, or "FFFF" for any')
    return Sds011(instrument, device)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="sds011",
        title="Nova SDS011",
        kind="polled",
        protocol="text",
        measurands={"pm2_5": UNIT, "pm10": UNIT},
        manual="SDS011 laser dust sensor control protocol, V1.3, section 2",
        evidence="src",
        options={"id": Option(("text",), "device id, four hexadecimal digits; FFFF: any", "FFFF")},
    ),
    _make,
)
