"""A Thermo i-series analyzer by C-Link: repeats the command, answers, in format 01 with the sum of what it said.

Source: model 410i and 48i instruction manuals, appendix B. Commands to another identification number meet silence; the
analyzer writes the gas in capitals whatever the command was.
"""

from typing import Final

from simulation.journal import Pen

_COMMAND_BYTES_MAX: Final = 128


class CLinkAnalyzer:
    """The analyzer. `value` in ppm, `mode` and `flags` are set from outside; `identity` 0 needs no first byte."""

    def __init__(self, journal: Pen, gas: str, measurand: str, identity: int = 0) -> None:
        self._journal = journal
        self._gas = gas
        self._measurand = measurand
        self._identity = identity
        self._heard = b""
        self.value = 40.0
        self.mode = "sample"
        self.flags = 0x0C100000
        self.format = 0
        self.service = False

    def hear(self, data: bytes) -> bytes:
        """Answer each command that ends with CR and is ours."""
        *lines, rest = (self._heard + data).split(b"\r")
        self._heard = rest[-_COMMAND_BYTES_MAX:]
        return b"".join(self._answer(line) for line in lines)

    def _answer(self, line: bytes) -> bytes:
        if self._identity:
            start = line.rfind(bytes([self._identity + 128]))
            if start < 0:
                return b""
            line = line[start + 1 :]
        said = self._said(line.decode("latin-1"))
        tail = f"\nsum {sum(said.encode('latin-1')) & 0xFFFF:04x}" if self.format else ""
        return f"{said}{tail}\r".encode("latin-1")

    def _said(self, command: str) -> str:
        name = command.lower()
        if name == "set format 01":
            self.format = 1
            return f"{name} ok"
        if name == self._gas and self.service:
            return f"{name} can't, mode is service"
        if name == self._gas:
            text = f"{self.value:.3E}".replace("E+0", "E+").replace("E-0", "E-")
            self._journal({self._measurand: float(text)})
            return f"{self._gas.upper()} {text} ppm"
        known = {"gas mode": self.mode, "flags": f"{self.flags:08x}"}
        return f"{name} {known[name]}" if name in known else f"{name} bad cmd"
