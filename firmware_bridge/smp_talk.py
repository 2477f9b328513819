"""One conversation with a board in SMP, the management protocol of MCUmgr, over the public codec.

Source: Zephyr, "SMP protocol specification" (header, versions of errors). Needs the extra `firmware`. What a peer sends
is never trusted: whatever is no answer is a value, `Refusal` or `Silence`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import cbor2
from pydantic import ValidationError
from smp.header import GroupId, Header
from smp.image_management import IMG_MGMT_ERR
from smp.message import Request, Response

MESSAGE_BYTES_MAX: Final = 65535 + Header.SIZE
_OP: Final = 0b111
_GENERAL: Final = {
    1: "unknown error", 2: "no memory", 3: "value not taken", 4: "time-out", 5: "not there", 6: "not now",
    7: "too big", 8: "not supported", 9: "damaged", 10: "busy", 11: "denied", 12: "protocol too old",
    13: "protocol too new",
}  # fmt: skip
BUSY: Final = 10
REASON_CHARACTERS_MAX: Final = 100

R = TypeVar("R", bound=Response)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message and give the answer to it; None where none came within so many wall seconds."""

    message: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The board's answer is an error, or cannot be read. `group` and `code` are None for the latter; 0 is general."""

    text: str
    group: int | None = None
    code: int | None = None

    @property
    def busy(self) -> bool:
        """True where the same question may be taken a little later."""
        return self.group == 0 and self.code == BUSY


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
    if refusal := _refusal(fields):
        return refusal
    known = {name: value for name, value in fields.items() if name in answer.model_fields and name != "rc"}
    try:
        return answer(header=header, version=header.version, smp_data=message, **known)
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        return Refusal(f"an answer without a usable {', '.join(places)[:REASON_CHARACTERS_MAX]}")


def _refusal(fields: dict[Any, Any]) -> Refusal | None:
    """The error of an answer: `err` of a group, or the general `rc`, which of 0 says that all is well."""
    error = fields.get("err")
    if isinstance(error, dict):
        group, code = _int(error.get("group")), _int(error.get("rc"))
        return Refusal(f"{_named(group, code)} ({code} of group {group})", group, code)
    code = _int(fields.get("rc", 0))
    if code == 0:
        return None
    reason = fields.get("rsn")
    text = reason[:REASON_CHARACTERS_MAX] if isinstance(reason, str) else _named(0, code)
    return Refusal(f"{text} ({code})", 0, code)


def _named(group: int | None, code: int | None) -> str:
    """What a code of a group means."""
    if group == GroupId.IMAGE_MANAGEMENT and code in set(IMG_MGMT_ERR):
        return IMG_MGMT_ERR(code).name.lower().replace("_", " ")
    return _GENERAL.get(code or 0, "error") if group == 0 else "error"


def _int(value: object) -> int | None:
    """A number as SMP has them, 32 bits wide; CBOR knows longer ones than can be written out."""
    return value if isinstance(value, int) and abs(value) < 2**32 else None
