"""What must hold of both sessions whatever a peer and an owner do, and one input as the fuzzer gives it.

An input is tokens split by 0xFF. The first steers (which end, edition, keys, options); each other one is a step: its
first byte says which, the rest are its bytes. `QN=*` and one byte stand in a segment for a number the session has sent.
"""

import re
from typing import Final

from hj212_decoder import KEY, OLD_KEY, encrypted
from hj212_ends import PEER_MN, PlatformEnd, StationEnd
from hj212_seeds import MN, PW, QN, ST, frames, messages
from hj212_wire import NAMES, SEPARATORS, SPLIT, VALUES, damage_step, wrap

from protocols.hj212.message import Message
from protocols.hj212.profile import Edition, Leniency, Profile
from protocols.hj212.session import Identity

STEPS_MAX: Final = 20
REPEATS_MAX: Final = 40
SETTLE_TICKS: Final = 80
NUMBER: Final = re.compile(rb"QN=\*(.)", re.DOTALL)
EDITIONS: Final = tuple(Edition)


def identity(control: int, mn: str) -> Identity:
    """A station by the control byte: edition, every leniency or none, keys where the edition has them."""
    edition = EDITIONS[control & 3 if control & 3 < 3 else 1]
    profile = Profile(edition, frozenset(Leniency) if control & 8 else frozenset())
    keys = (KEY, OLD_KEY) if control & 16 and edition is Edition.HJ2025 else ()
    return Identity(mn, PW, ST, profile, keys)


class Run:
    """One session under one input."""

    def __init__(self, control: bytes) -> None:
        first, options = control[0], control[1]
        me = identity(first, MN)
        self.keys = bool(me.keys)
        self.end: StationEnd | PlatformEnd
        if first & 4:
            self.end = StationEnd(me, options)
        else:
            self.end = PlatformEnd({MN: me, PEER_MN: identity(first + 1 & 0x0B, PEER_MN)}, options)
        self.last = b""

    def step(self, what: int, rest: bytes) -> None:
        """Do one step."""
        end = self.end
        match what % 8:
            case 0 | 1 | 2:
                self.last = self._segment(rest)
                end.receive(self.last)
            case 3:
                self.last = rest
                end.receive(rest)
            case 4:
                end.tick(rest[0] if rest else 0)
            case 5:
                end.act(rest)
            case 6:
                end.answer(rest)
            case 7 if rest and rest[0] & 1:
                for _ in range(rest[0] % REPEATS_MAX):
                    end.receive(self.last)
            case 7:
                end.cut()

    def _segment(self, rest: bytes) -> bytes:
        numbers = self.end.numbers
        named = NUMBER.sub(
            lambda found: b"QN=" + (numbers[-1 - found[1][0] % len(numbers)] if numbers else QN.encode()), rest
        )
        frame = wrap(named)
        return encrypted(frame) if self.keys and rest[:1] != b"S" else frame


def one_input(data: bytes) -> None:
    """One input to its end. Raises ViolationError."""
    control, *steps = data.split(SPLIT)
    if len(control) < 2:
        return
    run = Run(control)
    for step in steps[:STEPS_MAX]:
        if step:
            run.step(step[0], step[1:])
            run.end.check()
    if control[1] & 0xC0 == 0:
        run.end.check_held()
    run.end.settle(SETTLE_TICKS)


def _step(what: int, rest: bytes = b"") -> bytes:
    return SPLIT + bytes([what]) + rest


def _reply(message: Message, cn: str, area: bytes) -> bytes:
    """Segment of a reply to the number sent last."""
    flag = message.flag & 0xFC
    head = b"ST=91;CN=%b;PW=%b;MN=%b;Flag=%d;CP=&&" % (cn.encode(), PW.encode(), MN.encode(), flag)
    if message.version == 0:
        return head + b"QN=*\x00" + (b";" if area else b"") + area + b"&&"
    return b"QN=*\x00;" + head + area + b"&&"


def seeds() -> list[bytes]:
    """Dialogues of both ends in each edition: uploads and notices answered, requests executed, links cut."""
    made = []
    for index, message in enumerate(messages()):
        edition = message.version
        ready = _step(0, _reply(message, "9011", b"QnRtn=1"))
        done = _step(0, _reply(message, "9012", b"ExeRtn=1"))
        acknowledged = _step(0, _reply(message, "9014", b"")) + _step(0, _reply(message, "9013", b""))
        act = _step(5, bytes([index & 255, 1])) + acknowledged
        for first in (edition, edition | 4, edition | 8, edition | 4 | 8 | 16):
            made.append(bytes([first, index & 255]) + act + ready + done + _step(4, b"\x10"))
    for index, frame in enumerate(frames()):
        flag = re.search(rb"Flag=(\d+)", frame)
        edition = min(int(flag[1]) >> 2, 2) if flag else 1
        for first in (edition, edition | 4, edition | 16):
            then = ((6, b"\x00"), (7, b"\x03"), (6, b"\x01"), (4, b"\x20"), (7, b"\x00"), (3, frame))
            steps = b"".join(_step(what, rest) for what, rest in ((0, frame[6:-6]), *then))
            made.append(bytes([first, index * 5 & 255]) + steps)
    for edition in range(3):
        head = b"QN=%d;ST=31;CN=2051;PW=123456;MN=%b;Flag=%d;PNUM=%d;PNO=%d;CP=&&DataTime=2024052021%02d00;a-Avg=1&&"
        for count, asked, minutes in ((2, (1, 2), 1), (3, (2, 1, 1), 1), (2, (1,), 20), (9999, (7, 9), 2)):
            parts = [
                _step(
                    0,
                    head % (20240520210700000 + 100 * minute + pno, MN.encode(), edition << 2 | 3, count, pno, minute),
                )
                for minute in range(minutes)
                for pno in asked
            ]
            made += [bytes([edition | keys, 0]) + b"".join(parts) + _step(4, b"\x20") * 2 for keys in (0, 16)]
    return made


inside: Final = damage_step
WORDS: Final = SEPARATORS + VALUES + NAMES
