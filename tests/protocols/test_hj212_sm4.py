"""Encrypted data areas of 2025: both published vectors, raw and printed; cipher text that looks like a frame's end."""

import random

import pytest

from protocols.hj212 import Decoder, Edition, Frame, FrameError, Message, Profile, encode
from protocols.hj212.message import flag_of
from protocols.hj212.sm4 import decrypt, encrypt

# HJ 212-2025 appendix A.2, examples 1 and 3, as public code quotes them.
HEADER = b"QN=20240520210700000;ST=31;CN=2051;PW=123456;MN=010000A8900016F000169DC0;Flag=9;CP=&&"
KEY = b"0" * 16
START = (
    "E43E159ACFAB242CB53155FB8B9281A1A242577ABFAED881BE88B72D69FC55ED1A80119FAAC8B3CD33D285CC76F57F2C"
    "A7F88B9573C6647E0F07E24609BD6B63EB20C5B9784F28E71D2F4994FF61D9E1"
)
VECTORS = [
    (
        b"DataTime=20240520210600;a01011-Min=1.35,a01011-Avg=1.35,a01011-Max=1.35,a01011-Flag=N;"
        b"a01012-Min=9.3,a01012-Avg=9.3,a01012-Max=9.3,a01012-Flag=N;"
        b"a01014-Min=3.20,a01014-Avg=3.211,a01014-Max=3.212,a01014-Flag=N",
        START + "C2B3075592B4D1E09C4D8BB27BE97B559E3DA6643781A6F477769DEEB009B10DFFF3426922725D607DC4480F0CAC5F70"
        "DB2587B124BCB281592721D6E4BC180A97E5E111499CBE822E31C8D7761553543AA24207C290997BBDE64F9266BC5F52"
        "9A172E381C1D898CA1A0D771A914A7B2D7467C70B94F1D4A7B0350A48DBF8B41",
        b"",
        b"0295",
        b"2200",
    ),
    (
        b"DataTime=20240520210600;a01011-Min=1.35,a01011-Avg=1.35,a01011-Max=1.35,a01011-Flag=N;"
        b"a01014-Min=3.20,a01014-Avg=3.20,a01014-Max=3.20,a01014-Flag=N",
        START + "3B391A1D2A454B65388D5D9435DBF021528C7BF9755EF16518710C0CAC0ADEF9C5156CD0A5A17674AC0ED2ABC40023E9"
        "EF70128554B82438E91ADCE98A0D03A4",
        b"g=N",
        b"0234",
        b"B541",
    ),
]
EVERY = [Profile.strict(2025), Profile.lenient()]


def both_ways(wire: bytes, profile: Profile, *keys: bytes) -> list[Frame | FrameError]:
    decoder, slow = Decoder(profile, lambda _: keys), Decoder(profile, lambda _: keys)
    found = decoder.feed(wire) + decoder.end()
    assert [one for at in range(len(wire)) for one in slow.feed(wire[at : at + 1])] + slow.end() == found
    return found


@pytest.mark.parametrize(("plain", "cipher", "left", "length", "crc"), VECTORS)
def test_the_published_vectors(plain: bytes, cipher: str, left: bytes, length: bytes, crc: bytes) -> None:
    raw = bytes.fromhex(cipher) + left
    assert (encrypt(plain, KEY), decrypt(raw, KEY)) == (raw, plain)
    (expected,) = Decoder(EVERY[0]).feed(b"##%b%b%b&&%b\r\n" % (length, HEADER, plain, crc))
    assert isinstance(expected, Frame)
    assert encode(expected.message, KEY) == b"##%b%b%b&&%b\r\n" % (length, HEADER, raw, crc)
    spaced = " ".join(f"0x{byte:02x}," for byte in raw).encode()
    forms = {raw: [], cipher.encode() + left: ["printed_ciphertext"], cipher.encode() + left.hex().encode():
             ["printed_ciphertext"], spaced: ["printed_ciphertext"]}  # fmt: skip
    for profile in EVERY:
        for area, deviations in forms.items():
            wire = b"##%b%b%b&&%b\r\n" % (length, HEADER, area, crc)
            found = both_ways(wire * 2, profile, b"a wrong key 1234", KEY)
            assert [one.deviations for one in found if isinstance(one, Frame)] == [deviations] * 2
            assert [one.cp for one in found if isinstance(one, Frame)] == [expected.cp] * 2
            assert profile.refusal(found[0]) is None  # type: ignore[arg-type]
            # Without the right key it is refused, and hides nothing.
            assert not any(isinstance(one, Frame) for one in both_ways(wire, profile, b"a wrong key 1234"))
            assert both_ways(wire + expected.raw, profile)[-1].raw == expected.raw


@pytest.mark.parametrize("wanted", [b"\r\n", b"##", b"&&"], ids=repr)
def test_cipher_text_may_hold_what_ends_or_begins_a_frame(wanted: bytes) -> None:
    source = random.Random(212)
    wires = (encode(message(source.random()), KEY) for _ in range(100_000))
    wire = next(wire for wire in wires if wanted in wire[100:-8])
    found = both_ways(wire * 3, EVERY[0], KEY)
    assert [type(one) for one in found] == [Frame] * 3


def message(value: float) -> Message:
    flag = flag_of(Edition.HJ2025, wants_answer=True)
    items = tuple(((f"a0101{index}-Rtd", f"{value * index:.6f}"),) for index in range(9))
    return Message("20260115093000120", "31", "2011", "123456", "0" * 24, flag, items)


def test_a_short_data_area_is_not_encrypted_and_a_plain_one_is_read_all_the_same() -> None:
    short = Message("20260115093000120", "31", "9015", "123456", "0" * 24, 9, ((("a", "1"),),))
    assert encode(short, KEY) == encode(short)
    for profile in EVERY:
        (frame,) = both_ways(encode(message(1.0)), profile, KEY)
        assert isinstance(frame, Frame)
        assert frame.message == message(1.0)


def test_the_peer_of_the_header_decides_on_the_keys() -> None:
    asked = []
    decoder = Decoder(EVERY[0], lambda fields: asked.append(fields["MN"]) or (KEY,))  # type: ignore[func-returns-value]
    assert isinstance(decoder.feed(encode(message(1.0), KEY))[0], Frame)
    assert set(asked) == {"0" * 24}


def test_encrypting_wants_a_key_of_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match=r".+"):
        encode(message(1.0), b"short")
