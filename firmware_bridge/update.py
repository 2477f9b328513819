"""The update of one board's firmware over SMP: a generator that says what it wants next and touches no wire.

It begins with what the board says of its slots, so that an update that was cut anywhere is taken up by running it
again: upload (resumed by hash and offset), test, reset, watch, and only then confirm. An image that is not confirmed is
swapped back by MCUboot at the next start. Source: Zephyr, "Image management group"; MCUboot, docs/design.md.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from smp.image_management import (
    ImageState,
    ImageStatesReadRequest,
    ImageStatesReadResponse,
    ImageStatesWriteRequest,
    ImageStatesWriteResponse,
    ImageUploadWriteRequest,
    ImageUploadWriteResponse,
)
from smp.os_management import (
    MCUMgrParametersReadRequest,
    MCUMgrParametersReadResponse,
    ResetWriteRequest,
    ResetWriteResponse,
)

from firmware_bridge.image import Image, Version
from firmware_bridge.smp_talk import R, Refusal, Send, Silence, Talk, Talker

ANSWER_S: Final = 2.5
TRIES: Final = 4
# The first chunk erases the slot, which takes a slow flash so long.
ERASE_S: Final = 40.0
# An upload is taken up so often without getting further, each time after a pause (a start takes a board 2 to 10 s).
RESUMES_MAX: Final = 6
RESUME_PAUSE_S: Final = 5.0
# Answers in a row that do not move the upload on.
STUCK_MAX: Final = 8
RESET_PAUSE_S: Final = 3.0
STARTS_MAX: Final = 24
# What a board takes that does not tell the size of its buffer: one line of its console.
MESSAGE_BYTES_MIN: Final = 96

Result = Literal["updated", "already", "reverted", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class Pause:
    """Let so many wall seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell (True or False) whether the board delivered readings, all through the time the station watches."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Something happened; `what` is a stable word. No answer is expected."""

    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. `reverted`: the old image runs; `lost`: nothing is heard and nothing can be said of the board."""

    result: Result
    reason: str = ""


Step = Send | Pause | Watch | Progress
Update = Generator[Step, Any, Outcome]


class _EndedError(Exception):
    """The update ends here; never leaves this module."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.outcome = Outcome(result, reason)


def update(image: Image, message_bytes_max: int, wrap_bytes: int = 0, downgrade: bool = False) -> Update:
    """Bring one board to an image.

    `message_bytes_max` is what the wire carries at once, `wrap_bytes` what it adds to a message in the board's buffer.
    """
    try:
        return (yield from _Board(image, message_bytes_max, wrap_bytes, downgrade).run())
    except _EndedError as end:
        return end.outcome


def slots(talker: Talker) -> "Talk[ImageStatesReadResponse]":
    """What is in the board's slots."""
    return talker.ask(ImageStatesReadRequest, ImageStatesReadResponse, ANSWER_S, TRIES)


