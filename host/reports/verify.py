"""Is a file the report that was signed: its numbers, its page, its records, and the key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from calibration.reports.words import Words
from host.reports import html
from host.reports.twin import FORM, Statement, digest64, opened, sha256, unsigned_text
from protocols.record import RecordError, encode
from protocols.tlog import NoteError

# unchecked: everything agrees with the note, but no key was given to believe it by.
Outcome = Literal["verified", "unchecked", "unsigned", "altered", "unreadable"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it: the outcome, what the note states, who signed, and what does not agree."""

    outcome: Outcome
    statement: Statement | None = None
    signers: tuple[str, ...] = ()
    why: str = ""


def verify(data: bytes, vkeys: Sequence[str]) -> Verified:
    """Check a page or a JSON file of a report by known keys."""
    try:
        text = data.decode()
        if text.startswith("<!doctype html>"):
            return _page(text, vkeys)
        return _json(text, vkeys)
    except (NoteError, RecordError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Verified("unreadable", why=str(error) or type(error).__name__)


def _page(text: str, vkeys: Sequence[str]) -> Verified:
    parts = html.parted(text, (Words("en"), Words("zh")))
    if parts.note is None:
        return Verified("unsigned")
    return _judged(parts.note, encode(json.loads(parts.twin)), sha256(parts.bare.encode()), vkeys)


def _json(text: str, vkeys: Sequence[str]) -> Verified:
    found: dict[str, Any] = json.loads(text)
    if found["form"] != FORM or found["report"]["form"] != FORM or set(found) != {"form", "report", "bodies", "note"}:
        raise NoteError("this is no file of a report")
    leaves = {name: digest64(body) for name, body in found["bodies"].items()}
    if leaves != found["report"]["leaves"]:
        return Verified("altered", why="records")
    if not found["note"]:
        return Verified("unsigned")
    return _judged(found["note"], encode(found["report"]), None, vkeys)


def _judged(note: str, twin: bytes, page: str | None, vkeys: Sequence[str]) -> Verified:
    signers: tuple[str, ...] = ()
    stated = unsigned_text(note)
    if vkeys:
        try:
            stated, signers = opened(note, vkeys)
        except NoteError as error:
            return Verified("altered", stated, why=str(error))
    if stated.twin != sha256(twin):
        return Verified("altered", stated, signers, "numbers")
    if stated.page != page:
        return Verified("altered", stated, signers, "page")
    return Verified("verified" if vkeys else "unchecked", stated, signers)
