"""Bronkhorst flow controllers and meters, FLOW-BUS by ASCII (ProPar): measured value and setpoint as parts of 32000.

`:06 node 04 01 21 01 20` reads parameter 0 (measure) of process 1, `... 21` parameter 1 (setpoint); the answer is
`:06 node 02 01 21 value`. 32000 is 100 %; numbers from 41943 upward are negative. There is no check sum.
Source: Bronkhorst RS232 interface manual 9.17.027, sections 3.5 to 3.10.
"""

import re
from typing import Final

from drivers.base import Ask, BadAnswer, DriverError, DriverInfo, Option, Options, Poll, PolledEntry, Scan, Text
from metrology.measurand import catalogue
from metrology.reading import Reading
from metrology.units import UnitError, convert

PARAMETERS: Final = {"mass_flow": 0x20, "flow_setpoint": 0x21}
STATUS: Final = 0  # the command of an answer that is none but an error code
FULL: Final = 32000
NODE: Final = 3  # as shipped
NEGATIVE_FROM: Final = 41943  # 131.07 %, where the scale ends and numbers below zero begin
LINE_BYTES_MAX: Final = 128
_MESSAGE: Final = re.compile(r":([0-9A-Fa-f]{6,})\r\n")


class Bronkhorst:
    """One node. `full_scale` in L/min is what its 100 % means: the capacity on its label, for its fluid."""

    def __init__(self, instrument: str, node: int, full_scale: float, names: tuple[str, ...]) -> None:
        self._instrument = instrument
        self._node = node
        self._full_scale = full_scale
        self._names = names

    @property
    def measurands(self) -> dict[str, str]:
        """See `PolledDriver`."""
        return {name: catalogue()[name].unit for name in self._names}

    def poll(self) -> Poll:
        """Ask each parameter; one scan at the moment of the last answer."""
        raw: dict[str, int] = {}
        for name in self._names:
            answer = yield Ask(
                f":06{self._node:02X}0401{0x21:02X}01{PARAMETERS[name]:02X}\r\n".encode(), (b"\r\n",), LINE_BYTES_MAX,
                self._whole,
            )  # fmt: skip
            assert isinstance(answer, Text), "the bus answers Ask with Text"
            raw[name] = self._number(answer.data)
            at = answer.at
        readings = tuple(
            Reading(self._instrument, name, self._flow(found), catalogue()[name].unit, at)
            for name, found in raw.items()
        )
        return [Scan(self._instrument, at, readings, {f"{name}_raw": found for name, found in raw.items()})]

    def _whole(self, answer: bytes) -> bool:
        return _MESSAGE.search(answer.decode("ascii", "replace")) is not None

    def _number(self, answer: bytes) -> int:
        text = _MESSAGE.findall(answer.decode("ascii", "replace"))[-1]
        message = bytes.fromhex(text) if len(text) % 2 == 0 else b""
        if not message or message[0] != len(message) - 1:
            raise BadAnswer(f"length does not fit: {text!r}")
        if message[1] != self._node:
            raise BadAnswer(f"answers as node {message[1]}, not {self._node}")
        if message[2] == STATUS:
            raise BadAnswer(f"status {message[3:4].hex()}: the node or the parameter is not there")
        if message[2:5] != b"\x02\x01\x21" or len(message) != 7:
            raise BadAnswer(f"no answer to a read: {text!r}")
        return int.from_bytes(message[5:7], "big")

    def _flow(self, raw: int) -> float:
        return (raw - 65536 if raw >= NEGATIVE_FROM else raw) * self._full_scale / FULL


def _make(instrument: str, unit: int | None, options: Options) -> Bronkhorst:
    node = NODE if unit is None else unit
    if not 0 <= node <= 128:
        raise DriverError(f"unit {unit} of a Bronkhorst: its node, 0 to 128")
    full_scale, stated = options["full_scale"], str(options["unit"])
    assert isinstance(full_scale, int | float), "settled options"
    try:
        in_ours = convert(float(full_scale), stated, "L/min")
    except UnitError as error:
        raise DriverError(f"unit: {error}") from None
    if in_ours <= 0:
        raise DriverError(f"full_scale {full_scale}: the capacity on the label, above 0")
    names = ("mass_flow",) if options["kind"] == "meter" else tuple(PARAMETERS)
    if options["kind"] not in ("meter", "controller"):
        raise DriverError(f'kind {options["kind"]!r}: "controller", or "meter" which has no setpoint')
    return Bronkhorst(instrument, node, in_ours, names)


ENTRY: Final = PolledEntry(
    DriverInfo(
        name="bronkhorst",
        title="Bronkhorst mass flow controllers and meters",
        kind="polled",
        protocol="text",
        measurands={name: catalogue()[name].unit for name in PARAMETERS},
        manual="Bronkhorst RS232 interface manual 9.17.027, pages 23 to 26",
        evidence="src",
        default_unit=NODE,
        options={
            "full_scale": Option(("number",), "what 100 % is, as on the label"),
            "unit": Option(("text",), "unit of full_scale: L/min or mL/min", "L/min"),
            "kind": Option(("text",), "controller, or meter (which has no setpoint)", "controller"),
        },
    ),
    _make,
)
