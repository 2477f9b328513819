"""What was said on the links of HJ 212, for people: each frame with its time and meaning, without its secrets.

Uploads and their answers stand in the store; the rest (requests, replies, notices, refusals) is kept in memory, the
last LINES_MAX of each MN. Heartbeats are left out.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import apsw

from central.hj212_routes import Route
from central.store import printable
from metrology.periods import iso
from protocols.hj212.commands import Direction, commands
from protocols.hj212.message import Message
from protocols.hj212.profile import Edition

LINES_MAX: Final = 200
FRAME_CHARACTERS_MAX: Final = 2000
HEARTBEAT: Final = "9015"
# SM4 works on blocks of 16 bytes: what is encrypted at all is so from its first one on.
SEEN_CHARACTERS: Final = 16
_SECRET: Final = re.compile(r"\b((?:New)?PW|NewSK)=[^;,&]*")
_AREA: Final = re.compile(rb"CP=&&.*&&", re.DOTALL)

Line = dict[str, Any]


def masked(text: str) -> str:
    """Text of a frame without passwords and keys."""
    return _SECRET.sub(r"\1=******", text)


def plain_area(message: Message) -> str:
    """Data area of a message as text."""
    return ";".join(",".join(f"{name}={value}" for name, value in item) for item in message.area)


def decrypted(message: Message) -> str | None:
    """Text of a data area that came encrypted: it does not stand in the bytes of the frame; None where it does."""
    text = plain_area(message)
    return None if text[:SEEN_CHARACTERS].encode("utf-8") in message.raw else text


def frame_text(data: bytes, area: str | None) -> str:
    """A frame for people, with its data area in plain text, without secrets."""
    if area is not None:
        plain = f"CP=&&{area}&&".encode()
        data = _AREA.sub(lambda _: plain, data, count=1)
    return printable(masked(data.decode("utf-8", "replace").strip()), FRAME_CHARACTERS_MAX)


def line(at_wall: float, way: str, header: Mapping[str, str], text: str, edition: int, note: str = "") -> Line:
    """One frame for people: `way` is sent or received; the names are those of its command."""
    direction: Direction = "to_station" if way == "sent" else "to_platform"
    cn = header.get("CN", "")
    command = commands(Edition(edition)).get((cn, direction))
    return {
        "at": iso(datetime.fromtimestamp(at_wall, UTC)),
        "way": way,
        "cn": cn,
        "qn": header.get("QN", ""),
        "name_en": command.name_en if command else "",
        "name_zh": command.name_zh if command else "",
        "note": note,
        "text": text,
    }


class Dialogues:
    """The last frames of each enrolled MN that are no uploads."""

    def __init__(self, routes: Mapping[str, Route], wall: Callable[[], float]) -> None:
        self._routes = routes
        self._wall = wall
        self._lines: dict[str, deque[Line]] = {}
        self._heartbeats: dict[str, str] = {}

    def sent(self, data: bytes) -> None:
        """Bytes of ours go out."""
        head = data[6:].partition(b"CP=&&")[0].decode("ascii", "replace")
        header = {name: value for name, _, value in (part.partition("=") for part in head.split(";"))}
        mn = header.get("MN", "")
        if mn in self._routes and self._heartbeats.get(mn) != header.get("QN"):
            self._add(mn, "sent", header, frame_text(data, None), "")

    def received(self, message: Message, note: str = "") -> None:
        """A message came in."""
        if message.cn == HEARTBEAT:
            self._heartbeats[message.mn] = message.qn
        elif message.mn in self._routes:
            header = {"CN": message.cn, "QN": message.qn}
            self._add(message.mn, "received", header, frame_text(message.raw, decrypted(message)), note)

    def lines(self, mn: str, db: apsw.Connection) -> list[Line]:
        """The last LINES_MAX frames of an MN with its uploads, oldest first."""
        both = [*self._lines.get(mn, ()), *_uploads(db, mn, self._routes[mn].outlet.edition)]
        return sorted(both, key=lambda one: str(one["at"]))[-LINES_MAX:]

    def _add(self, mn: str, way: str, header: Mapping[str, str], text: str, note: str) -> None:
        made = line(self._wall(), way, header, text, self._routes[mn].outlet.edition, note)
        self._lines.setdefault(mn, deque(maxlen=LINES_MAX)).append(made)


def _uploads(db: apsw.Connection, mn: str, edition: int) -> list[Line]:
    found: list[Any] = db.execute(
        "SELECT qn, cn, received_wall, acknowledged, bytes, area, resent, problem FROM hj212_frame WHERE mn = ?"
        " ORDER BY qn DESC LIMIT ?",
        (mn, LINES_MAX),
    ).fetchall()
    made = []
    for qn, cn, wall, acknowledged, data, area, resent, problem in found:
        notes = ["9014"] * bool(acknowledged) + ["RF=1"] * bool(resent) + [problem] * bool(problem)
        text = frame_text(bytes(data), area)
        made.append(line(wall, "received", {"CN": cn, "QN": qn}, text, edition, " ".join(notes)))
    return made
