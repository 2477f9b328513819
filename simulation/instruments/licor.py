"""A LI-COR LI-850 (or LI-840A): answers documents of tags, and sends them unasked at its output rate.

Source: LI-850 instructions, configuration grammar; LI-820 manual, appendix D. Tags are not case sensitive; a command
ends with LF; `<ACK>` answers what is no question.
"""

import re
from typing import Final

from simulation.journal import Pen

_COMMAND_BYTES_MAX: Final = 4096
_ERROR: Final = "<error>Received unrecognized command</error>"


class Licor:
    """The analyzer. `co2` in umol/mol and `h2o` in mmol/mol are set from outside; `fields` are switched on."""

    def __init__(self, journal: Pen, root: str = "li850") -> None:
        self._journal = journal
        self._root = root.lower()
        self._heard = b""
        self.co2 = 400.0
        self.h2o = 10.0
        self.fields = ["celltemp", "cellpres", "co2", "co2abs", "h2o", "h2oabs", "h2odewpoint", "ivolt", "raw"]
        self.zeroing = False

    def hear(self, data: bytes) -> bytes:
        """Answer each line; nothing while the zero is being set, which takes five seconds."""
        *lines, rest = (self._heard + data).split(b"\n")
        self._heard = rest[-_COMMAND_BYTES_MAX:]
        return b"" if self.zeroing else b"".join(self._reply(line) for line in lines if line.strip())

    def document(self) -> bytes:
        """The data document, as asked for or sent unasked."""
        texts = {
            "celltemp": "5.1229e1", "cellpres": "9.8453e1", "co2": f"{self.co2:.4e}", "co2abs": "7.1e-2",
            "h2o": f"{self.h2o:.4e}", "h2oabs": "3.4e-2", "h2odewpoint": "9.4", "ivolt": "1.19e1",
            "raw": "<co2>2726390</co2><co2ref>2837281</co2ref><h2o>1738291</h2o><h2oref>1827364</h2oref>",
        }  # fmt: skip
        told = {"co2": ("co2", 1.0), "h2o": ("h2o_reported", 0.1), "celltemp": ("gas_temperature", 1.0)}
        told["cellpres"] = ("gas_pressure", 1.0)
        switched_on = [(*told[tag], texts[tag]) for tag in told if tag in self.fields]
        self._journal({name: float(text) * factor for name, factor, text in switched_on})
        inner = "".join(f"<{name}>{texts[name]}</{name}>" for name in self.fields)
        return self._framed(f"<data>{inner}</data>")

    def _reply(self, line: bytes) -> bytes:
        command = line.decode("ascii", "replace").strip().lower()
        inside = re.fullmatch(rf"<{self._root}>(.*)</{self._root}>", command)
        if inside is None:
            return self._framed(_ERROR)
        if inside[1] == "<data>?</data>":
            return self.document()
        return self._framed(f"<ack>{'true' if inside[1].startswith('<cfg>') else 'false'}</ack>")

    def _framed(self, inner: str) -> bytes:
        return f"<{self._root}>{inner}</{self._root}>\r\n".encode("ascii")
