"""What the station's and the platform's session share: identities, outputs, the timer of one unanswered frame.

A session never touches a wire. It is told what came (`receive`) and what time it is (`tick`), and answers with outputs
in order: bytes to send, and events for its owner. `deadline` says when it wants the next tick. All times given to it
are seconds of one monotonic wall clock; world time is asked for only to make QN and time stamps.
"""

import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from protocols.hj212.frame import FrameError
from protocols.hj212.message import Area, Message
from protocols.hj212.profile import Edition, Leniency, Profile, mn_lengths
from protocols.hj212.sm4 import BLOCK
from protocols.hj212.uploads import Upload

# Key of a `Failed` heartbeat: nobody submitted it, its failure says that the link is dead.
HEARTBEAT: Final = "9015"
# Password of a station on a platform (HJ 212-2017 table 3).
PW_FORM: Final = r"[0-9A-Za-z]{1,6}"

Key = Hashable
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a station is on one link, how it speaks there, and its SM4 keys, the one to write with first.

    An MN that was given out in another length than the edition wants is itself no reason to refuse what bears it.
    Raises ValueError where a field is not as HJ 212-2017 table 3 wants it written.
    """

    mn: str
    pw: str = field(repr=False)
    st: str = "31"
    profile: Profile = field(default_factory=Profile.strict)
    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def edition(self) -> Edition:
        """The edition it writes."""
        return self.profile.edition or Edition.HJ2017

    def key_for(self, cn: str) -> bytes | None:
        """Key the station writes that command with: data, 1014 and 3020 (2025, as public code quotes it), else None."""
        secret = "2000" <= cn <= "2999" or cn in ("1014", "3020")
        return self.keys[0] if self.keys and secret else None

    def __post_init__(self) -> None:
        for name, value, shape in (("MN", self.mn, r"[0-9A-Za-z]{14,24}"), ("ST", self.st, r"[0-9A-Z]{2}")):
            if not re.fullmatch(shape, value):
                raise ValueError(f"{name} {value!r} is not of the form {shape}")
        if not re.fullmatch(PW_FORM, self.pw):
            raise ValueError("PW: write one to six letters or digits (HJ 212-2017 table 3)")
        if any(len(key) != BLOCK for key in self.keys):
            raise ValueError(f"SM4 key: write {BLOCK} bytes")
        if len(self.mn) not in mn_lengths(self.edition):
            object.__setattr__(self, "profile", self.profile.with_leniencies([Leniency.MN_13_TO_24]))


@dataclass(slots=True)
class Timing:
    """Seconds to wait for an answer and how often to send again after that (CN 1000 may change both)."""

    overtime_s: float = 10.0
    recount: int = 3

    @property
    def whole_s(self) -> float:
        """How long a peer may take to answer, all resends counted."""
        return self.overtime_s * (self.recount + 1)


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the wire. They hold the password: never to be logged."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadBytes:
    """What came and was no message."""

    error: FrameError


@dataclass(frozen=True, slots=True)
class Unexpected:
    """A message that answers nothing asked, or of a command this edition does not know in this direction; ignored."""

    message: Message


@dataclass(frozen=True, slots=True)
class Delivered:
    """Station: an upload is done; `confirmed` where the platform answered 9014 to every part of it."""

    key: Key
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """Station: an upload was given up. `others_answered` where the platform acknowledged other uploads meanwhile."""

    key: Key
    others_answered: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Commanded:
    """Station: a platform's request was executed or refused; an act to be recorded."""

    qn: str
    cn: str
    fields: dict[str, str]
    result: str


@dataclass(frozen=True, slots=True)
class Requested:
    """Station: a request answered 9011 ready. The owner executes it, tells data by `answer`, ends it by `finish`."""

    message: Message

    @property
    def qn(self) -> str:
        """Its number, by which it is answered."""
        return self.message.qn


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Platform: data to be committed; then call `accepted(message)`. `upload` has its rows, None where it has none."""

    message: Message
    upload: Upload | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Platform: a message that was not taken, and why."""

    message: Message
    reason: str


@dataclass(frozen=True, slots=True)
class Notified:
    """Platform: a station's notice (1001, 1013, 1014, 2072, 9015), answered 9013 already where it asked."""

    message: Message


@dataclass(frozen=True, slots=True)
class PartsMissing:
    """Platform: a split upload whose other parts did not come in time; those that came were handed over."""

    mn: str
    cn: str
    data_time: str
    parts: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """Platform: how a request ended (`done`, `refused`, `unanswered`, `failed`, `lost`), its return code, its data."""

    qn: str
    mn: str
    cn: str
    outcome: str
    code: int | None
    data: tuple[Area, ...]


Output = (
    Send
    | BadBytes
    | Unexpected
    | Delivered
    | Failed
    | Commanded
    | Requested
    | Uploaded
    | Rejected
    | Notified
    | PartsMissing
    | RequestEnded
)


@dataclass(slots=True)
class Retry:
    """The timer of one message that waits for its answer: sent once, then again `recount` times (HJ 212-2017 6.2)."""

    data: bytes
    deadline: float
    resends: int = 0

    def due(self, now: float) -> bool:
        """True once the answer is late."""
        return now >= self.deadline

    def again(self, now: float, timing: Timing) -> Send | None:
        """Give the same bytes once more, or None where the resends are used up."""
        if self.resends >= timing.recount:
            return None
        self.resends += 1
        self.deadline = now + timing.overtime_s
        return Send(self.data)


def remember(memory: "OrderedDict[K, V]", key: K, value: V, limit: int) -> None:
    """Put an entry into a mapping that forgets its oldest beyond `limit`."""
    memory[key] = value
    while len(memory) > limit:
        memory.popitem(last=False)
