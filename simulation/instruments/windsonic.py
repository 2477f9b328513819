"""A Gill WindSonic: polar lines by itself or when polled, no direction at low wind, a start message.

Source: WindSonic user manual 1405-PS-0019 issue 28, pages 27 to 31, 52 to 54, 58.
"""

from typing import Final

from simulation.journal import Pen

START_MESSAGE: Final = (
    b"WINDSONIC (Gill Instruments Ltd)\r\n2368-110-01\r\nRS232 (CFG)\r\nCHECKSUM ROM:E15C E15C *PASS*\r\n"
)
_LOWEST_WITH_DIRECTION_m_s: Final = 0.05


class WindSonic:
    """The anemometer, node Q. `direction` in degrees and `speed` in m/s are set from outside."""

    def __init__(self, journal: Pen) -> None:
        self._journal = journal
        self._enabled = False
        self.direction = 229
        self.speed = 2.74
        self.status = "00"

    def hear(self, data: bytes) -> bytes:
        """Polled mode: `?` enables, `!` disables, the node's letter asks."""
        answer = b""
        for letter in data.decode("ascii", "replace"):
            if letter in "?!":
                self._enabled = letter == "?"
            elif letter == "Q" and self._enabled:
                answer += self.line()
        return answer

    def line(self) -> bytes:
        """One line."""
        calm = self.speed < _LOWEST_WITH_DIRECTION_m_s
        direction = "" if calm else f"{self.direction:03d}"
        told = {"wind_speed": round(self.speed, 2)} | ({} if calm else {"wind_direction": float(self.direction)})
        self._journal(told)
        body = f"Q,{direction},{self.speed:06.2f},M,{self.status},".encode("ascii")
        check = 0
        for byte in body:
            check ^= byte
        return b"\x02" + body + b"\x03%02X\r\n" % check
