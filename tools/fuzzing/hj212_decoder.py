"""What must hold of the decoder for every input, and one input as the fuzzer gives it.

The first three bytes of an input steer: profile, whether keys are there, whether frames go out encrypted, how the
bytes are cut. The rest is the stream.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from hj212_held import held
from hj212_wire import FRAME, check_sum, wrap

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
# What a decoder may hold between two calls: one unfinished frame (length digits reach 9999) and little beside it.
HELD_BYTES_MAX: Final = 16_384
HELD_ITEMS_MAX: Final = 64
BLANKS: Final = re.compile(rb"\s")
BLANK: Final = re.compile(rb"\s*")
AREA: Final = re.compile(rb"(.*?CP=&&)(.*)(&&)\Z", re.DOTALL)

Found = list[Frame | FrameError]


class ViolationError(AssertionError):
    """Something that must hold did not."""


def need(holds: bool, what: str) -> None:
    """Raise ViolationError unless it holds."""
    if not holds:
        raise ViolationError(what)


def keys(_: Mapping[str, str]) -> Sequence[bytes]:
    """New key first, old one after it."""
    return (KEY, OLD_KEY)


def encrypted(stream: bytes) -> bytes:
    """The stream with the data area of every frame encrypted; length and check sum stay those of the plain segment."""

    def change(found: re.Match[bytes]) -> bytes:
        area = AREA.match(found[2])
        if area is None:
            return found[0]
        return b"##%b%b%b&&%b\r\n" % (found[1], area[1], encrypt(area[2], KEY), found[3])

    return FRAME.sub(change, stream)


def whole(decoder: Decoder, stream: bytes) -> Found:
    """Everything at once."""
    return decoder.feed(stream) + decoder.end()


def in_pieces(decoder: Decoder, stream: bytes, seed: int) -> Found:
    """The same in pieces whose sizes come from `seed`; what the decoder holds is looked at on the way."""
    found: Found = []
    longest = (5, 40, 300, 1500)[seed & 3]
    start, look_at = 0, len(stream) >> 1
    while start < len(stream):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        size = 1 + (seed >> 8) % longest
        found += decoder.feed(stream[start : start + size])
        start += size
        if start >= look_at:
            check_held(decoder)
            look_at = len(stream)
    return found + decoder.end()


def check_held(decoder: Decoder) -> None:
    """Memory stays bounded whatever comes."""
    size, items = held(decoder)
    need(size <= HELD_BYTES_MAX, f"the decoder holds {size} bytes")
    need(items <= HELD_ITEMS_MAX, f"the decoder holds {items} things in one container")


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
        need(profile == PROFILES[3] or not one.deviations, f"a strict decoder forgave {one.deviations}")
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


def check_again(frame: Frame, profile: Profile) -> None:
    """Lenient reads the same in a strict frame and forgives nothing; written again it says the same."""
    again = whole(Decoder(PROFILES[3]), frame.raw)
    need(len(again) == 1 and isinstance(again[0], Frame), "lenient refuses what strict took")
    assert isinstance(again[0], Frame)
    need(again[0].deviations == [], f"lenient forgives {again[0].deviations} where strict had nothing to say")
    need((again[0].fields, again[0].cp) == (frame.fields, frame.cp), "lenient reads other fields than strict")
    try:
        written = encode(frame.message)
    except EncodeError:
        # Writing is narrower than reading: names and values that no standard knows are read all the same.
        return
    found = whole(Decoder(profile), written)
    need(len(found) == 1 and isinstance(found[0], Frame), "a strict frame written again is refused")
    assert isinstance(found[0], Frame)
    need(found[0].message == frame.message, "a strict frame written again says something else")


def check_decoder(stream: bytes, profile: Profile, seed: int, *, with_keys: bool = False, cipher: bool = False) -> None:
    """Everything that must hold of one stream under one profile. Raises ViolationError."""
    made = (lambda: Decoder(profile, keys)) if with_keys else (lambda: Decoder(profile))
    decoder = made()
    found = whole(decoder, stream)
    need(not decoder.unfinished, "bytes are left after the end")
    check_places(found, stream)
    check_forms(found, profile)
    need(in_pieces(made(), stream, seed) == found, "pieces give another result than the whole")
    frames = [one for one in found if isinstance(one, Frame)]
    for one, later in pairwise(frames):
        need(one.offset + len(one.raw) <= later.offset, "frames overlap")
    for one in frames:
        need(one.message.raw == one.raw, "a message of other bytes")
        if profile != PROFILES[3]:
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
        stream = encrypted(stream)
    check_decoder(
        stream, PROFILES[control[0] & 3], control[1] << 8 | control[2], with_keys=bool(control[0] & 4), cipher=cipher
    )


__all__ = ["CONTROL", "ViolationError", "check_decoder", "held", "need", "one_input", "wrap"]
