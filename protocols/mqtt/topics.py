"""The topic tree: `plumeline/v1/{network}/{station_id}/{up|down}/{leaf}` (design, section 9).

Names are those of the configuration: lower case letters, digits, `_` and `-`, at most 40 characters; so no topic can
hold a wildcard, an empty level or a leading `$`.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from protocols.record import KINDS

Direction = Literal["up", "down"]

# Records of any kind, of what lies open from before: packed without regard to their kinds.
BACKLOG: Final = "backlog"
LEAVES: Final[dict[Direction, frozenset[str]]] = {
    "up": KINDS | {BACKLOG, "state", "birth", "challenge"},
    "down": frozenset({"ack", "witness", "challenge", "command", "config"}),
}
UP_FILTER: Final = "plumeline/v1/+/+/up/+"
_NAME: Final = "[a-z0-9][a-z0-9_-]{0,39}"
_TOPIC: Final = re.compile(rf"plumeline/v1/({_NAME})/({_NAME})/(up|down)/([a-z]+)")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of ours. `leaf` is one of LEAVES of its direction."""

    network: str
    station_id: str
    direction: Direction
    leaf: str

    def __post_init__(self) -> None:
        if not _TOPIC.fullmatch(str(self)) or self.leaf not in LEAVES[self.direction]:
            raise ValueError(f"{self} is no topic of version 1")

    def __str__(self) -> str:
        return f"plumeline/v1/{self.network}/{self.station_id}/{self.direction}/{self.leaf}"


def parse_topic(text: str) -> Topic | None:
    """Topic of a message, None for any other text."""
    match = _TOPIC.fullmatch(text)
    if match is None:
        return None
    network, station_id, way, leaf = match.groups()
    direction: Direction = "up" if way == "up" else "down"
    return Topic(network, station_id, direction, leaf) if leaf in LEAVES[direction] else None
