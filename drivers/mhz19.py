"""Winsen MH-Z19B and kin: CO2 by NDIR, nine bytes each way, one sensor on a line.

`FF 01 86 00 00 00 00 00 79` is answered by `FF 86 high low 00 00 00 00 check`; check = two's complement of the sum of
bytes 1 to 7. Source: MH-Z19B user manual V1.0, pages 7 and 8.
"""

from typing import Final

from drivers.base import DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from drivers.binary import ask, frame_in
from metrology.quality import GOOD, Cause, Mark, Quality
from metrology.reading import Reading

READ: Final = bytes.fromhex("FF 01 86 00 00 00 00 00 79")
FRAME_BYTES: Final = 9
UNIT: Final = "umol/mol"


def take(came: bytes) -> bytes | None:
    """An answer to READ with a right check sum, at the beginning of what came."""
    frame = came[:FRAME_BYTES]
    right = len(frame) == FRAME_BYTES and frame[:2] == b"\xff\x86" and -sum(frame[1:8]) & 0xFF == frame[8]
    return frame if right else None


class MhZ19:
    """One sensor. At the end of its range it stays there: such a value is out of range."""

    def __init__(self, instrument: str, full_scale: int) -> None:
        self._instrument = instrument
        self._full_scale = full_scale

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {"co2": UNIT}

    def poll(self) -> Poll:
        """Ask once; one scan. The four bytes whose meaning is in no manual go to the status."""
        answer = yield ask(READ, take)
        frame = frame_in(answer, take)
        assert isinstance(answer, Text)
        co2 = int.from_bytes(frame[2:4], "big")
        full = Mark(Cause.OUT_OF_RANGE, f"at the end of its range, {self._full_scale} {UNIT}", answer.at)
        quality = Quality.of(full) if co2 >= self._full_scale else GOOD
        reading = Reading(self._instrument, "co2", float(co2), UNIT, answer.at, quality)
        return [Scan(self._instrument, answer.at, (reading,), {"rest": frame[4:8].hex()})]


def _make(instrument: str, unit: int | None, options: Options) -> MhZ19:
    full_scale = options["range"]
    assert isinstance(full_scale, int), "settled options"
    return MhZ19(instrument, full_scale)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="mhz19",
        title="Winsen MH-Z19B",
        kind="polled",
        protocol="text",
        measurands={"co2": UNIT},
        manual="MH-Z19B user manual, version 1.0, pages 7 and 8",
        evidence="src",
        options={"range": Option(("whole number",), "upper end of the range the sensor is set to, in umol/mol", 5000)},
    ),
    _make,
)
