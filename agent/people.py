"""Who may ask the daemon what over its socket, and the record of it: deny by default, one table of requests.

Who opens the socket is the service's user, root, or a member of the service's group (mode 0660). The page runs as the
service's user and says for whom it asks: that is believed of nobody else.
"""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from host.acts import WaitingActs
from host.control import PERSON, Gate, Handler, Peer, RequestError
from protocols.record import RecordError, encode

if TYPE_CHECKING:
    from agent.daemon import Daemon

# read: answers and changes nothing. act: a person changes something, on record. service: for the service's own user.
Kind = Literal["read", "act", "service"]
_READS: Final = (
    "status", "watch", "events", "read", "instruments", "cylinders", "cylinder", "qa-intervals", "qa-signoffs",
    "firmware-list", "board-calibration-list", "board-calibration-show", "board-drift",
    "history-tree-before", "history-ledger", "history-indexed", "history-newest", "history-numbered", "history-seq-at",
    "history-epochs", "holds", "archive-days", "archive-root",
)  # fmt: skip
_ACTS: Final = (
    "calibrate-start", "calibrate-abort", "maintenance", "recompute", "scan",
    "instrument-confirm", "qa-adjusted", "qa-signoff",
    "cylinder-add", "cylinder-revalue", "cylinder-pressure", "cylinder-install", "cylinder-remove", "cylinder-retire",
    "cylinder-roles", "cylinder-assign",
    "firmware-update", "firmware-stop", "board-find", "board-time", "board-setting",
    "board-calibration-set", "board-calibration-import", "board-calibration-confirm", "board-drift-accept",
    "board-colocate", "board-colocate-accept", "hold-set", "hold-lift", "backup",
    "clock-confirm",
)  # fmt: skip
REQUESTS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_READS, "read"),
    **dict.fromkeys(_ACTS, "act"),
    # They sign in the station's name whatever they are given, put another key in force, or say that raw may go.
    **dict.fromkeys(("act", "update-begin", "report-sign", "backup-sign", "key-rotate", "archived"), "service"),
}
ASKED_CHARACTERS_MAX: Final = 2000
WAITING_WALL_S: Final = 60.0
_LEFT_OUT: Final = frozenset({"do", "who", PERSON})


def gate(daemon: "Daemon") -> Gate:
    """Lets a request through, an act once it is on record; what the log does not take is not done."""

    async def _gate(name: str, request: Mapping[str, Any], peer: Peer) -> None:
        kind, by = REQUESTS.get(name, "service"), _by(request, peer)
        refused = kind == "service" and not peer.is_service
        if refused or (kind != "read" and name != "act"):
            await daemon.log.append("event", _asked(name, request, by, "refused" if refused else "asked"))
        if refused:
            raise RequestError(f"{name}: only the service's own user may ask this, not {peer.user}")

    return _gate


def _by(request: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
    """Who asks as the kernel says; for whom the page asks as the page says."""
    by: dict[str, Any] = {"user": peer.user, "uid": peer.uid}
    person = request.get(PERSON)
    if peer.is_service and isinstance(person, Mapping):
        by |= {name: str(person[name])[:100] for name in ("account", "role", "address") if name in person}
    return by


def _asked(name: str, request: Mapping[str, Any], by: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    """Members of the record of an act."""
    members = {key: value for key, value in request.items() if key not in _LEFT_OUT}
    text = json.dumps(members, ensure_ascii=False, sort_keys=True)
    who = request.get("who")
    return {
        "what": "act",
        "origin": "page" if "account" in by else "socket",
        "do": name[:100],
        "outcome": outcome,
        "by": dict(by),
        **({"who": who[:200]} if isinstance(who, str) else {}),
        "asked": members if _keepable(members, text) else {"text": ascii(text)[:ASKED_CHARACTERS_MAX]},
    }


def handlers(daemon: "Daemon") -> dict[str, Handler]:
    """`act`: the page puts on record what a person did at its door."""

    async def _act(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        act = request.get("act")
        if not isinstance(act, Mapping) or len(json.dumps(act)) > ASKED_CHARACTERS_MAX:
            raise RequestError("act: the members of an act are needed")
        record = await daemon.log.append("event", {**act, "what": "act", "origin": "page"})
        yield {"seq": record.seq}

    return {"act": _act}


async def waiting_acts(daemon: "Daemon") -> None:
    """Put on record what waited: acts at the page while the daemon was away, accounts changed by a command."""
    waiting = WaitingActs(Path(daemon.config.store.path))
    while True:
        rows = waiting.read()
        for row in rows:
            await daemon.log.append("event", {"origin": "page", **row, "what": "act", "late": True})
        if rows:
            waiting.forget(len(rows))
        await daemon.clock.sleep_wall(WAITING_WALL_S)


def _keepable(members: Mapping[str, Any], text: str) -> bool:
    """Whether a record can hold the members: no NaN, no half of a character, not too many."""
    try:
        return len(text) <= ASKED_CHARACTERS_MAX and bool(encode(members))
    except RecordError:
        return False
