"""A Vaisala GMP343: a prompt, an echo that is on until somebody switches it off, a line of numbers in a chosen form.

Source: GMP343 user's guide M210514EN, serial commands. What is not understood is answered by a line with `?`; a restart
says who it is and forgets the echo setting.
"""

from typing import Final

from simulation.journal import Pen

_COMMAND_BYTES_MAX: Final = 200
_BANNER: Final = "GMP343 - Version STD 2.0\r\nCopyright: Vaisala Oyj 2003 - 2006\r\n>"
_COLUMNS: Final = ("CO2RAWUC", "CO2RAW", "CO2", "T")


class Gmp343:
    """The probe. `co2` in umol/mol is set from outside; `average` answers the mean of that many values."""

    def __init__(self, journal: Pen) -> None:
        self._journal = journal
        self._heard = b""
        self._past: list[float] = []
        self._echo = True
        self.co2 = 400.0
        self.error = ""
        self.average = 1
        self.columns = _COLUMNS

    def restart(self) -> bytes:
        """Lose power: echo is on again, nothing is kept of filters, and the banner comes."""
        self._echo, self._heard, self._past = True, b"", []
        return _BANNER.encode("ascii")

    def hear(self, data: bytes) -> bytes:
        """Answer each command that ends with CR; ESC forgets what came of one."""
        *lines, rest = (self._heard + data.replace(b"\n", b"")).split(b"\r")
        self._heard = rest[-_COMMAND_BYTES_MAX:]
        return b"".join(self._reply(line.rpartition(b"\x1b")[2].decode("ascii", "replace")) for line in lines)

    def line(self) -> bytes:
        """One line of RUN mode."""
        self._past = [*self._past, self.co2][-self.average :]
        filtered = round(sum(self._past) / len(self._past), 1)
        self._journal({"co2": filtered} | ({"gas_temperature": 25.0} if "T" in self.columns else {}))
        values = {"CO2RAWUC": self.co2 + 10, "CO2RAW": self.co2 + 5, "CO2": filtered, "T": 25.0}
        label = " (R C C+F T)" if self.columns == _COLUMNS else " ppm"
        return ("".join(f"{values[column]:7.1f} " for column in self.columns) + label).encode("ascii") + b"\r\n"

    def _reply(self, command: str) -> bytes:
        echo = f"{command}\r\n".encode("ascii", "replace") if self._echo else b""
        match command.split():
            case ["send", *_]:
                said = self.line()
            case ["errs"]:
                said = f"{self.error or 'OK: No errors detected.'}\r\n".encode("ascii")
            case ["echo", state]:
                self._echo = state == "on"
                said = f"ECHO : {state.upper()}\r\n".encode("ascii")
            case []:
                said = b""
            case _:
                said = b"? unknown command\r\n"
        return echo + said + b">"
