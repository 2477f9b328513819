"""One frame of HJ 212-2017 (tables 1 to 3) as a value, and its bytes.

`##`, four digits of length, the segment, four hexadecimal digits of check sum, CR LF. Length, limits and check sum
count bytes of UTF-8. Writing is strict; what reading forgives is named in `Slip` and travels with the frame.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protocols.hj212.crc import crc16

SubValue = tuple[str, str]
Item = tuple[SubValue, ...]
Area = tuple[Item, ...]

SEGMENT_MAX: Final = 1024
CP_MAX: Final = 950
FRAME_MAX: Final = 2 + 4 + SEGMENT_MAX + 4 + 2
REPLY_ST: Final = "91"
EDITION_2017: Final = 1

# Table 3; PW and MN as wide as peers use them, so that a reply can always echo what was asked.
HEADER: Final = {
    "QN": re.compile(r"[0-9]{17}"),
    "ST": re.compile(r"[0-9A-Z]{2}"),
    "CN": re.compile(r"[0-9]{4}"),
    "PW": re.compile(r"[0-9A-Za-z]{1,24}"),
    "MN": re.compile(r"[0-9A-Za-z_]{1,24}"),
    "Flag": re.compile(r"[0-9]{1,3}"),
    "PNUM": re.compile(r"[0-9]{1,4}"),
    "PNO": re.compile(r"[0-9]{1,4}"),
}
_REQUIRED: Final = ("QN", "ST", "CN", "PW", "MN", "Flag")
_NAME: Final = re.compile(r"[0-9A-Za-z]+(-[0-9A-Za-z]+)?")
_VALUE: Final = re.compile(r"[^\s;,=&#\x00-\x1f\x7f]+")


class EncodeError(ValueError):
    """A frame of ours that the standard does not allow: a mistake in this program or its configuration."""


class Fault(StrEnum):
    """Why bytes are no frame."""

    RUBBISH = "rubbish between frames"
    LENGTH = "length"
    TAIL = "tail"
    CRC = "check sum"
    HEADER = "header"
    AREA = "data area"


class Slip(StrEnum):
    """What a peer wrote otherwise than the standard and could be read all the same."""

    LOWER_CASE_CRC = "check sum in lower case"
    SEPARATOR = "header field not ended by a semicolon"
    BLANKS = "blanks in the data area"
    EMPTY_ITEM = "empty item in the data area"


@dataclass(frozen=True, slots=True)
class FrameError:
    """Bytes that are no frame: what is wrong, and the bytes (at most one frame; they may hold a password)."""

    fault: Fault
    detail: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """Header fields by their own names, the data area as items of sub-values, and for received ones the bytes."""

    qn: str
    st: str
    cn: str
    pw: str = field(repr=False)
    mn: str
    flag: int
    area: Area = ()
    pnum: int | None = None
    pno: int | None = None
    slips: frozenset[Slip] = field(default=frozenset(), compare=False)
    raw: bytes = field(default=b"", compare=False, repr=False)

    @property
    def version(self) -> int:
        """Edition: 0 is 2005, 1 is 2017, 2 is 2025 (table 3, Flag bits 2 to 7)."""
        return self.flag >> 2

    @property
    def split(self) -> bool:
        """True where PNUM and PNO are present (Flag bit 1)."""
        return bool(self.flag & 2)

    @property
    def wants_answer(self) -> bool:
        """True where the sender waits for an answer (Flag bit 0)."""
        return bool(self.flag & 1)

    def value(self, name: str) -> str | None:
        """First sub-value of that name, in any case of letters, because the standard prints some names in two ways."""
        wanted = name.casefold()
        return next((value for item in self.area for key, value in item if key.casefold() == wanted), None)


def flag_of(*, wants_answer: bool, split: bool = False, version: int = EDITION_2017) -> int:
    """Flag by its three parts (table 3)."""
    return version << 2 | split << 1 | wants_answer


def area_text(area: Area) -> str:
    """Data area without its `&&`: items by `;`, sub-values by `,` (HJ 212-2017 6.3.3). Raises EncodeError."""
    for item in area:
        for name, value in item:
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise EncodeError(f"data area: {name!r}={value!r} cannot be written")
        if not item:
            raise EncodeError("data area: empty item")
    return ";".join(",".join(f"{name}={value}" for name, value in item) for item in area)


def parse_area(text: str) -> tuple[Area, frozenset[Slip]]:
    """Inverse of `area_text`; repeated names stay, in order. Raises ValueError for a sub-value without `=`."""
    slips = set()
    items = []
    for part in text.split(";") if text.strip() else ():
        if not part.strip():
            slips.add(Slip.EMPTY_ITEM)
            continue
        pairs = [_pair(sub) for sub in part.split(",")]
        items.append(tuple((name.strip(), value.strip()) for name, value in pairs))
        if any(name != name.strip() or value != value.strip() for name, value in pairs):
            slips.add(Slip.BLANKS)
    return tuple(items), frozenset(slips)


def _pair(text: str) -> SubValue:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text[:40]!r} is no name=value")
    return name, value


def header_text(frame: Frame) -> str:
    """Everything before the data area, `CP=&&` not included. Raises EncodeError."""
    fields = {"QN": frame.qn, "ST": frame.st, "CN": frame.cn, "PW": frame.pw, "MN": frame.mn, "Flag": str(frame.flag)}
    if frame.split:
        fields |= {"PNUM": str(frame.pnum), "PNO": str(frame.pno)}
    for name, value in fields.items():
        if not HEADER[name].fullmatch(value):
            raise EncodeError(f"header field {name} cannot be written" + ("" if name == "PW" else f": {value!r}"))
    problem = _contradiction(frame.flag, frame.pnum, frame.pno)
    if problem:
        raise EncodeError(problem)
    return "".join(f"{name}={value};" for name, value in fields.items())


def _contradiction(flag: int, pnum: int | None, pno: int | None) -> str | None:
    if not 0 <= flag <= 255:
        return f"Flag {flag} is outside 0 to 255"
    if not flag & 2:
        return None if pnum is None and pno is None else "PNUM or PNO without the split bit"
    if pnum is None or pno is None or not 1 <= pno <= pnum:
        return f"part {pno} of {pnum}"
    return None


def encode(frame: Frame) -> bytes:
    """Bytes of a frame, CR LF included. Raises EncodeError for anything the standard does not allow."""
    cp = f"CP=&&{area_text(frame.area)}&&"
    try:
        segment = (header_text(frame) + cp).encode("utf-8")
    except UnicodeEncodeError as error:
        raise EncodeError(f"no UTF-8: {error}") from error
    if len(segment) > SEGMENT_MAX or len(cp.encode("utf-8")) > CP_MAX:
        raise EncodeError(f"segment of {len(segment)} bytes: allowed are {SEGMENT_MAX}, of them {CP_MAX} for CP")
    return b"##%04d%b%04X\r\n" % (len(segment), segment, crc16(segment))


def parse_segment(segment: bytes, raw: bytes, slips: frozenset[Slip]) -> Frame | FrameError:
    """Read a segment whose length and check sum are right; `raw` and `slips` are kept with the result."""
    head, marker, rest = segment.partition(b"CP=&&")
    if not marker or not rest.endswith(b"&&"):
        return FrameError(Fault.AREA, "not wrapped in CP=&& and &&", raw)
    try:
        header, head_slips = _header(head.decode("ascii"))
    except ValueError as error:
        return FrameError(Fault.HEADER, str(error), raw)
    try:
        area, area_slips = parse_area(rest[:-2].decode("utf-8"))
    except ValueError as error:
        return FrameError(Fault.AREA, str(error), raw)
    pnum, pno = (int(header[name]) if name in header else None for name in ("PNUM", "PNO"))
    flag = int(header["Flag"])
    problem = _contradiction(flag, pnum, pno)
    if problem:
        return FrameError(Fault.HEADER, problem, raw)
    slips = slips | head_slips | area_slips
    qn, st, cn, pw, mn = (header[name] for name in ("QN", "ST", "CN", "PW", "MN"))
    return Frame(qn, st, cn, pw, mn, flag, area, pnum, pno, slips, raw)


def _header(text: str) -> tuple[dict[str, str], frozenset[Slip]]:
    slips = {Slip.SEPARATOR} if "," in text or not text.endswith(";") else set()
    fields: dict[str, str] = {}
    for part in text.replace(",", ";").removesuffix(";").split(";"):
        name, _, value = part.partition("=")
        pattern = HEADER.get(name)
        if pattern is None or name in fields or not pattern.fullmatch(value):
            raise ValueError(f"field {name[:8]!r} is unknown, repeated or misshapen")
        fields[name] = value
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        raise ValueError(f"without {', '.join(missing)}")
    return fields, frozenset(slips)
