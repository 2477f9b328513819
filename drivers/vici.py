"""VICI Valco actuators: where a multiposition or two-position valve stands, and the way of a multiposition one.

`CP` is answered by `CP03`, or on older heads `Position is = 3`; two-position valves say A or B, which are 1 and 2.
Some heads echo the question first. `GOnn` moves and may be answered by nothing. Source: VICI universal actuator manual
(EUH, EUD, EUT), pages 14 and 15.
"""

import re
from collections.abc import Generator
from typing import Final

from drivers.base import (
    Answer,
    Ask,
    BadAnswer,
    DriverError,
    DriverInfo,
    Option,
    Options,
    Poll,
    PolledEntry,
    Scan,
    Step,
    Tell,
    Text,
)  # fmt: skip
from metrology.quality import Cause, Mark, Quality
from metrology.reading import Reading

MEASURAND, UNIT = "valve_position", "1"
LINE_BYTES_MAX: Final = 128
SHOWN_CHARACTERS_MAX: Final = 80
_POSITION: Final = re.compile(rb'(?:CP|=|is)[ \t]*"?(\d{1,3}|[AB])"?[ \t]*[\r\n]', re.IGNORECASE)


def _question(device: str) -> Ask:
    return Ask(f"{device}CP\r".encode(), (b"\r", b"\n"), LINE_BYTES_MAX, lambda came: bool(_POSITION.search(came)))


def _said(answer: Answer) -> str:
    """The last position of an answer: a number, A or B."""
    assert isinstance(answer, Text), "the bus answers Ask with Text"
    return str(_POSITION.findall(answer.data)[-1].decode().upper())


class ViciSelector:
    """A multiposition valve that is moved; see `SelectorDriver`. States are positions from 1.

    Two-position valves are not moved: how these actuators are sent to A and to B is unverified.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def move(self, state: int) -> Generator[Step, Answer, None]:
        """See `SelectorDriver`."""
        yield Tell(f"{self._device}GO{state:02d}\r".encode())

    def state(self) -> Generator[Step, Answer, int | None]:
        """See `SelectorDriver`. Raises BadAnswer for a two-position valve."""
        said = _said((yield _question(self._device)))
        if not said.isdecimal():
            raise BadAnswer(f"position {said}: a two-position valve")
        return int(said)


class Vici:
    """One actuator that is only read."""

    def __init__(self, instrument: str, device: str, positions: int) -> None:
        self._instrument = instrument
        self._positions = positions
        self._step = _question(device)

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {MEASURAND: UNIT}

    def poll(self) -> Poll:
        """Ask once; one scan. A position the valve does not have is shown and flagged."""
        answer = yield self._step
        said = _said(answer)
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
