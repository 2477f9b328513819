"""The check sum against the loop that HJ 212-2017 appendix A prints, written here once more on its own."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.hj212.crc import crc16, crc_text, modbus_text


def appendix_a(data: bytes) -> int:
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ byte
        for _ in range(8):
            out = register & 1
            register >>= 1
            if out:
                register ^= 0xA001
    return register


def test_the_worked_value_of_appendix_a() -> None:
    segment = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
    assert crc16(segment) == appendix_a(segment) == 0x1C80
    assert crc_text(segment) == b"1C80"


def test_every_length_up_to_1100_and_some_beyond() -> None:
    source = random.Random(212)
    for size in [*range(1101), 2047, 2048, 2049, 9999]:
        data = source.randbytes(size)
        assert crc16(data) == appendix_a(data), size


@given(st.binary(max_size=64))
def test_any_bytes(data: bytes) -> None:
    assert crc16(data) == appendix_a(data)
    assert crc_text(data) == b"%04X" % appendix_a(data)


@given(st.binary(min_size=24, max_size=80), st.integers(0, 40))
def test_two_words_of_eight_bytes_exchanged_go_unseen(data: bytes, at: int) -> None:
    at = min(at, len(data) - 16)
    exchanged = data[:at] + data[at + 8 : at + 16] + data[at : at + 8] + data[at + 16 :]
    assert crc16(exchanged) == crc16(data)


@pytest.mark.parametrize(("data", "text"), [(b"123456789", b"4B37"), (b"", b"FFFF")])
def test_the_sum_of_modbus_is_another(data: bytes, text: bytes) -> None:
    assert modbus_text(data) == text
