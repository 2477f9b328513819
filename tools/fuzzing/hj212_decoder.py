"""What must hold of the decoder for every input, and one input as the fuzzer gives it.

The first three bytes of an input steer: profile, whether keys are there, whether frames go out encrypted and printed,
whether one byte is damaged, whether and how the bytes are cut. The rest is the stream.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from itertools import pairwise
from typing import Final

from hj212_held import held
from hj212_seeds import decoder_seeds
from hj212_wire import HEAD, NAMES, SEPARATORS, TAIL, VALUES, check_sum, damage_inside, reframed
from must import need

from protocols.hj212.decoder import Decoder
from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.message import EncodeError, encode
from protocols.hj212.profile import Leniency, Profile
from protocols.hj212.sm4 import encrypt

PROFILES: Final = (Profile.strict(2005), Profile.strict(2017), Profile.strict(2025), Profile.lenient())
REASONS: Final = frozenset({"header", "length", "crc", "segment", "oversize", "truncated", "version"})
KEY: Final = b"0" * 16
OLD_KEY: Final = b"1" * 16
CONTROL: Final = 3
NEVER_REFUSED: Final = frozenset({Leniency.PRINTED_CIPHERTEXT})
RAW: Final = 0
PRINTED: Final = 32
PRINTED_LENGTH: Final = 64
PRINTS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda cipher: cipher.hex().upper().encode(),
    lambda cipher: cipher.hex(" ").encode(),
    lambda cipher: b",".join(b"0x%02X" % byte for byte in cipher),
    lambda cipher: cipher[:-1].hex(" ").encode() + b" " + cipher[-1:],
    lambda cipher: b"0x" + cipher.hex(",").encode() + b" ",
)
# What a decoder may hold between two calls: one unfinished frame (length digits reach 9999) and little beside it.
HELD_BYTES_MAX: Final = 16_384
HELD_MORE_ITEMS_MAX: Final = 2
BLANKS: Final = re.compile(rb"\s")
BLANK: Final = re.compile(rb"\s*")
AREA: Final = re.compile(rb"(.*?CP=&&)(.*)(&&)\Z", re.DOTALL)

Found = list[Frame | FrameError]


def keys(_: Mapping[str, str]) -> Sequence[bytes]:
    """New key first, old one after it."""
    return (KEY, OLD_KEY)


def encrypted(stream: bytes, style: int = RAW) -> bytes:
    """The stream with the data area of every frame encrypted, as raw bytes or printed as the standard prints them.

    Length and check sum stay those of the plain segment; with PRINTED_LENGTH the length is that of the printed one.
    """

    def change(frame: bytes) -> bytes:
        area = AREA.match(frame[HEAD:-TAIL])
        if area is None:
            return frame
        cipher, length = encrypt(area[2], KEY), frame[2:HEAD]
        if style & PRINTED:
            cipher = PRINTS[(style & 7) % len(PRINTS)](cipher)
        if style & PRINTED_LENGTH:
            length = b"%04d" % ((len(area[1]) + len(cipher) + 2) % 10000)
        return b"##%b%b%b&&%b" % (length, area[1], cipher, frame[-TAIL:])

    return reframed(stream, change)


def whole(decoder: Decoder, stream: bytes) -> Found:
    """Everything at once."""
    return decoder.feed(stream) + decoder.end()


def cuts(size: int, seed: int) -> list[int]:
    """Where the stream is cut: at some places anywhere, and around one place byte by byte."""
    places = {0, size}
    for _ in range(2 + (seed & 3)):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        places.add((seed >> 8) % (size + 1))
    start = (seed >> 4) % (size + 1)
    return sorted(places | set(range(start, min(size, start + 6))))


def in_pieces(decoder: Decoder, stream: bytes, seed: int) -> Found:
    """The same in pieces that come from `seed`; what the decoder holds is looked at on the way."""
    found: Found = []
    places, look = cuts(len(stream), seed), seed & 0x0300 == 0
    at_first = held(decoder).changing if look else 0
    for at, (begin, end) in enumerate(pairwise(places)):
        found += decoder.feed(stream[begin:end])
        if look and (at == 1 or end == len(stream)):
            check_held(decoder, at_first)
    return found + decoder.end()


def check_held(decoder: Decoder, at_first: int) -> None:
    """Memory stays bounded whatever comes."""
    size, _, items = held(decoder)
    need(size <= HELD_BYTES_MAX, f"the decoder holds {size} bytes")
    need(items <= at_first + HELD_MORE_ITEMS_MAX, f"the decoder's containers hold {items} things")


def check_places(found: Found, stream: bytes) -> None:
    """Each raw stands where it says; every byte belongs to exactly one frame or error, or is blank."""
    end = 0
    for one in found:
        at, raw = one.offset, one.raw
        need(stream[at : at + len(raw)] == raw, f"raw at {at} is not what the stream has there")
        need(at >= end, f"the bytes at {at} were given before")
        need(bool(BLANK.fullmatch(stream, end, at)), f"bytes {end} to {at} are lost")
        need(bool(raw), f"nothing at {at}")
        end = at + len(raw)
    need(bool(BLANK.fullmatch(stream, end)), f"bytes from {end} to the end are lost")


def check_forms(found: Found, profile: Profile) -> None:
    """Reasons and deviations have their names; a strict decoder forgives nothing."""
    for one in found:
        if isinstance(one, FrameError):
            need(one.reason in REASONS, f"reason {one.reason}")
            continue
        unknown = set(one.deviations) - set(Leniency)
        need(not unknown, f"deviations {unknown}")
        forgiven = set(one.deviations) - NEVER_REFUSED
        need(profile == PROFILES[3] or not forgiven, f"a strict decoder forgave {forgiven}")
        need(len(set(one.deviations)) == len(one.deviations), "a deviation is named twice")


def check_strict(frame: Frame, *, cipher: bool) -> None:
    """A frame that strict took is right by an independent look: length, check sum, fields and area as in its bytes."""
    raw = frame.raw
    need(raw.startswith(b"##") and raw.endswith(b"\r\n"), "a strict frame without head or tail")
    need(raw[2:6].isdigit() and len(raw) == int(raw[2:6]) + 12 <= 1036, "a strict frame of another length")
    if cipher:
        return
    segment = raw[6:-6]
    need(raw[-6:-2] == b"%04X" % check_sum(segment), "a strict frame with another check sum")
    if not BLANKS.search(segment):
        header = "".join(f"{name}={value};" for name, value in frame.fields.items())
        area = ";".join(",".join(f"{name}={value}" for name, value in item) for item in frame.cp)
        need(f"{header}CP=&&{area}&&".encode() == segment, "fields and area are not what the bytes say")


_TEMPLATES: Final[dict[tuple[Profile, bool], Decoder]] = {}


def fresh(profile: Profile, *, with_keys: bool = False) -> Decoder:
    """A decoder that has seen nothing: a copy of one, because what it is made from takes longer than a short input."""
    key = (profile, with_keys)
    if key not in _TEMPLATES:
        _TEMPLATES[key] = Decoder(profile, keys) if with_keys else Decoder(profile)
    return copy(_TEMPLATES[key])


def check_again(frame: Frame, profile: Profile) -> None:
    """Lenient reads the same in a strict frame and forgives nothing; written again it says the same."""
    again = whole(fresh(PROFILES[3]), frame.raw)
    need(len(again) == 1 and isinstance(again[0], Frame), "lenient refuses what strict took")
    assert isinstance(again[0], Frame)
    need(again[0].deviations == [], f"lenient forgives {again[0].deviations} where strict had nothing to say")
    need((again[0].fields, again[0].cp) == (frame.fields, frame.cp), "lenient reads other fields than strict")
    try:
        written = encode(frame.message)
    except EncodeError:
        # Writing is narrower than reading: names and values that no standard knows are read all the same.
        return
    found = whole(fresh(profile), written)
    need(len(found) == 1 and isinstance(found[0], Frame), "a strict frame written again is refused")
    assert isinstance(found[0], Frame)
    need(found[0].message == frame.message, "a strict frame written again says something else")


def check_decoder(
    stream: bytes, profile: Profile, seed: int, *, with_keys: bool = False, cipher: bool = False, pieces: bool = True
) -> None:
    """Everything that must hold of one stream under one profile. Raises ViolationError."""
    decoder = fresh(profile, with_keys=with_keys)
    found = whole(decoder, stream)
    need(not decoder.unfinished, "bytes are left after the end")
    check_places(found, stream)
    check_forms(found, profile)
    if pieces:
        need(in_pieces(fresh(profile, with_keys=with_keys), stream, seed) == found, "pieces give another result")
    frames = [one for one in found if isinstance(one, Frame)]
    for one, later in pairwise(frames):
        need(one.offset + len(one.raw) <= later.offset, "frames overlap")
    for one in frames:
        need(one.message.raw == one.raw, "a message of other bytes")
        if profile == PROFILES[3]:
            with suppress(EncodeError):
                encode(one.message, KEY if with_keys else None)
        elif not one.deviations:
            check_strict(one, cipher=cipher or with_keys)
            if seed & 0x0F00 == 0 and not cipher and not with_keys:
                check_again(one, profile)


def one_input(data: bytes) -> None:
    """The target: one input of the fuzzer."""
    control, stream = data[:CONTROL], data[CONTROL:]
    if len(control) < CONTROL:
        return
    cipher = bool(control[0] & 8)
    if cipher:
        # How it is printed goes by the second byte, so that one flipped bit of the first does not change all of it.
        stream = encrypted(stream, control[0] & (PRINTED | PRINTED_LENGTH) | control[1] % len(PRINTS))
    if control[0] & 128 and stream:
        at = (control[1] << 8 | control[2]) % len(stream)
        stream = stream[:at] + bytes([stream[at] ^ 1 + control[2] % 255]) + stream[at + 1 :]
    flags = {"with_keys": bool(control[0] & 4), "cipher": cipher, "pieces": bool(control[0] & 16)}
    check_decoder(stream, PROFILES[control[0] & 3], control[1] << 8 | control[2], **flags)


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    return decoder_seeds()


inside: Final = damage_inside
WORDS: Final = SEPARATORS + VALUES + NAMES
