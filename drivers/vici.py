"""VICI Valco actuators of multiposition and two-position valves: where the valve stands.

`CP` is answered by `CP03`, or on older heads `Position is = 3`; two-position valves say A or B, which are 1 and 2.
Some heads echo the question first. Source: VICI universal actuator manual (EUH, EUD, EUT), pages 14 and 15.
"""

import re
from typing import Final

from drivers.base import Ask, DriverError, DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading

MEASURAND, UNIT = "valve_position", "1"
LINE_BYTES_MAX: Final = 128
SHOWN_CHARACTERS_MAX: Final = 80
_POSITION: Final = re.compile(rb'(?:CP|=|is)[ \t]*"?(\d{1,3}|[AB])"?[ \t]*[\r\n]', re.IGNORECASE)


class Vici:
    """One actuator. It only reads: moving the valve is the calibrator's."""

    def __init__(self, instrument: str, device: str, positions: int) -> None:
        self._instrument = instrument
        self._positions = positions
        self._step = Ask(f"{device}CP\r".encode(), (b"\r", b"\n"), LINE_BYTES_MAX, lambda c: bool(_POSITION.search(c)))

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {MEASURAND: UNIT}

    def poll(self) -> Poll:
        """Ask once; one scan. A position the valve does not have is shown and flagged."""
        answer = yield self._step
        assert isinstance(answer, Text), "the bus answers Ask with Text"
        said = _POSITION.findall(answer.data)[-1].decode().upper()
        position = int(said) if said.isdecimal() else "AB".index(said) + 1
        marks = []
        if not 1 <= position <= self._positions:
            marks.append(Mark(Cause.FAULT, f"position {said} of a valve of {self._positions}", answer.at))
        reading = Reading(self._instrument, MEASURAND, float(position), UNIT, answer.at, Quality.of(*marks))
        return [Scan(self._instrument, answer.at, (reading,), {"said": said})]


def _make(instrument: str, unit: int | None, options: Options) -> Vici:
    device, positions = str(options["id"]), options["positions"]
    assert isinstance(positions, int), "settled options"
    if not re.fullmatch(r"[0-9A-Z]?", device):
        raise DriverError(f'id {device!r}: one of 0 to 9 and A to Z, or "" where the actuator has none')
    if not 2 <= positions <= 100:
        raise DriverError(f"positions {positions}: a valve has 2 to 100")
    return Vici(instrument, device, positions)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="vici",
        title="VICI Valco valve actuators",
        kind="polled",
        protocol="text",
        measurands={MEASURAND: UNIT},
        manual="VICI universal actuator manual (EUH, EUD, EUT), serial commands, pages 14 and 15",
        evidence="src",
        options={
            "positions": Option(("whole number",), "how many positions the valve has; 2 for one with A and B"),
            "id": Option(("text",), 'id the actuator is set to: 0 to 9, A to Z; "" where it has none', ""),
        },
    ),
    _make,
)
