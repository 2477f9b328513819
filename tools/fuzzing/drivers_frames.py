"""Check sums of the instruments' frames, so that a damage inside of one gets past them."""

import re
from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import Final

from drivers.bayern_hessen import block_check
from drivers.senseair_ram import crc
from drivers.sps30 import content_of, shdlc

Repair = Callable[[bytes], bytes]


def bayern_hessen(data: bytes) -> bytes:
    """The block check behind the last ETX."""
    head, end, _ = data.rpartition(b"\x03")
    text = head.rpartition(b"\x02")[2]
    return head + b"\x03" + block_check(text, with_stx=True) if end else data


def clink(data: bytes) -> bytes:
    """The line `sum xxxx`, where there is one."""
    head, found, _ = data.partition(b"\nsum")
    return head + b"\nsum %04x\r" % (sum(head) & 0xFFFF) if found else data


def dlt645(data: bytes) -> bytes:
    """Length and sum of the frame behind the wake-up bytes."""
    wake, found, rest = data.partition(b"\x68")
    if not found or len(rest) < 9:
        return data
    body = (b"\x68" + rest[:-2])[:265].ljust(10, b"\0")
    body = body[:9] + bytes((min(255, len(body) - 10),)) + body[10:]
    return wake + body + bytes((sum(body) & 0xFF, 0x16))


def sps30(data: bytes) -> bytes:
    """Length, check and stuffing."""
    content = content_of(data.strip(b"\x7e")) or data.strip(b"\x7e")[:255].ljust(4, b"\0")
    return shdlc(content[:3] + bytes((len(content) - 4,)) + content[4:])


def senseair_ram(data: bytes) -> bytes:
    """CRC-16."""
    return data[:-2] + crc(data[:-2])


def mhz19(data: bytes) -> bytes:
    """Two's complement of the sum."""
    frame = (b"\xff\x86" + data[2:8]).ljust(8, b"\0")
    return frame + bytes((-sum(frame[1:]) & 0xFF,))


def sds011(data: bytes) -> bytes:
    """Sum of the bytes behind the second."""
    body = data[2:8].ljust(6, b"\0")
    return b"\xaa" + data[1:2].ljust(1, b"\xc0") + body + bytes((sum(body) & 0xFF, 0xAB))


def wind(data: bytes) -> bytes:
    """XOR of each line, between STX and ETX."""
    return re.sub(
        rb"\x02([^\x02\x03]*)\x03..", lambda m: b"\x02" + m[1] + b"\x03%02X" % reduce(xor, m[1], 0), data, flags=re.S
    )


def nmea(data: bytes) -> bytes:
    """XOR of each sentence, between `$` and `*`."""
    return re.sub(rb"\$([^$*\r\n]*)\*..", lambda m: b"$" + m[1] + b"*%02X" % reduce(xor, m[1], 0), data, flags=re.S)


def plantower(data: bytes) -> bytes:
    """Frames of 32 bytes with their length and sum."""
    made = bytearray(data)
    for start in range(0, len(made) - 31, 32):
        made[start : start + 4] = b"BM\x00\x1c"
        made[start + 30 : start + 32] = (sum(made[start : start + 30]) & 0xFFFF).to_bytes(2, "big")
    return bytes(made)


REPAIRS: Final[dict[str, Repair]] = {
    "bayern_hessen": bayern_hessen, "thermo_410i": clink, "thermo_48i": clink, "dlt645": dlt645, "sps30": sps30,
    "senseair_ram": senseair_ram, "mhz19": mhz19, "sds011": sds011, "gill_windsonic": wind,
    "gill_windsonic_polled": wind, "nmea_gps": nmea, "vaisala_wxt5xx_nmea": nmea, "plantower_pms": plantower,
}  # fmt: skip
