"""The text of a data segment into header fields and sub-values (HJ 212-2017 6.3.3), and where it departs from that.

Here every departure that has a name is read; whether it is taken is the profile's business.
"""

import re
from typing import Final

from protocols.hj212.frame import Reason
from protocols.hj212.message import FLAG_MAX, HEADER
from protocols.hj212.profile import Leniency

Cp = list[list[tuple[str, str]]]

CP_OPEN: Final = b"CP=&&"
CP_CLOSE: Final = b"&&"

_COMMA_AFTER_QN: Final = re.compile(r"((?:^|;)QN=[0-9]{17}),")
_NAMED: Final = re.compile(r"([^=;,]*)=")
_PLAIN_VALUE: Final = re.compile(r"[^;,]*")
# Log text stands between two `//`; the second is followed by a separator or by the end.
_NO_ITEM: Final = re.compile(r"\s*;")
_LOG_OPEN: Final = re.compile(r"[ \t\r\n]*//")
_LOG_CLOSE: Final = re.compile(r"//[ \t\r\n]*(?=[;,]|\Z)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SWALLOWED: Final = re.compile(r"##[0-9]{3}")
# How a decrypted data area has to begin: with 256 check sums a wrong key passes too often.
LIKE_A_NAME: Final = re.compile(rb"[ \t\r\n]*[0-9A-Za-z]+(-[0-9A-Za-z]+)?[ \t\r\n]*=")
_LONG_TIME: Final = re.compile(r"[0-9]{17}")
_TRIMMED: Final = " \t\r\n"


class RefusedError(Exception):
    """Why bytes are no frame that can be taken. `end` is where it stops, None where that is not sure."""

    def __init__(self, reason: Reason, detail: str, end: int | None = None) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail
        self.end = end


def read_header(header: bytes) -> tuple[dict[str, str], list[Leniency]]:
    """Fields before `CP=`, and departures that no edition allows. Raises RefusedError."""
    try:
        text = header.decode("ascii")
    except UnicodeDecodeError:
        raise RefusedError("header", "not ASCII") from None
    deviations = [] if text.endswith(";") else [Leniency.MISSING_SEMICOLON_BEFORE_CP]
    text, commas = _COMMA_AFTER_QN.subn(r"\1;", text, count=1)
    deviations += [Leniency.COMMA_AFTER_QN] * commas
    fields: dict[str, str] = {}
    for part in text.removesuffix(";").split(";"):
        name, _, value = part.partition("=")
        if name not in HEADER or name in fields or not HEADER[name].fullmatch(value):
            raise RefusedError("header", f"field {name[:8]!r} is unknown, repeated or misshapen")
        fields[name] = value
    missing = [name for name in ("ST", "CN", "PW", "MN") if name not in fields]
    if missing:
        raise RefusedError("header", f"without {', '.join(missing)}")
    return fields, deviations + _parts(fields)


def _parts(fields: dict[str, str]) -> list[Leniency]:
    """Departures of Flag, PNUM and PNO. Raises RefusedError for numbers that no frame can have."""
    flag, names = int(fields.get("Flag", "0")), [name for name in fields if name in ("PNUM", "PNO")]
    if flag > FLAG_MAX or (len(names) == 2 and not 1 <= int(fields["PNO"]) <= int(fields["PNUM"])):
        raise RefusedError("header", "Flag, PNUM or PNO out of range")
    deviations = [] if "Flag" in fields else [Leniency.MISSING_FLAG]
    # The bit without numbers is met in every edition, in published frames too; it says nothing that could mislead.
    if names and len(names) != flag & 2:
        deviations.append(Leniency.PARTS_AGAINST_FLAG)
    if names == ["PNO", "PNUM"]:
        deviations.append(Leniency.PNO_BEFORE_PNUM)
    return deviations


def read_area(data: bytes, *, gbk: bool) -> tuple[Cp, list[Leniency]]:
    """Items of a data area, in UTF-8 or (where `gbk`) else in GBK. Raises RefusedError."""
    text, deviations = _text(data, gbk=gbk)
    if _CONTROL.search(text) or _SWALLOWED.search(text):
        raise RefusedError("segment", "control characters, or another frame, in the data area")
    cp, trailing = _items(text.strip(_TRIMMED))
    if trailing:
        deviations.append(Leniency.TRAILING_SEMICOLON)
    if any(name == "DataTime" and _LONG_TIME.fullmatch(value) for item in cp for name, value in item):
        deviations.append(Leniency.DATA_TIME_17)
    return cp, deviations


def _text(data: bytes, *, gbk: bool) -> tuple[str, list[Leniency]]:
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        if not gbk:
            raise RefusedError("segment", "not UTF-8") from None
    try:
        return data.decode("gbk"), [Leniency.GBK_TEXT]
    except UnicodeDecodeError:
        raise RefusedError("segment", "neither UTF-8 nor GBK") from None


def _items(text: str) -> tuple[Cp, bool]:
    """Items of a text, and True where a `;` stands behind the last of them or encloses nothing."""
    last_close = max((match.start() for match in _LOG_CLOSE.finditer(text)), default=-1)
    cp: Cp = []
    separator, at, empty = ";", 0, False
    while at < len(text):
        if separator == ";":
            if nothing := _NO_ITEM.match(text, at):
                at, empty = nothing.end(), True
                continue
            cp.append([])
        named = _NAMED.match(text, at)
        if named is None or not (name := named[1].strip(_TRIMMED)):
            raise RefusedError("segment", f"{text[at : at + 40]!r} is no name=value")
        end = _value_end(text, named.end(), last_close)
        cp[-1].append((name, text[named.end() : end].strip(_TRIMMED)))
        separator, at = text[end : end + 1], end + 1
    if separator == ",":
        raise RefusedError("segment", "a comma ends the data area")
    return cp, empty or (separator == ";" and bool(text))


def _value_end(text: str, begin: int, last_close: int) -> int:
    """Where a value that begins here ends; a log text may hold separators."""
    log = _LOG_OPEN.match(text, begin)
    # Looked for only where it will be found, so that many openings without an end cost nothing.
    close = _LOG_CLOSE.search(text, log.end()) if log and log.end() <= last_close else None
    match = close or _PLAIN_VALUE.match(text, begin)
    return match.end() if match else begin