class _Board:
    def __init__(self, image: Image, message_bytes_max: int, wrap_bytes: int, downgrade: bool) -> None:
        self._image = image
        self._wrap_bytes = wrap_bytes
        self._message_bytes_max = message_bytes_max
        self._downgrade = downgrade
        self._talker = Talker()

    def run(self) -> Update:
        before = yield from self._slots()
        running = _running(before)
        if running.hash == self._image.hash:
            if running.confirmed:
                return Outcome("already")
            return (yield from self._prove())
        self._refuse_older(running)
        if not any(slot.hash == self._image.hash for slot in before):
            yield from self._upload()
        yield from self._test()
        yield from self._reset()
        if (yield from self._started()).hash != self._image.hash:
            raise _EndedError("reverted", "the board did not start the new image: its boot loader refused it")
        return (yield from self._prove())

    def _refuse_older(self, running: ImageState) -> None:
        try:
            older = self._image.version < Version.parse(running.version)
        except ValueError:
            return  # a version that cannot be compared is no reason
        if older and not self._downgrade:
            raise _EndedError("failed", f"the board runs {running.version}, which is newer than {self._image.version}")

    def _must(self, talk: "Talk[R]", doing: str) -> Generator[Step, Any, R]:
        answer = yield from talk
        if isinstance(answer, Silence):
            raise _EndedError("lost", f"{doing}: the board does not answer")
        if isinstance(answer, Refusal):
            raise _EndedError("failed", f"{doing}: {answer.text}")
        return answer

    def _slots(self) -> Generator[Step, Any, list[ImageState]]:
        answer = yield from self._must(slots(self._talker), "reading the slots")
        return answer.images

    # -- upload

    def _upload(self) -> Generator[Step, Any, None]:
        """All bytes, from where the board says that it already has them."""
        room = yield from self._room()
        resumes = stuck = offset = farthest = 0
        yield Progress("upload-started", {"bytes": len(self._image.data)})
        while offset < len(self._image.data):
            answer = yield from self._chunk(offset, room)
            if isinstance(answer, Refusal) and not answer.busy:
                raise _EndedError("failed", f"uploading at byte {offset}: {answer.text}")
            if isinstance(answer, Refusal | Silence):
                resumes += 1
                if resumes > RESUMES_MAX:
                    raise _EndedError("lost", f"uploading at byte {offset}: cut {resumes} times")
                yield Progress("upload-cut", {"offset": offset})
                yield Pause(RESUME_PAUSE_S)
                if (yield from self._complete()):
                    return
                offset = 0  # which asks, by the file's hash, where to go on
                continue
            reached = self._reached(answer, offset)
            stuck = 0 if reached > offset else stuck + 1
            if stuck >= STUCK_MAX:
                raise _EndedError("failed", f"the board stays at byte {reached}")
            resumes = 0 if reached > farthest else resumes
            offset, farthest = reached, max(reached, farthest)
            yield Progress("uploaded", {"offset": offset, "bytes": len(self._image.data)})

    def _complete(self) -> Generator[Step, Any, bool]:
        """Whether the cut came after the last byte: a board forgets the upload with it."""
        answer = yield from self._talker.ask(ImageStatesReadRequest, ImageStatesReadResponse, ANSWER_S, 1)
        return isinstance(answer, ImageStatesReadResponse) and any(
            slot.hash == self._image.hash for slot in answer.images
        )

    def _reached(self, answer: ImageUploadWriteResponse, offset: int) -> int:
        size = len(self._image.data)
        if answer.match is False:
            raise _EndedError("failed", "the board says that what it holds differs from the image")
        if answer.off is None or not 0 <= answer.off <= size:
            raise _EndedError("failed", f"the board asks for byte {answer.off} of {size}")
        return answer.off

    def _room(self) -> Generator[Step, Any, int]:
        """Bytes one message may have."""
        talk = self._talker.ask(MCUMgrParametersReadRequest, MCUMgrParametersReadResponse, ANSWER_S, TRIES)
        answer = yield from talk
        if isinstance(answer, Silence | Refusal):
            return min(MESSAGE_BYTES_MIN, self._message_bytes_max)
        return max(MESSAGE_BYTES_MIN, min(answer.buf_size - self._wrap_bytes, self._message_bytes_max))

    def _chunk(self, offset: int, room: int) -> "Talk[ImageUploadWriteResponse]":
        first: dict[str, Any] = {}
        if offset == 0:
            first = {"len": len(self._image.data), "sha": self._image.sha256, "image": 0}
        empty = len(bytes(ImageUploadWriteRequest(off=offset, data=b"", sequence=0, **first)))
        # CBOR names the length of a text of bytes in up to two bytes more than it does of none (RFC 8949, 3.1).
        data = self._image.data[offset : offset + room - empty - 2]
        timeout_s, tries = (ERASE_S, 1) if offset == 0 else (ANSWER_S, TRIES)
        return self._talker.ask(
            ImageUploadWriteRequest, ImageUploadWriteResponse, timeout_s, tries, off=offset, data=data, **first
        )

    # -- test, watch, confirm

    def _test(self) -> Generator[Step, Any, None]:
        ask = self._talker.ask(
            ImageStatesWriteRequest, ImageStatesWriteResponse, ANSWER_S, TRIES, hash=self._image.hash, confirm=False
        )
        yield from self._must(ask, "marking the image for a test")
        yield Progress("test-marked")

    def _reset(self) -> Generator[Step, Any, None]:
        """Start the board anew. It may well be gone before it answers; whether it started is asked afterwards."""
        answer = yield from self._talker.ask(ResetWriteRequest, ResetWriteResponse, ANSWER_S, 1)
        if isinstance(answer, Refusal):
            raise _EndedError("failed", f"starting the board anew: {answer.text}")
        yield Progress("reset")
        yield Pause(RESET_PAUSE_S)

    def _started(self) -> Generator[Step, Any, ImageState]:
        """What runs after a start, which may take the boot loader minutes."""
        for _ in range(STARTS_MAX):
            answer = yield from self._talker.ask(ImageStatesReadRequest, ImageStatesReadResponse, ANSWER_S, 1)
            if isinstance(answer, ImageStatesReadResponse):
                return _running(answer.images)
            yield Pause(RESET_PAUSE_S)
        raise _EndedError("lost", "the board does not answer after its start")

    def _prove(self) -> Update:
        """The new image runs and is not confirmed: watch it, then confirm, or start anew, which brings the old back."""
        yield Progress("started", {"version": str(self._image.version)})
        delivered = yield Watch()
        if not delivered:
            return (yield from self._revert("no good readings came from the new image"))
        if _running((yield from self._slots())).hash != self._image.hash:
            raise _EndedError("reverted", "the board started again while it was watched")
        ask = self._talker.ask(
            ImageStatesWriteRequest, ImageStatesWriteResponse, ANSWER_S, TRIES, hash=self._image.hash, confirm=True
        )
        yield from self._must(ask, "confirming the image")
        running = _running((yield from self._slots()))
        if running.hash != self._image.hash or not running.confirmed:
            raise _EndedError("failed", "the board took the confirmation and is not confirmed")
        yield Progress("confirmed")
        return Outcome("updated")

    def _revert(self, reason: str) -> Update:
        yield Progress("reverting", {"reason": reason})
        yield from self._reset()
        running = yield from self._started()
        if running.hash == self._image.hash:
            raise _EndedError("failed", f"{reason}, and the board started the new image again")
        return Outcome("reverted", reason)


def _running(images: list[ImageState]) -> ImageState:
    """The slot that runs."""
    for slot in images:
        if slot.active and not slot.image:
            return slot
    raise _EndedError("failed", "the board names no running image")
