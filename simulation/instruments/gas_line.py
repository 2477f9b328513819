"""What stands in a gas line: an Alicat and a Bronkhorst flow controller, a VICI selector valve.

Sources: Alicat serial communications primer rev. 2 (2023); Bronkhorst RS232 interface manual 9.17.027; VICI universal
actuator manual (EUH, EUD, EUT), serial commands.
"""

import re
from typing import Final

from metrology.clock import Clock
from simulation.journal import Pen

_TRAVEL_S: Final = 0.1  # from one position to the next
_KPA_OF_PSI: Final = 6.894757293168361


class AlicatController:
    """One device in psi, degC, L/min. The flow follows the setpoint at once unless the valve is held."""

    def __init__(self, journal: Pen, letter: str = "A") -> None:
        self._journal = journal
        self._letter = letter
        self._buffer = b""
        self.setpoint = 0.5
        self.pressure_psi = 14.7
        self.held = False
        self.words: list[str] = []
        self._held_flow = 0.0

    def hear(self, data: bytes) -> bytes:
        """Commands end with CR; those for other letters meet silence, unknown ones a question mark."""
        *lines, self._buffer = (self._buffer + data).split(b"\r")
        return b"".join(self._reply(line.decode("ascii", "replace").upper()) for line in lines)

    def _reply(self, line: str) -> bytes:
        if not line.startswith(self._letter):
            return b""
        command = line[1:]
        if set_to := re.fullmatch(r"S ?([\d.]+)", command):
            self.setpoint = float(set_to[1])
        elif command in ("HC", "HP"):
            self.held, self._held_flow = True, self.setpoint if command == "HP" else 0.0
        elif command == "C":
            self.held = False
        elif command:
            return b"?\r"
        return self._row()

    def _row(self) -> bytes:
        flow = self._held_flow if self.held else self.setpoint
        pressure, words = round(self.pressure_psi, 2), [*self.words, *(["HLD"] if self.held else [])]
        self._journal({
            "gas_pressure": pressure * _KPA_OF_PSI, "gas_temperature": 25.0, "volume_flow": flow, "mass_flow": flow,
            "flow_setpoint": self.setpoint,
        })  # fmt: skip
        numbers = f"{pressure:+07.2f} +025.00 {flow:+07.3f} {flow:+07.3f} {self.setpoint:06.3f}"
        return f"{self._letter} {numbers} {'Air':>7}{''.join(f' {word}' for word in words)}\r".encode("ascii")


class BronkhorstController:
    """One node that knows measure and setpoint. `percent` and `setpoint_percent` are of its capacity."""

    def __init__(self, journal: Pen, node: int = 3, capacity_L_min: float = 0.5) -> None:
        self._journal = journal
        self._node = node
        self._capacity = capacity_L_min
        self._buffer = b""
        self.percent = 50.0
        self.setpoint_percent = 50.0

    def hear(self, data: bytes) -> bytes:
        """Messages in hexadecimal from a colon to CR LF."""
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        return b"".join(self._reply(line.decode("ascii", "replace")) for line in lines)

    def _reply(self, line: str) -> bytes:
        if not re.fullmatch(r":([0-9A-Fa-f]{2})+", line):
            return b""
        message = bytes.fromhex(line[1:])
        if message[0] != len(message) - 1 or message[1] != self._node:
            return b""
        if message[2] == 4 and message[3:6] == b"\x01\x21\x01" and message[6] in (0x20, 0x21):
            return self._value(message[6] == 0x21)
        if message[2] in (1, 2) and message[3:5] == b"\x01\x21":
            self.setpoint_percent = int.from_bytes(message[5:7], "big") / 320
            return b"" if message[2] == 2 else f":04{self._node:02X}000005\r\n".encode()
        return f":04{self._node:02X}000404\r\n".encode()

    def _value(self, setpoint: bool) -> bytes:
        raw = round((self.setpoint_percent if setpoint else self.percent) * 320)
        self._journal({"flow_setpoint" if setpoint else "mass_flow": raw / 32000 * self._capacity})
        return f":06{self._node:02X}020121{raw % 65536:04X}\r\n".encode()


class ViciActuator:
    """A selector valve, silent while it travels; a stuck one stays where it is. `style` is that of its answers.

    `moves` are the positions it was sent to.
    """

    def __init__(self, journal: Pen, clock: Clock, positions: int = 10, style: str = "short", device: str = "") -> None:
        self._journal = journal
        self._clock = clock
        self._positions = positions
        self._style = style
        self._device = device
        self._buffer = b""
        self._arrives = clock.monotonic()
        self.position = 1
        self.stuck = False
        self.moves: list[int] = []

    def hear(self, data: bytes) -> bytes:
        """Commands end with CR."""
        *lines, self._buffer = (self._buffer + data).split(b"\r")
        return b"".join(self._reply(line.decode("ascii", "replace").upper()) for line in lines)

    def _reply(self, line: str) -> bytes:
        if not line.startswith(self._device) or self._clock.monotonic() < self._arrives:
            return b""
        command = line.removeprefix(self._device)
        if move := re.fullmatch(r"(?:GO|CW|CC)(\d+)", command):
            self._move(int(move[1]))
            return b""
        if command != "CP":
            return b""
        self._journal({"valve_position": self.position})
        short = f"{self._device}CP{self.position:02d}\r"
        text = {"short": short, "long": f"Position is = {self.position}\r", "echo": f"{line}\r{short}"}[self._style]
        return text.encode("ascii")

    def _move(self, position: int) -> None:
        self.moves.append(position)
        if 1 <= position <= self._positions and not self.stuck:
            steps = abs(position - self.position)
            self._arrives = self._clock.monotonic() + _TRAVEL_S * min(steps, self._positions - steps)
            self.position = position
