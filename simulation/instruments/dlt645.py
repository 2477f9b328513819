"""An electricity meter by DL/T 645-2007: its own address on the wildcard, silence for others, refusals, wake-up bytes.

Source: DL/T 645-2007, sections 5 to 7 and annex A.
"""

from typing import Final

from simulation.journal import Pen

_NO_SUCH_DATA: Final = 0x02
_LINE_BYTES_MAX: Final = 512
# Data identifier: names of its values, how many digits each, how many of them behind the point, whether it has a sign.
_ITEMS: Final = {
    "00010000": (("active_energy",), 8, 2, False),
    "0201FF00": (("voltage_a", "voltage_b", "voltage_c"), 4, 1, False),
    "02010100": (("voltage_a",), 4, 1, False),
    "0202FF00": (("current_a", "current_b", "current_c"), 6, 3, True),
    "02020100": (("current_a",), 6, 3, True),
    "02030000": (("active_power",), 6, 4, True),
    "02060000": (("power_factor",), 4, 3, True),
    "02800002": (("mains_frequency",), 4, 2, False),
}


class Dlt645Meter:
    """One meter. Without a name in `values` it does not have the item. `wake_up` bytes FE go before each answer."""

    def __init__(self, journal: Pen, address: str, values: dict[str, float], wake_up: int = 4) -> None:
        self._journal = journal
        self._address = bytes.fromhex(address)[::-1]
        self.values = values
        self.wake_up = wake_up
        self.echoes = False
        self._buffer = b""

    def hear(self, data: bytes) -> bytes:
        """Take bytes in pieces of any size; what is answered, if anything."""
        self._buffer = (self._buffer + data)[-_LINE_BYTES_MAX:]
        replies = b""
        while (start := self._buffer.find(0x68)) >= 0:
            rest = self._buffer[start:]
            if len(rest) < 12 or len(rest) < 12 + rest[9]:
                break
            question = rest[: 12 + rest[9]]
            if rest[7] != 0x68 or question[-1] != 0x16 or sum(question[:-2]) % 256 != question[-2]:
                self._buffer = rest[1:]
                continue
            self._buffer = rest[len(question) :]
            replies += (question if self.echoes else b"") + self._reply(question)
        return replies

    def _reply(self, question: bytes) -> bytes:
        if question[1:7] not in (self._address, b"\xaa" * 6):
            return b""
        if question[8] == 0x13:
            return self._frame(0x93, self._address)
        if question[8] != 0x11:
            return self._frame(question[8] | 0xC0, bytes((1,)))
        wanted = bytes((byte - 0x33) % 256 for byte in question[10:-2])[::-1].hex().upper()
        names, digits, decimals, signed = _ITEMS.get(wanted, ((), 0, 0, False))
        if not names or not self.values.keys() >= set(names):
            return self._frame(0xD1, bytes((_NO_SUCH_DATA,)))
        data = b"".join(self._bcd(self.values[name], digits, decimals, signed) for name in names)
        self._journal({name: round(self.values[name], decimals) for name in names})
        return self._frame(0x91, bytes.fromhex(wanted)[::-1] + data)

    @staticmethod
    def _bcd(value: float, digits: int, decimals: int, signed: bool) -> bytes:
        number = bytearray.fromhex(f"{round(abs(value) * 10**decimals):0{digits}d}")
        if signed and value < 0:
            number[0] |= 0x80
        return bytes(number[::-1])

    def _frame(self, control: int, data: bytes) -> bytes:
        head = b"\x68" + self._address + b"\x68" + bytes((control, len(data)))
        body = head + bytes((byte + 0x33) % 256 for byte in data)
        return b"\xfe" * self.wake_up + body + bytes((sum(body) % 256, 0x16))
