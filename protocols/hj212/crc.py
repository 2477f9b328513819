"""The check sum of HJ 212-2017 appendix A (its worked value: 1C80).

It is called CRC16 there but is not CRC-16/MODBUS: the byte is combined with the *high* byte of the register, the low
one is lost. So a register depends on eight bits only, 256 results exist, and one damaged frame in 256 passes: length,
tail and field checks have to stand beside it.
"""

from typing import Final


def _step(byte: int) -> int:
    register = byte
    for _ in range(8):
        register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register


_TABLE: Final = tuple(_step(byte) for byte in range(256))


def crc16(segment: bytes) -> int:
    """Check sum of a data segment, 0 to 65535; sent as four upper-case hexadecimal digits."""
    register = 0xFFFF
    for byte in segment:
        register = _TABLE[(register >> 8) ^ byte]
    return register
