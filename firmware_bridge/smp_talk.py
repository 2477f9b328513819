"""One conversation with a board in SMP, the management protocol of MCUmgr, over the public codec.

Source: Zephyr, "SMP protocol specification" (header, versions of errors). Needs the extra `firmware`. What a peer sends
is never trusted: whatever is no answer is a value, `Refusal` or `Silence`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import cbor2
from pydantic import ValidationError
from smp.header import Header
from smp.message import Request, Response

MESSAGE_BYTES_MAX: Final = 65535 + Header.SIZE
_OP: Final = 0b111
_GENERAL: Final = {
    1: "unknown error", 2: "no memory", 3: "value not taken", 4: "time-out", 5: "not there", 6: "not now",
    7: "too big", 8: "not supported", 9: "damaged", 10: "busy", 11: "denied", 12: "protocol too old",
    13: "protocol too new",
}  # fmt: skip
BUSY: Final = 10

R = TypeVar("R", bound=Response)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message and give the answer to it; None where none came within so many wall seconds."""

    message: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The board's answer is an error, or cannot be read. `code` is None for the latter; group as in the answer."""

    text: str
    group: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer to any try."""


Talk = Generator[Send, bytes | None, R | Refusal | Silence]


def answers(question: bytes, message: bytes) -> bool:
    """Whether a message answers a question: same group, number and command, and the operation's answer."""
    if len(message) < Header.SIZE or len(question) < Header.SIZE:
        return False
    return message[4:8] == question[4:8] and message[0] & _OP == (question[0] & _OP) + 1


class Talker:
    """Numbers the questions of one conversation, so that a late answer is not taken for another's."""

    def __init__(self) -> None:
        self._sequence = 0

    def ask(self, request: type[Request], answer: type[R], timeout_s: float, tries: int, **fields: Any) -> "Talk[R]":
        """Ask up to `tries` times in the same words."""
        self._sequence = (self._sequence + 1) % 256
        message = bytes(request(sequence=self._sequence, **fields))
        for _ in range(tries):
            came = yield Send(message, timeout_s)
            if came is not None:
                return understood(came, answer)
        return Silence()


def understood(message: bytes, answer: type[R]) -> R | Refusal:
    """An answer's bytes as what was expected, or the refusal that they are."""
    try:
        header = Header.loads(message[: Header.SIZE])
        fields = cbor2.loads(message[Header.SIZE :])
    except (ValueError, AssertionError, cbor2.CBORDecodeError) as error:
        return Refusal(f"an answer that cannot be read ({type(error).__name__})")
    if not isinstance(fields, dict):
        return Refusal("an answer that is no map")
    if refusal := _refusal(fields, int(header.group_id)):
        return refusal
    known = {name: value for name, value in fields.items() if name in answer.model_fields and name != "rc"}
    try:
        return answer(header=header, smp_data=message, **known)
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        return Refusal(f"an answer without a usable {', '.join(places)}")


def _refusal(fields: dict[Any, Any], group: int) -> Refusal | None:
    """The error of an answer: `err` of version 2, `rc` of version 1, which of 0 says that all is well."""
    error = fields.get("err")
    if isinstance(error, dict):
        own, code = error.get("group"), error.get("rc")
        text = _GENERAL.get(code, "error") if own == 0 and isinstance(code, int) else "error"
        return Refusal(f"{text} ({code} of group {own})", own if isinstance(own, int) else None, _int(code))
    code = fields.get("rc", 0)
    if code == 0:
        return None
    reason = fields.get("rsn")
    text = (
        reason[:100] if isinstance(reason, str) else _GENERAL.get(code, "error") if isinstance(code, int) else "error"
    )
    return Refusal(f"{text} ({code})", group, _int(code))


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
