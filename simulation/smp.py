"""A micro-sensor board's management side: MCUmgr over SMP and the boot loader behind it, on the public codec.

Two slots as MCUboot keeps them: what is uploaded lies in the second, a test swaps at the next start, and what was not
confirmed until the start after that is swapped back. Source: Zephyr, "Image management group", "OS management group".
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cbor2 import CBORDecodeError
from pydantic import ValidationError
from smp import header
from smp import image_management as images
from smp import os_management as system
from smp.error import MGMT_ERR, Err, ErrorV1, ErrorV2
from smp.exceptions import SMPException
from smp.message import Request, Response

from metrology.clock import Clock

_HEAD: Final = struct.Struct("<IIHHIIBBHI4x")
_HASH_TAGS: Final = (0x10, 0x11, 0x12)


@dataclass(slots=True)
class Trouble:
    """What goes wrong. Offsets are of an upload; each of them strikes once."""

    silent: set[int] = field(default_factory=set)
    cut_at: list[int] = field(default_factory=list)
    cut_s: float = 15.0
    wrong_offset_at: list[int] = field(default_factory=list)
    busy_at: list[int] = field(default_factory=list)
    refuses_to_start: bool = False
    old_errors: bool = False
    dead_after_start: bool = False
    log_lines: bool = False


class _Marked(images.ImageStatesWriteResponse):
    """The codec's own form says that it answers a read (smp 4.2.0), boards say that it answers a write."""

    _OP = header.OP.WRITE_RSP


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ManagedBoard:
    """One board. `sick` tells whether the running image measures nothing; `starts` counts."""

    def __init__(
        self, clock: Clock, image: bytes, buffer_bytes: int = 384, start_s: float = 0.05, trouble: Trouble | None = None
    ) -> None:
        self._clock = clock
        self._buffer_bytes = buffer_bytes
        self._start_s = start_s
        self.trouble = trouble or Trouble()
        self.slots: list[bytes] = [image, b""]
        self.confirmed = True
        self.pending = False
        self.starts = 0
        self.time: str | None = None
        self.questions = 0
        self.uploaded_bytes = 0
        self.on_start: Callable[[], None] = lambda: None
        self._silent_until = 0.0
        self._starting = False
        self._incoming = bytearray()
        self._length = 0
        self._sha: bytes | None = None

    @property
    def version(self) -> str:
        """Version of the running image."""
        return _version(self.slots[0])

    def answer(self, message: bytes) -> bytes:
        """Answer to one message, empty where there is none."""
        self.questions += 1
        if self.questions in self.trouble.silent or self._clock.wall_monotonic() < self._silent_until:
            return b""
        head = header.Header.loads(message[: header.Header.SIZE])
        try:
            answer = self._answered(head, message)
        except (ValidationError, CBORDecodeError, SMPException):
            answer = self._error(head, int(MGMT_ERR.EINVAL))
        except _RefusedError as error:
            answer = self._error(head, error.code)
        if self._clock.wall_monotonic() < self._silent_until:
            return b""
        if self._starting:  # it answers first
            self._starting = False
            self.start()
        return bytes(answer)

    def _answered(self, head: header.Header, message: bytes) -> Response:
        table: dict[tuple[int, int, int], tuple[type[Request], Callable[[Any], tuple[type[Response], dict[str, Any]]]]]
        table = {
            (0, 0, 2): (system.EchoWriteRequest, lambda ask: (system.EchoWriteResponse, {"r": ask.d})),
            (0, 4, 2): (system.DateTimeWriteRequest, self._set_time),
            (0, 4, 0): (system.DateTimeReadRequest, self._get_time),
            (0, 5, 2): (system.ResetWriteRequest, self._reset),
            (0, 6, 0): (system.MCUMgrParametersReadRequest, self._parameters),
            (1, 0, 0): (images.ImageStatesReadRequest, self._state),
            (1, 0, 2): (images.ImageStatesWriteRequest, self._mark),
            (1, 1, 2): (images.ImageUploadWriteRequest, self._upload),
        }
        row = table.get((int(head.group_id), int(head.command_id), int(head.op)))
        if row is None:
            raise _RefusedError(MGMT_ERR.ENOTSUP)
        kind, fields = row[1](row[0].loads(message))
        return kind(sequence=head.sequence, version=head.version, **fields)

    def _error(self, head: header.Header, code: int) -> Response:
        about: dict[str, Any] = {"sequence": head.sequence, "version": head.version}

        class V1(ErrorV1):
            _OP = header.OP(head.op + 1)
            _GROUP_ID = head.group_id
            _COMMAND_ID = head.command_id

        class V2(ErrorV2[MGMT_ERR]):
            _OP = header.OP(head.op + 1)
            _GROUP_ID = head.group_id
            _COMMAND_ID = head.command_id

        if self.trouble.old_errors:
            return V1(rc=MGMT_ERR(code), **about)
        return V2(err=Err[MGMT_ERR](group=header.GroupId.OS_MANAGEMENT, rc=MGMT_ERR(code)), **about)

    # -- group of the system

    def _set_time(self, ask: system.DateTimeWriteRequest) -> tuple[type[Response], dict[str, Any]]:
        datetime.fromisoformat(ask.datetime)
        self.time = ask.datetime
        return system.DateTimeWriteResponse, {}

    def _get_time(self, _: object) -> tuple[type[Response], dict[str, Any]]:
        if self.time is None:
            raise _RefusedError(MGMT_ERR.ENOENT)
        return system.DateTimeReadResponse, {"datetime": self.time}

    def _parameters(self, _: object) -> tuple[type[Response], dict[str, Any]]:
        return system.MCUMgrParametersReadResponse, {"buf_size": self._buffer_bytes, "buf_count": 1}

    def _reset(self, _: object) -> tuple[type[Response], dict[str, Any]]:
        self._starting = True
        return system.ResetWriteResponse, {}

    def start(self) -> None:
        """Start: the boot loader swaps what is marked for a test, and swaps back what nobody confirmed."""
        starts_new = self.pending and not self.trouble.refuses_to_start
        if starts_new or not self.confirmed:
            self.slots.reverse()
            self.confirmed = not starts_new
        self.pending = False
        self.starts += 1
        self._silent_until = self._clock.wall_monotonic() + self._start_s
        if starts_new and self.trouble.dead_after_start:
            self._silent_until = float("inf")
        self.on_start()

    # -- group of the images

    def _state(self, _: object) -> tuple[type[Response], dict[str, Any]]:
        return images.ImageStatesReadResponse, {"images": self._slots()}

    def _slots(self) -> list[images.ImageState]:
        first = {"active": True, "confirmed": self.confirmed}
        second = {"pending": self.pending, "confirmed": not self.confirmed}
        return [
            images.ImageState(slot=number, version=_version(data), hash=_hash(data), bootable=True, **flags)
            for number, (data, flags) in enumerate(zip(self.slots, (first, second), strict=True))
            if _hash(data)
        ]

    def _mark(self, ask: images.ImageStatesWriteRequest) -> tuple[type[Response], dict[str, Any]]:
        active, other = (_hash(data) for data in self.slots)
        if ask.confirm and ask.hash in (None, active):
            self.confirmed = True
        elif not ask.confirm and ask.hash and ask.hash == other:
            self.pending = True
        else:
            raise _RefusedError(MGMT_ERR.EINVAL)
        return _Marked, {"images": self._slots()}

    def _upload(self, ask: images.ImageUploadWriteRequest) -> tuple[type[Response], dict[str, Any]]:
        if not self.confirmed or self.pending:
            raise _RefusedError(MGMT_ERR.EBADSTATE)
        if ask.off == 0:
            if ask.len is None or ask.len < _HEAD.size:
                raise _RefusedError(MGMT_ERR.EINVAL)
            if ask.sha is None or ask.sha != self._sha:
                self._incoming, self._length, self._sha = bytearray(), ask.len, ask.sha
        self._strike(ask.off)
        if ask.off == len(self._incoming) and ask.off + len(ask.data) <= self._length:
            self._incoming += ask.data
            self.uploaded_bytes += len(ask.data)
        return images.ImageUploadWriteResponse, self._taken()

    def _strike(self, offset: int) -> None:
        """The troubles whose place the upload has come to."""
        if _due(self.trouble.cut_at, offset):
            self._silent_until = self._clock.wall_monotonic() + self.trouble.cut_s
            self.starts += 1
        if _due(self.trouble.busy_at, offset):
            raise _RefusedError(MGMT_ERR.EBUSY)
        if _due(self.trouble.wrong_offset_at, offset):
            del self._incoming[len(self._incoming) // 2 :]

    def _taken(self) -> dict[str, Any]:
        done = len(self._incoming)
        if done < self._length or not self._sha:
            return {"off": done}
        match = hashlib.sha256(self._incoming).digest() == self._sha
        if match:
            self.slots[1] = bytes(self._incoming)
        self._incoming, self._sha = bytearray(), None
        return {"off": done, "match": match}


def _due(places: list[int], offset: int) -> bool:
    if places and offset >= places[0]:
        places.pop(0)
        return True
    return False


def _version(image: bytes) -> str:
    if len(image) < _HEAD.size:
        return "0.0.0"
    major, minor, revision, build = _HEAD.unpack_from(image)[6:10]
    return f"{major}.{minor}.{revision}" + (f".{build}" if build else "")


def _hash(image: bytes) -> bytes | None:
    """The hash among the tags behind a program, as the boot loader finds it."""
    if len(image) < _HEAD.size:
        return None
    _, _, size, protected, program, *_ = _HEAD.unpack_from(image)
    at = size + program + protected + 4
    while at + 4 <= len(image):
        tag, length = struct.unpack_from("<HH", image, at)
        if tag in _HASH_TAGS:
            return image[at + 4 : at + 4 + length]
        at += 4 + length
    return None
