"""The short way for a frame in which nothing departs from its edition, which is nearly every frame.

It only ever takes what the long way (`candidate`) takes too, with the same result; anything out of the ordinary, a
blank or a letter beyond ASCII among it, is left to that one.
"""

import re
import string
from functools import lru_cache
from typing import Final, NamedTuple

from protocols.hj212.crc import crc_text
from protocols.hj212.frame import Frame
from protocols.hj212.message import SEGMENT_MAX
from protocols.hj212.profile import Edition, Leniency, Profile, mn_lengths

_HEADER: Final = re.compile(
    r"QN=([0-9]{17});ST=([0-9A-Z]{2});CN=([0-9]{4});PW=([0-9A-Za-z]{1,24});MN=([0-9A-Za-z]{14,24});Flag=([0-9]{1,2});"
    r"(?:PNUM=([0-9]{1,4});PNO=([0-9]{1,4});)?(?:RF=(1);)?CP=&&"
)
# Bytes that occur in an ordinary segment; without the slash that opens a log text and the `#` that opens a frame.
_ORDINARY: Final = (string.ascii_letters + string.digits + "=;,&-.+_:!\"$%'()*<>?@[\\]^`{|}~").encode()


class Flags(NamedTuple):
    """How long MN is with each Flag that a profile takes without a deviation; whether it forgives other lengths.

    That one deviation is so common that a frame with it goes the short way too.
    """

    lengths: dict[str, tuple[int, ...]]
    other_mn: bool


@lru_cache(maxsize=64)
def plain_flags(profile: Profile) -> Flags:
    """Which Flags need no deviation, and how long MN is with them."""
    editions = list(Edition) if profile.edition is None else [profile.edition]
    lengths = {str(edition.version << 2 | low): mn_lengths(edition) for edition in editions for low in range(4)}
    return Flags(lengths, Leniency.MN_13_TO_24 in profile.leniencies)


def plain_frame(data: bytes, at: int, base: int, flags: Flags) -> Frame | None:
    """The frame that stands whole and faultless at `at`, else None. `base` is added to its offset."""
    digits = data[at + 2 : at + 6]
    if not (data.startswith(b"##", at) and digits.isdigit() and len(digits) == 4):
        return None
    begin = at + 6
    end = begin + int(digits)
    # Not there yet, or not worth a check sum.
    if len(data) < end + 6 or not data.startswith(b"&&", end - 2):
        return None
    segment = data[begin:end]
    if (
        data[end : end + 6] != crc_text(segment) + b"\r\n"
        or end - begin > SEGMENT_MAX
        or segment.translate(None, _ORDINARY)
    ):
        return None
    text = segment.decode("ascii")
    header = _HEADER.match(text)
    if header is None:
        return None
    fields = _fields(header, flags)
    cp = _cp(text[header.end() :])
    if fields is None or cp is None:
        return None
    usual = len(fields["MN"]) in flags.lengths[fields["Flag"]]
    if not usual and not flags.other_mn:
        return None
    return Frame(data[at : end + 6], base + at, fields, cp, [] if usual else [Leniency.MN_13_TO_24.value])


def _fields(header: "re.Match[str]", flags: Flags) -> dict[str, str] | None:
    qn, st, cn, pw, mn, flag, pnum, pno, rf = header.groups()
    if flag not in flags.lengths:
        return None
    fields = {"QN": qn, "ST": st, "CN": cn, "PW": pw, "MN": mn, "Flag": flag}
    if int(flag) & 2:
        if pnum is None or not 1 <= int(pno) <= int(pnum):
            return None
        fields["PNUM"] = pnum
        fields["PNO"] = pno
    elif pnum is not None:
        return None
    if rf is not None:
        if flag not in _FLAGS_2025:
            return None
        fields["RF"] = rf
    return fields


_FLAGS_2025: Final = plain_flags(Profile.strict(Edition.HJ2025))


def _cp(text: str) -> list[list[tuple[str, str]]] | None:
    """Items of a data area with its closing `&&`, None where it is not as plain as that."""
    if text == "&&":
        return []
    if not text.endswith("&&") or text[0] == "=" or ";=" in text or ",=" in text:
        return None
    try:
        cp = [
            [(name, value) for sub in item.split(",") for name, value in (sub.split("="),)]
            for item in text[:-2].split(";")
        ]
    except ValueError:
        return None
    time = text.rfind("DataTime=")
    if time > 0 or (not time and len(cp[0][0][1]) == 17):
        return None
    return cp
