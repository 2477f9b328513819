"""The check sum of HJ 212-2017 appendix A (its worked value: 1C80), and the CRC-16/MODBUS that some devices send.

It is called CRC16 there but is not CRC-16/MODBUS: the byte is combined with the *high* byte of the register and the low
one is lost. What is carried from byte to byte is the high byte alone, so 256 results exist and one damaged frame in 256
passes: length, tail and field checks have to stand beside it.

One step is `state = L(state XOR byte)` with L linear over XOR, and L applied eight times changes nothing. So bytes
eight places apart act alike: the eight-byte words of a segment may be combined by XOR first, and a few look-ups finish
the sum. It also means that the standard's sum cannot see two such words exchanged.
"""

from typing import Final


def _step(byte: int) -> int:
    register = byte
    for _ in range(8):
        register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register


_TABLE: Final = tuple(_step(byte) for byte in range(256))


def _power(times: int) -> bytes:
    """`L` applied so many times, as a table."""
    table = bytes(range(256))
    for _ in range(times):
        table = bytes(_TABLE[byte] >> 8 for byte in table)
    return table


# `_Lk` advances a byte by k steps; eight steps give the byte itself.
_L1, _L2, _L3, _L4, _L5, _L6, _L7 = (_power(times) for times in range(1, 8))
# What the register's start value FFFF adds to the state after a segment, by its length modulo 8.
_START: Final = bytes(_power(times)[0xFF] for times in range(8))
# The register as sent, by the state.
_TEXT: Final = tuple(b"%04X" % register for register in sorted(_TABLE, key=lambda register: register >> 8))
# Masks of half as many bits each time: 512 bytes, ..., 8 bytes.
_M512, _M256, _M128, _M64, _M32, _M16, _M8 = ((1 << (8 * size)) - 1 for size in (512, 256, 128, 64, 32, 16, 8))
_FOLD_MAX: Final = 1024


def crc_text(segment: bytes) -> bytes:
    """Check sum of a data segment as it stands in a frame: four upper-case hexadecimal digits."""
    size = len(segment)
    if not size:
        return b"FFFF"
    x = int.from_bytes(segment if size <= _FOLD_MAX else _shortened(segment), "big")
    x = (x & _M512) ^ (x >> 4096)
    x = (x & _M256) ^ (x >> 2048)
    x = (x & _M128) ^ (x >> 1024)
    x = (x & _M64) ^ (x >> 512)
    x = (x & _M32) ^ (x >> 256)
    x = (x & _M16) ^ (x >> 128)
    a, b, c, d, e, f, g, h = ((x & _M8) ^ (x >> 64)).to_bytes(8, "little")
    return _TEXT[_START[size & 7] ^ _L1[a] ^ _L2[b] ^ _L3[c] ^ _L4[d] ^ _L5[e] ^ _L6[f] ^ _L7[g] ^ h]


def _shortened(segment: bytes) -> bytes:
    """At most `_FOLD_MAX` bytes with the same XOR of words, counted from the end."""
    word = 0
    for end in range(len(segment), 0, -_FOLD_MAX):
        word ^= int.from_bytes(segment[max(0, end - _FOLD_MAX) : end], "big")
    return word.to_bytes(_FOLD_MAX, "big")


def crc16(segment: bytes) -> int:
    """Check sum of a data segment, 0 to 65535."""
    return int(crc_text(segment), 16)


def modbus_text(segment: bytes) -> bytes:
    """CRC-16/MODBUS (polynomial 8005 reflected, start FFFF) written like the check sum of HJ 212."""
    register = 0xFFFF
    for byte in segment:
        register = (register >> 8) ^ _TABLE[(register ^ byte) & 0xFF]
    return b"%04X" % register
