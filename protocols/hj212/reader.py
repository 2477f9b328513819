"""What comes from one peer: bytes decoded once with every leniency, each frame then judged by that peer's own profile.

A frame that began and does not go on is not waited for longer than SILENCE_S: a forged length holds nothing back.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from protocols.hj212.commands import QnRtn
from protocols.hj212.decoder import Decoder, Keys
from protocols.hj212.frame import Frame, FrameError
from protocols.hj212.message import HEADER, REPLY_ST, Message, encode
from protocols.hj212.profile import Edition, Leniency, Profile
from protocols.hj212.session import Send

SILENCE_S: Final = 3.0
_LENIENT: Final = Profile.lenient()


class Reader:
    """The decoder of one connection with its timer."""

    def __init__(self, keys: Keys) -> None:
        self._decoder = Decoder(_LENIENT, keys)
        self.deadline: float | None = None

    def receive(self, data: bytes, now: float) -> Sequence[Frame | FrameError]:
        """What bytes from the wire complete."""
        found = self._decoder.feed(data)
        self.deadline = now + SILENCE_S if self._decoder.unfinished else None
        return found

    def tick(self, now: float) -> Sequence[Frame | FrameError]:
        """What an unfinished frame turns out to be after a silence."""
        return self.end() if self.deadline is not None and self.deadline <= now else ()

    def end(self) -> Sequence[Frame | FrameError]:
        """What is left when nothing more comes."""
        self.deadline = None
        return self._decoder.end()


Refusal = tuple[int | None, str]


def judge(profile: Profile, frame: Frame) -> tuple[Message, Refusal | None]:
    """What a peer of that profile says, and where it may not write so a code of `QnRtn` and the reason.

    `deviations` of the message are those from the peer's own edition. There is no code where length, check sum or tail
    are wrong: the line may have done that, and handling ends (HJ 212-2017 table 2), so that its sender sends it again.
    """
    message, edition = frame.message, profile.edition
    # It was read by the edition that it names itself.
    own = "Flag" in frame.fields and (edition is None or message.version == edition.version)
    if own and profile.leniencies.issuperset(message.deviations):
        return message, None
    names = tuple(dict.fromkeys([*message.deviations, *map(str, profile.departures(frame.fields, frame.cp))]))
    return replace(message, deviations=names), _refusal(profile, frame, message.version, names)


def _refusal(profile: Profile, frame: Frame, version: int, names: tuple[str, ...]) -> Refusal | None:
    reason = profile.refusal(frame)
    if reason is None:
        return None
    if reason == "version":
        theirs, ours = Edition.of_version(version), profile.edition
        said = f"version bits {version}" if theirs is None else f"edition {theirs.value}"
        return QnRtn.FLAG, f"{said}, agreed is {ours.value if ours else 'an edition there is'}"
    bad = [name for name in names if name not in profile.leniencies]
    code = next((_CODES[name] for name in bad if name in _CODES), QnRtn.UNKNOWN)
    return None if reason in _BY_THE_LINE else code, f"deviation {' '.join(bad)}"


_BY_THE_LINE: Final = frozenset({"crc", "length", "truncated"})
_CODES: Final[dict[str, int]] = {
    Leniency.MN_13_TO_24: QnRtn.MN,
    Leniency.MISSING_QN: QnRtn.QN,
    Leniency.MISSING_FLAG: QnRtn.FLAG,
}


def reply_to(message: Message, cn: str, *area: tuple[str, str]) -> bytes | None:
    """Bytes of a reply as in appendix C: ST 91; QN, PW and MN of the message answered, its version bits alone as Flag.

    None to a message without a number, which cannot be answered, and to a reply, which never is.
    """
    if message.st == REPLY_ST or not HEADER["QN"].fullmatch(message.qn):
        return None
    items = tuple((pair,) for pair in area)
    return encode(Message(message.qn, REPLY_ST, cn, message.pw, message.mn, message.version << 2, items))


def replies(message: Message, cn: str, *area: tuple[str, str]) -> list[Send]:
    """The reply as outputs."""
    data = reply_to(message, cn, *area)
    return [] if data is None else [Send(data)]
