"""First inputs: a message of every command of every edition made from the tables, published frames, damage by hand."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from hj212_wire import check_sum, repair, wrap

from protocols.hj212.commands import Command, commands
from protocols.hj212.message import CP_MAX, REPLY_ST, SEGMENT_MAX, Area, Message, encode, flag_of
from protocols.hj212.profile import Edition
from protocols.hj212.tables.fields import Field, Kind, fields
from protocols.hj212.tables.forms import Part

MN: Final = "010000A8900016F000169DC0"
PW: Final = "123456"
ST: Final = "31"
QN: Final = "20240520210700000"
PUBLISHED: Final = Path(__file__).resolve().parent.parent.parent / "tests" / "protocols" / "data"
CODES: Final = {"PolId": "a21026", "SBId": "101", "InfoId": "i12001", "FurnaceId": "a01901", "n": "1"}
TEXTS: Final = {
    Kind.TIME: "20240520210600",
    Kind.STAMP: "20240520210600",
    Kind.CLOCK: "0930",
    Kind.HEX: "0123456789ABCDEF0123456789ABCDEF",
    Kind.TEXT: "log 日志",
}


def sample(field: Field | None) -> str:
    """A value as the table wants it."""
    if field is None:
        return "1"
    if field.allowed:
        return min(field.allowed)
    if field.kind in (Kind.DIGITS, Kind.CODE, Kind.INTEGER, Kind.NUMBER):
        least = str(field.minimum if field.minimum is not None else 1)
        return least.rjust(field.shortest, "0")
    return TEXTS[field.kind][: field.longest]


def _pair(part: Part, edition: Edition) -> tuple[str, str]:
    suffix = part.name.partition("-")[2].casefold()
    table = fields(edition)
    known = (table.get(name) for name in (part.name.casefold(), f"{{polid}}-{suffix}", f"{{infoid}}-{suffix}"))
    name = re.sub(r"\{(\w+)\}", lambda found: CODES.get(found[1], "a21026"), part.name)
    return name, sample(next((field for field in known if field), None))


def areas(command: Command) -> Iterator[Area]:
    """For each layout of a command everything it may hold, once."""
    for form in command.forms:
        yield tuple(
            item for group in form.groups if (item := tuple(_pair(part, command.edition) for part in group.parts))
        )


@cache
def messages() -> tuple[Message, ...]:
    """A message of each layout of each command of each edition, in both directions."""
    made = []
    for edition in Edition:
        for command in commands(edition).values():
            st = REPLY_ST if command.dialogue == "answer" else ST
            asks = command.dialogue not in ("answer", "data")
            flag = flag_of(edition, wants_answer=asks)
            made += [Message(QN, st, command.cn, PW, MN, flag, area) for area in areas(command)]
    return tuple(made)


@cache
def frames() -> tuple[bytes, ...]:
    """The same as bytes; what is too long for one message is left out."""
    made = []
    for message in messages():
        size = sum(len(name) + len(value.encode()) + 2 for item in message.area for name, value in item)
        if size < CP_MAX - 50:
            made.append(encode(message))
    return tuple(dict.fromkeys(made))


def published() -> list[bytes]:
    """Frames as others printed them, from the data of the tests; CR LF added where the print has none."""
    lines = [line for path in sorted(PUBLISHED.glob("*")) for line in path.read_bytes().splitlines()]
    found = [line[line.find(b"##") :] for line in lines if re.search(rb"##[0-9]{3,4}[A-Z]", line)]
    return [line.rstrip(b'"\r\n') + b"\r\n" for line in found][:100]


def by_hand() -> list[bytes]:
    """Departures that a mutator would take long to find, each for one named leniency or one reason."""
    typical = next(frame for frame in frames() if b"CN=2051" in frame and b"Flag=5" in frame)
    segment = typical[6:-6]
    modbus = _modbus(segment)
    gbk = segment.replace(b"N&&", "N;Info=中文".encode("gbk") + b"&&")
    long = segment[:-2] + b";a21026-Rtd=1.5" * 60 + b"&&"
    full = segment[:-2] + b";a21026-Info=" + b"9" * (SEGMENT_MAX - len(segment) - 13) + b"&&"
    two = segment.replace(b"Flag=5", b"Flag=7;PNUM=2;PNO=1")
    return [
        b"##%04d%b%04X\r\n" % (len(segment), segment, modbus),
        b"##%04d%b%04X\r\n" % (len(segment), segment, (modbus & 255) << 8 | modbus >> 8),
        typical[:-6] + typical[-6:-2].lower() + b"\r\n",
        b"##%03d%b%04X\r\n" % (len(segment), segment, check_sum(segment)),
        b"##%04d%b%04X\r\n" % (len(gbk) - 2, gbk, check_sum(gbk)),
        wrap(gbk),
        wrap(segment.replace(b";CP=", b"CP=")),
        wrap(segment.replace(QN.encode() + b";", QN.encode() + b",")),
        wrap(segment[:-2] + b";&&"),
        typical[:-2] + typical[:-2] + typical,
        *(typical[:-2] + tail + typical for tail in (b"\n", b"\r", b"\r\n\r\n", b"\x00", b"**")),
        wrap(two),
        wrap(two.replace(b"PNUM=2;PNO=1", b"PNO=1;PNUM=2")),
        wrap(two.replace(b"Flag=7", b"Flag=5")),
        wrap(two.replace(b"PNO=1", b"PNO=3")),
        wrap(segment.replace(b"Flag=5;", b"Flag=5;RF=1;")),
        wrap(segment.replace(b"Flag=5;", b"Flag=9;RF=1;")),
        wrap(segment.replace(b"Flag=5;", b"Flag=999;")),
        wrap(segment.replace(b"N&&", b"N;Info=//a;b,c=d##//,x=y&&")),
        wrap(segment.replace(b"Flag=5;", b"")),
        wrap(segment.replace(b"QN=" + QN.encode() + b";", b"")),
        wrap(segment.replace(b"DataTime=20240520210600", b"DataTime=20240520210600123")),
        wrap(segment.replace(MN.encode(), MN.encode()[:13])),
        wrap(segment.replace(b"Flag=5", b"Flag=13")),
        wrap(long[:1025] + b"&&"),
        wrap(full),
        b"##9999" + typical + typical,
        b"##0400" + typical + typical[:40],
        typical[:100] + typical,
        b"rubbish" + typical + b"\x00#" + typical + b"###" + typical,
        typical + typical[: len(typical) // 2],
    ]


def _modbus(segment: bytes) -> int:
    register = 0xFFFF
    for byte in segment:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


def decoder_seeds() -> list[bytes]:
    """Inputs of the decoder's target: each frame under its own edition and under every leniency, some together."""
    made = []
    for at, frame in enumerate([*frames(), *published()]):
        version = re.search(rb"Flag=(\d+)", frame)
        profile = min(int(version[1]) >> 2, 2) if version else 3
        cut = bytes([at & 255, at * 7 & 255])
        made.append(bytes([profile | 16]) + cut + frame)
        made.append(bytes([3 | (at & 1) << 2]) + cut + repair(frame))
        if profile == 2 and at % 2:
            ciphers = (8, 8 | 128, 8 | 32, 8 | 32 | 64)
            made += [bytes([profile | 4 | 16 | cipher]) + cut + frame for profile in (2, 3) for cipher in ciphers]
    for at, stream in enumerate(by_hand()):
        made += [bytes([profile, at, 3 * at]) + stream for profile in (1 | 16, 3 | 16, 3, 7 | 16)]
    joined = [b"".join(frames()[at : at + 8]) for at in range(0, len(frames()), 8)]
    return made + [bytes([3, at & 255, 1]) + stream[:2400] for at, stream in enumerate(joined)]
