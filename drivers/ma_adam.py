"""Advantech ADAM-4017 and kin by ASCII: `#01` is answered by the currents of all channels, `>+07.211+07.234...`.

Source: ADAM-4000 series user's manual, commands #AA and $AA2 (engineering units; the check sum option is not used).
"""

import re
from typing import Final

from drivers.base import Ask, BadAnswer, DriverError, DriverInfo, Options, Poll, PolledEntry, Scan, Text
from drivers.current_loop import MEASURANDS, OPTIONS, Loops, loops_of
from metrology.measurand import catalogue

CHANNELS_MAX: Final = 8
LINE_BYTES_MAX: Final = 128
SHOWN_CHARACTERS_MAX: Final = 80
_NUMBERS: Final = re.compile(r">((?:[-+]\d+\.\d+){1,8})\r")


class Adam:
    """One module in engineering units of a milliampere range."""

    def __init__(self, instrument: str, unit: int, loops: Loops) -> None:
        self._instrument = instrument
        self._loops = loops
        self._refusal = f"?{unit:02X}"
        self._step = Ask(f"#{unit:02X}\r".encode(), (b"\r",), LINE_BYTES_MAX)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return self._loops.measurands

    def poll(self) -> Poll:
        """Ask once; one scan, with the currents in its status."""
        answer = yield self._step
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        text = answer.data.decode("ascii", "replace")
        found = _NUMBERS.search(text)
        if found is None:
            refused = "refused" if self._refusal in text else "no currents"
            raise BadAnswer(f"{refused}: {text[:SHOWN_CHARACTERS_MAX]!r}")
        currents = [float(one) for one in re.findall(r"[-+][\d.]+", found[1])]
        if max(channel.number for channel in self._loops.channels) >= len(currents):
            raise BadAnswer(f"{len(currents)} channels: {text[:SHOWN_CHARACTERS_MAX]!r}")
        readings, status = [], {}
        for channel in self._loops.channels:
            readings.append(self._loops.reading(self._instrument, channel, currents[channel.number], answer.at))
            status[f"{channel.measurand}_mA"] = currents[channel.number]
        return [Scan(self._instrument, answer.at, tuple(readings), status)]


def _make(instrument: str, unit: int | None, options: Options) -> Adam:
    address = 1 if unit is None else unit
    if not 0 <= address <= 255:
        raise DriverError(f"unit {unit} of an ADAM module: 0 to 255")
    return Adam(instrument, address, loops_of(options, CHANNELS_MAX))


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="ma_adam",
        title="Advantech ADAM-4017 milliampere inputs, ASCII",
        kind="polled",
        protocol="text",
        measurands={name: catalogue()[name].unit for name in MEASURANDS},
        manual="ADAM-4000 series user's manual, commands #AA and $AA2 (revision unverified)",
        evidence="src",
        default_unit=1,
        options=OPTIONS,
    ),
    _make,
)
