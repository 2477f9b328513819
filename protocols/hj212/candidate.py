"""What stands at one `##`: a frame with its departures from the standard, no frame, or too little of it to say.

Every answer depends on the bytes alone, never on how they were cut: where more bytes could change it, it is None.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from protocols.hj212.crc import crc_text, modbus_text
from protocols.hj212.frame import Frame
from protocols.hj212.framing import START, ends_in_characters, tail_at
from protocols.hj212.message import SEGMENT_MAX
from protocols.hj212.profile import Leniency, Profile
from protocols.hj212.segment import CP_CLOSE, CP_OPEN, LIKE_A_NAME, Cp, RefusedError, read_area, read_header
from protocols.hj212.sm4 import decrypt, find_printed, from_printed

# What four digits can declare: the hard bound of the leniency oversize_segment.
OVERSIZE_MAX: Final = 9999

# Keys of the peer that wrote these header fields, to be tried in this order.
Keys = Callable[[Mapping[str, str]], Sequence[bytes]]

_CRC_SIZE: Final = 4
_CRC: Final = re.compile(rb"[0-9A-Fa-f]{4}")
_COMPLETE: Final = re.compile(rb"&&[0-9A-Fa-f]{4}\r\n")


class _Head(NamedTuple):
    begin: int
    size: int
    deviations: list[Leniency]


class _Read(NamedTuple):
    fields: dict[str, str]
    cp: Cp
    deviations: list[Leniency]


class Candidates:
    """Reads what stands at a `##`, as far as a profile goes."""

    def __init__(self, profile: Profile, keys: Keys) -> None:
        self._profile = profile
        self._keys = keys
        self._allowed = profile.leniencies

    def read(self, data: bytes, at: int, base: int, *, final: bool) -> Frame | None:
        """The frame at `at`, None where more bytes are needed (never where `final`). Raises RefusedError.

        `base` is added to its offset.
        """
        head = self._head(data, at, final=final)
        if head is None:
            return None
        try:
            found = self._declared(data, head, final=final)
        except RefusedError as error:
            found = self._otherwise(data, head, error, final=final)
        if found is None:
            return None
        read, end = found
        return Frame(data[at:end], base + at, read.fields, read.cp, [*map(str, head.deviations + read.deviations)])

    def _otherwise(self, data: bytes, head: _Head, why: RefusedError, *, final: bool) -> tuple[_Read, int] | None:
        """The frame whose length counts something else than its bytes, where none ends as it says."""
        if why.reason == "length":
            for attempt in (self._printed, self._in_characters):
                try:
                    return attempt(data, head, final=final)
                except RefusedError as error:
                    if error.reason != "length":
                        raise
        raise why

    def _head(self, data: bytes, at: int, *, final: bool) -> _Head | None:
        digits = data[at + 2 : at + 6]
        if len(digits) < 4:
            if final:
                raise RefusedError("truncated", "the stream ends", len(data))
            return None
        deviations: list[Leniency] = []
        if not digits.isdigit():
            if not digits[:3].isdigit():
                raise RefusedError("length", "no four digits of length")
            digits = digits[:3]
            deviations.append(Leniency.THREE_DIGIT_LENGTH)
        size = int(digits)
        if size > SEGMENT_MAX:
            deviations.append(Leniency.OVERSIZE_SEGMENT)
        reason = self._profile.refused(deviations)
        if reason:
            raise RefusedError(reason, f"declared length {digits.decode()}")
        return _Head(at + 2 + len(digits), size, deviations)

    def _declared(self, data: bytes, head: _Head, *, final: bool) -> tuple[_Read, int] | None:
        """The frame that ends where its length says."""
        close = head.begin + head.size
        if len(data) < close + _CRC_SIZE:
            if final:
                raise _unfinished(data, head)
            return None
        tail = tail_at(data, close + _CRC_SIZE, final=final)
        if tail is None:
            return None
        end, deviations = tail
        stated = data[close : close + _CRC_SIZE]
        if deviations and not (data.startswith(CP_CLOSE, close - len(CP_CLOSE)) and _CRC.fullmatch(stated)):
            # Where neither a closing && nor CR LF stands as the length says, it is the length that is wrong.
            raise RefusedError("length", "no end of a frame where the length says")
        try:
            read = self._content(data[head.begin : close], stated)
        except RefusedError as error:
            raise RefusedError(error.reason, error.detail, end) from None
        return self._judged(read, deviations, end)

    def _judged(self, read: _Read, deviations: list[Leniency], end: int) -> tuple[_Read, int]:
        """Put the deviations together and refuse those that are not taken."""
        found = deviations + read.deviations + self._profile.departures(read.fields, read.cp)
        reason = self._profile.refused(found)
        if reason:
            raise RefusedError(reason, ", ".join(found), end)
        return _Read(read.fields, read.cp, found), end

    def _content(self, segment: bytes, stated: bytes) -> _Read:
        """Fields and data area of a segment, plain or raw cipher bytes, that has the stated check sum."""
        sums = self._sums(segment, stated)
        refused: RefusedError
        if sums is None:
            refused = RefusedError("crc", f"stated {stated!r}, computed {crc_text(segment)!r}")
        else:
            try:
                return self._plain(segment, sums)
            except RefusedError as error:
                refused = error
        header, opened, rest = segment.partition(CP_OPEN)
        if opened and rest.endswith(CP_CLOSE) and self._keys_of(header):
            area = rest[: -len(CP_CLOSE)]
            printed = from_printed(area)
            for cipher, deviations in ((area, []), (printed, [Leniency.PRINTED_CIPHERTEXT])):
                read = self._deciphered(header, cipher, stated) if cipher else None
                if read is not None:
                    return read._replace(deviations=deviations + read.deviations)
        raise refused

    def _plain(self, segment: bytes, sums: list[Leniency]) -> _Read:
        header, opened, rest = segment.partition(CP_OPEN)
        fields, deviations = read_header(header)
        if not opened or not rest.endswith(CP_CLOSE):
            raise RefusedError("segment", "not wrapped in CP=&& and &&")
        cp, more = read_area(rest[: -len(CP_CLOSE)], gbk=Leniency.GBK_TEXT in self._allowed)
        return _Read(fields, cp, sums + deviations + more)

    def _sums(self, segment: bytes, stated: bytes) -> list[Leniency] | None:
        """Departures of the check sum, None where it is wrong or departs in a way that is not taken."""
        expected = crc_text(segment)
        if stated == expected:
            return []
        if not _CRC.fullmatch(stated):
            return None
        sums: list[Leniency] = []
        if stated.upper() != expected:
            if Leniency.MODBUS_CRC not in self._allowed or not _has_header(segment):
                return None
            expected = modbus_text(segment)
            sums.append(Leniency.MODBUS_CRC)
        if stated != expected:
            sums.append(Leniency.LOWER_CASE_CRC)
        return None if stated.upper() != expected or self._profile.refused(sums) else sums

    def _deciphered(self, header: bytes, cipher: bytes, stated: bytes) -> _Read | None:
        """The segment whose data area some key of the peer deciphers."""
        for key in self._keys_of(header):
            area = decrypt(cipher, key)
            segment = b"%b%b%b%b" % (header, CP_OPEN, area, CP_CLOSE)
            sums = self._sums(segment, stated) if LIKE_A_NAME.match(area) else None
            if sums is None:
                continue
            try:
                return self._plain(segment, sums)
            except RefusedError:
                continue
        return None

    def _keys_of(self, header: bytes) -> Sequence[bytes]:
        try:
            fields, _ = read_header(header)
        except RefusedError:
            return ()
        return self._keys(fields)

    def _printed(self, data: bytes, head: _Head, *, final: bool) -> tuple[_Read, int] | None:
        """The frame whose cipher bytes are printed while its length counts the bytes themselves."""
        area = data.find(CP_OPEN, head.begin, head.begin + head.size) + len(CP_OPEN)
        header = data[head.begin : area - len(CP_OPEN)]
        size = head.size - (area - head.begin) - len(CP_CLOSE)
        if area < head.begin or size <= 0 or not self._keys_of(header):
            raise RefusedError("length", "not printed")
        found = find_printed(data, area, size)
        if found is None:
            return _wait(final=final)
        for cipher, close in found:
            if len(data) < close + _CRC_SIZE:
                return _wait(final=final)
            read = self._deciphered(header, cipher, data[close : close + _CRC_SIZE])
            if read is not None:
                printed = read._replace(deviations=[Leniency.PRINTED_CIPHERTEXT, *read.deviations])
                return self._ended(data, printed, close + _CRC_SIZE, final=final)
        raise RefusedError("length", "not printed")

    def _in_characters(self, data: bytes, head: _Head, *, final: bool) -> tuple[_Read, int] | None:
        """The frame whose length counts characters where its text is not ASCII."""
        if Leniency.LENGTH_IN_CHARACTERS not in self._allowed:
            raise RefusedError("length", "")
        limit = head.begin + (OVERSIZE_MAX if Leniency.OVERSIZE_SEGMENT in self._allowed else SEGMENT_MAX)
        start = START.search(data, head.begin, limit)
        for close in ends_in_characters(data, head.begin, head.size, start.start() if start else limit):
            if len(data) < close + _CRC_SIZE:
                return _wait(final=final)
            try:
                read = self._content(data[head.begin : close], data[close : close + _CRC_SIZE])
            except RefusedError:
                continue
            read = read._replace(deviations=[Leniency.LENGTH_IN_CHARACTERS, *read.deviations])
            return self._ended(data, read, close + _CRC_SIZE, final=final)
        raise RefusedError("length", "")

    def _ended(self, data: bytes, read: _Read, at: int, *, final: bool) -> tuple[_Read, int] | None:
        tail = tail_at(data, at, final=final)
        return None if tail is None else self._judged(read, tail[1], tail[0])


def _has_header(segment: bytes) -> bool:
    """True where a header can be read, before more work is spent on bytes that a stranger chose."""
    try:
        read_header(segment.partition(CP_OPEN)[0])
    except RefusedError:
        return False
    return True


def _wait(*, final: bool) -> tuple[_Read, int] | None:
    """More bytes are needed; where none will come, the attempt has failed."""
    if final:
        raise RefusedError("length", "the stream ends")
    return None


def _unfinished(data: bytes, head: _Head) -> RefusedError:
    """Why a frame does not end where its length says, though no more bytes will come."""
    if _COMPLETE.search(data, head.begin):
        return RefusedError("length", "the frame ends before its length says")
    return RefusedError("truncated", "the stream ends", len(data))
