"""Questions that are answered by a binary frame: found wherever it stands among other bytes, waited for until whole."""

from collections.abc import Callable
from typing import Final

from drivers.base import Ask, BadAnswer, Text

# Longest answer of any binary driver here, with rubbish around it; more is no answer.
ANSWER_BYTES_MAX: Final = 1024

# Gives the frame that stands at the beginning of the bytes, None where none does (or not wholly yet).
Take = Callable[[bytes], bytes | None]


def first(came: bytes, take: Take) -> bytes | None:
    """The first frame in what came; a wrong check sum costs one beginning, not what follows it."""
    return next((frame for start in range(len(came)) if (frame := take(came[start:])) is not None), None)


def ask(question: bytes, take: Take) -> Ask:
    """A question whose answer is complete as soon as a frame is in it."""
    return Ask(question, (b"",), ANSWER_BYTES_MAX, lambda came: first(came, take) is not None)


def frame_in(answer: object, take: Take) -> bytes:
    """The frame of a complete answer."""
    assert isinstance(answer, Text), "the bus answers Ask with Text"
    frame = first(answer.data, take)
    if frame is None:
        raise BadAnswer(f"no frame: {answer.data[:24].hex(' ')}")
    return frame
