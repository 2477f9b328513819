"""One message of HJ 212 as a value (HJ 212-2017 tables 1 to 3), and its bytes in the edition its Flag names.

`##`, four digits of length, the segment, four hexadecimal digits of check sum, CR LF. Length, limits and check sum
count bytes of UTF-8. Writing is strict.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from protocols.hj212.crc import crc16
from protocols.hj212.profile import Edition
from protocols.hj212.sm4 import encrypt

SubValue = tuple[str, str]
Item = tuple[SubValue, ...]
Area = tuple[Item, ...]

SEGMENT_MAX: Final = 1024
CP_MAX: Final = 950
FRAME_MAX: Final = 2 + 4 + SEGMENT_MAX + 4 + 2
FLAG_MAX: Final = 255
REPLY_ST: Final = "91"

# Table 3; PW and MN as wide as they are ever read (leniency mn_13_to_24), so that a reply can echo what was asked.
HEADER: Final = {
    "QN": re.compile(r"[0-9]{17}"),
    "ST": re.compile(r"[0-9A-Z]{2}"),
    "CN": re.compile(r"[0-9]{4}"),
    "PW": re.compile(r"[0-9A-Za-z]{1,24}"),
    "MN": re.compile(r"[0-9A-Za-z_.-]{13,24}"),
    "Flag": re.compile(r"[0-9]{1,3}"),
    "PNUM": re.compile(r"[0-9]{1,4}"),
    "PNO": re.compile(r"[0-9]{1,4}"),
    "RF": re.compile(r"1"),
}
_HEADER: Final = re.compile(
    "(?:QN={QN};)?ST={ST};CN={CN};PW={PW};MN={MN};Flag={Flag};(?:PNUM={PNUM};PNO={PNO};)?(?:RF={RF};)?".format(
        **{name: form.pattern for name, form in HEADER.items()}
    )
)
_NAME: Final = r"[0-9A-Za-z]++(?:-[0-9A-Za-z]++)?+"
_VALUE: Final = r"[^\s;,=&#\x00-\x1f\x7f]++(?: ++[^\s;,=&#\x00-\x1f\x7f]++)*+"
_AREA: Final = re.compile(f"{_NAME}={_VALUE}(?:[;,]{_NAME}={_VALUE})*+")


class EncodeError(ValueError):
    """A message of ours that the standard does not allow: a mistake in this program or its configuration."""


@dataclass(frozen=True, slots=True)
class Message:
    """Header fields by their own names and the data area as items of sub-values.

    `resent` is RF=1 (2025). `qn` is empty where a peer left it out. For a received message `raw` has the bytes as they
    came and `deviations` what had to be forgiven; neither counts when messages are compared.
    """

    qn: str
    st: str
    cn: str
    pw: str = field(repr=False)
    mn: str
    flag: int
    area: Area = field(default=(), repr=False)
    pnum: int | None = None
    pno: int | None = None
    resent: bool = False
    deviations: tuple[str, ...] = field(default=(), compare=False)
    raw: bytes = field(default=b"", compare=False, repr=False)

    @property
    def version(self) -> int:
        """Version bits: 0 is 2005, 1 is 2017, 2 is 2025 (table 3, Flag bits 2 to 7)."""
        return self.flag >> 2

    @property
    def split(self) -> bool:
        """True for one part of several, or of one: with PNUM and PNO (Flag bit 1 says so too, with few exceptions)."""
        return self.pnum is not None

    @property
    def wants_answer(self) -> bool:
        """True where the sender waits for an answer (Flag bit 0)."""
        return bool(self.flag & 1)

    def value(self, name: str) -> str | None:
        """First sub-value of that name, in any case of letters, because the standard prints some names in two ways."""
        wanted = name.casefold()
        return next((value for item in self.area for key, value in item if key.casefold() == wanted), None)


def flag_of(edition: Edition, *, wants_answer: bool, split: bool = False) -> int:
    """Flag by its three parts (table 3)."""
    return edition.version << 2 | split << 1 | wants_answer


def area_text(area: Area) -> str:
    """Data area without its `&&`: items by `;`, sub-values by `,` (HJ 212-2017 6.3.3). Raises EncodeError."""
    text = ";".join([",".join([f"{name}={value}" for name, value in item]) for item in area])
    # With one `=` to each pair the text can be taken apart in one way only, so it may be judged as a whole.
    if area and not (_AREA.fullmatch(text) and text.count("=") == sum(map(len, area))):
        raise EncodeError(f"data area: {_unwritable(area)}")
    return text


def _unwritable(area: Area) -> str:
    bad = [name for item in area for name, value in item if not _AREA.fullmatch(f"{name}={value}") or "=" in value]
    return f"{bad[0]!r} has a name or value that cannot be written" if bad else "empty item"


def header_text(message: Message) -> str:
    """Everything before the data area, `CP=&&` not included. Raises EncodeError."""
    qn = "" if _qn_in_area(message) else f"QN={message.qn};"
    parts = f"PNUM={message.pnum};PNO={message.pno};" if message.split else ""
    resent = "RF=1;" if message.resent else ""
    text = f"{qn}ST={message.st};CN={message.cn};PW={message.pw};MN={message.mn};Flag={message.flag};{parts}{resent}"
    if not _HEADER.fullmatch(text):
        raise EncodeError(f"header: {_misshapen(text)}")
    problem = contradiction(message.flag, message.pnum, message.pno)
    if problem:
        raise EncodeError(problem)
    if message.resent and message.version != Edition.HJ2025.version:
        raise EncodeError("RF belongs to the 2025 edition")
    return text


def _misshapen(text: str) -> str:
    """Which fields of a header cannot be written; of the password never more than that."""
    parts = [part.partition("=") for part in text.split(";")[:-1]]
    if any(name not in HEADER for name, _, _ in parts):
        return "a separator inside a field"
    bad = [(name, value) for name, _, value in parts if not HEADER[name].fullmatch(value)]
    return ", ".join(name if name == "PW" else f"{name} {value!r}" for name, value in bad)


def _qn_in_area(message: Message) -> bool:
    """True for a reply of the 2005 edition, whose QN stands first in the data area."""
    return message.version == Edition.HJ2005.version and message.st == REPLY_ST


def contradiction(flag: int, pnum: int | None, pno: int | None) -> str | None:
    """What in Flag, PNUM and PNO cannot be true together, None where all is well."""
    if not 0 <= flag <= FLAG_MAX:
        return f"Flag {flag} is outside 0 to {FLAG_MAX}"
    if not flag & 2:
        return None if pnum is None and pno is None else "PNUM or PNO without the split bit"
    if pnum is None or pno is None or not 1 <= pno <= pnum:
        return f"part {pno} of {pnum}"
    return None


def encode(message: Message, key: bytes | None = None) -> bytes:
    """Bytes of a message, CR LF included; with a key (16 bytes) the data area goes out encrypted by SM4 (2025).

    Length and check sum are those of the plain segment. Raises EncodeError for anything the edition does not allow.
    """
    area = message.area
    if _qn_in_area(message):
        area = ((("QN", message.qn),), *area)
    try:
        header, data = header_text(message).encode("ascii"), area_text(area).encode("utf-8")
    except UnicodeEncodeError as error:
        raise EncodeError(f"no UTF-8: {error}") from error
    segment = b"%bCP=&&%b&&" % (header, data)
    if len(segment) > SEGMENT_MAX or len(data) + len("CP=&&&&") > CP_MAX:
        raise EncodeError(f"segment of {len(segment)} bytes: allowed are {SEGMENT_MAX}, of them {CP_MAX} for CP")
    sent = segment if key is None else b"%bCP=&&%b&&" % (header, encrypt(data, key))
    return b"##%04d%b%04X\r\n" % (len(segment), sent, crc16(segment))
