"""A line of analyzers that speak Bayern-Hessen: DA is answered by MD, ST changes the gas and is answered by silence.

Source: Thermo 42i manual, appendix D; Serinus 30 manual, appendix C. A question with a wrong block check, or to another
address, meets silence. `DA` alone is answered by the first device of the line.
"""

import re
from dataclasses import dataclass
from typing import Final

from simulation.journal import Pen

_HEARD_BYTES_MAX: Final = 256
_FRAME: Final = re.compile(rb"\x02([^\x02\x03\r]*)(?:\x03(..)|\r)", re.DOTALL)
_MODE_BITS: Final = {"M": 0, "N": 1 << 2, "K": 1 << 3}


@dataclass
class Device:
    """One analyzer: `gases` maps the digits of a gas to its measurand and concentration in the unit it sends."""

    address: int
    gases: dict[str, tuple[str, float]]
    status: int = 0
    failure: int = 0
    mode: str = "M"


class HessenLine:
    """The line. `counts_stx`: whether its devices count STX in the block check; `thermo`: addresses count up."""

    def __init__(self, journal: Pen, devices: list[Device], *, counts_stx: bool = True, thermo: bool = False) -> None:
        self._journal = journal
        self._devices = devices
        self._counts_stx = counts_stx
        self._thermo = thermo
        self._heard = b""

    def hear(self, data: bytes) -> bytes:
        """Answer each whole frame."""
        heard = self._heard + data
        answer, end = b"", 0
        for found in _FRAME.finditer(heard):
            end = found.end()
            answer += self._answer(found[1], found[2])
        self._heard = heard[end:][-_HEARD_BYTES_MAX:]
        return answer

    def check(self, text: bytes) -> bytes:
        """Block check of a text."""
        value = 0
        for byte in (b"\x02" if self._counts_stx else b"") + text + b"\x03":
            value ^= byte
        return b"%02X" % value

    def _answer(self, text: bytes, said: bytes | None) -> bytes:
        if said is not None and said != self.check(text):
            return b""
        words = re.fullmatch(rb"(DA|ST)(\d{3})?(?: ?([MNK]))?", text)
        device = self._device(words[2]) if words else None
        if words is None or device is None:
            return b""
        if words[1] == b"ST":
            device.mode = (words[3] or b"M").decode("ascii")
            return b""
        told = self._told(device).encode("ascii")
        return b"\x02" + told + (b"\r" if said is None else b"\x03" + self.check(told))

    def _device(self, address: bytes | None) -> Device | None:
        if address is None:
            return self._devices[0]
        return next((device for device in self._devices if device.address == int(address)), None)

    def _told(self, device: Device) -> str:
        status = device.status | _MODE_BITS[device.mode]
        groups, journalled = [], {}
        for place, (gas, (measurand, value)) in enumerate(device.gases.items()):
            mantissa, exponent = f"{value:+.3e}".split("e")
            journalled[measurand] = float(f"{mantissa}e{exponent}")
            address = device.address + place if self._thermo else device.address
            rest = "0000000000" if self._thermo else f"{gas} 000000"
            number = f"{mantissa.replace('.', '')}{int(exponent):+03d}"
            groups.append(f" {address:03d} {number} {status:02X} {device.failure:02X} {rest}")
        self._journal(journalled)
        return f"MD{len(groups):02d}" + "".join(groups) + " "
