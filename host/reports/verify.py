"""Is a file the report that was signed: its numbers, its page or cells, its records, and the key.

What a signature covers differs by the form. Page and PDF: every byte of the file. JSON: numbers and records. Workbook:
the numbers and every cell (value, formula, number format), not its charts, colours, widths and what is hidden.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from calibration.reports.words import Words
from host.reports import html, pdf_note, proofs
from host.reports.twin import FORM, Statement, digest64, opened, sha256, unsigned_text
from protocols.record import RecordError, encode
from protocols.tlog import NoteError

# unchecked: everything agrees with the note, but no key was given to believe it by.
Outcome = Literal["verified", "unchecked", "unsigned", "altered", "unreadable"]


Form = Literal["html", "json", "pdf", "xlsx"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it: the outcome, what the note states, who signed, what does not agree; which form it is."""

    outcome: Outcome
    statement: Statement | None = None
    signers: tuple[str, ...] = ()
    why: str = ""
    form: Form | None = None


def verify(data: bytes, vkeys: Sequence[str]) -> Verified:
    """Check a report of any form by known keys. Raises ImportError for a workbook without the extra `reports`."""
    form = _form_of(data)
    try:
        found = _CHECKS[form](data, vkeys)
    except (NoteError, RecordError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = Verified("unreadable", why=str(error) or type(error).__name__)
    return replace(found, form=form)


def _form_of(data: bytes) -> Form:
    """By its first bytes; what is none of the others is read as JSON."""
    starts: tuple[tuple[bytes, Form], ...] = ((b"<!doctype html>", "html"), (b"%PDF-", "pdf"), (b"PK", "xlsx"))
    return next((form for start, form in starts if data.startswith(start)), "json")


def _page(data: bytes, vkeys: Sequence[str]) -> Verified:
    parts = html.parted(data.decode(), (Words("en"), Words("zh")))
    if parts.note is None:
        return Verified("unsigned")
    return _judged(parts.note, encode(json.loads(parts.twin)), sha256(parts.bare.encode()), vkeys)


def _pdf(data: bytes, vkeys: Sequence[str]) -> Verified:
    parts = pdf_note.parted(data)
    if parts.note is None:
        return Verified("unsigned")
    judged = _judged(parts.note, None, sha256(parts.bare), vkeys)
    if judged.outcome not in ("verified", "unchecked"):
        return judged
    return _file(json.loads(pdf_note.attached(parts.bare)), parts.note, sha256(parts.bare), vkeys)


def _xlsx(data: bytes, vkeys: Sequence[str]) -> Verified:
    from host.reports.cells import cells_of, difference

    cells, proof = cells_of(data)
    if not proof:
        return Verified("unsigned")
    kept = json.loads(proof)
    file = json.loads(kept["file"])
    found = _file(file, file["note"], sha256(encode(kept["cells"])), vkeys)
    if found.outcome in ("verified", "unchecked") and (where := difference(kept["cells"], cells)) is not None:
        return replace(found, outcome="altered", why=where)
    return found


def _json(data: bytes, vkeys: Sequence[str]) -> Verified:
    found: dict[str, Any] = json.loads(data.decode())
    return _file(found, found["note"], None, vkeys)


def _file(found: dict[str, Any], note: str, page: str | None, vkeys: Sequence[str]) -> Verified:
    """The JSON form, alone or within another, whose `page` is the hash of what the other shows."""
    if found["form"] != FORM or found["report"]["form"] != FORM or set(found) != {"form", "report", "bodies", "note"}:
        raise NoteError("this is no file of a report")
    leaves = {name: digest64(body) for name, body in found["bodies"].items()}
    if leaves != found["report"]["leaves"]:
        return Verified("altered", why="records")
    if not note:
        return Verified("unsigned")
    return _judged(note, encode(found["report"]), page, vkeys)


def _judged(note: str, twin: bytes | None, page: str | None, vkeys: Sequence[str]) -> Verified:
    signers: tuple[str, ...] = ()
    stated = unsigned_text(note)
    if vkeys:
        try:
            stated, signers = opened(note, vkeys)
        except NoteError as error:
            return Verified("altered", stated, why=str(error))
    if twin is not None and stated.twin != sha256(twin):
        return Verified("altered", stated, signers, "numbers")
    if stated.page != page:
        return Verified("altered", stated, signers, "page")
    if twin is not None and (why := proofs.fault(json.loads(twin), vkeys)):
        return Verified("altered", stated, signers, why)
    return Verified("verified" if vkeys else "unchecked", stated, signers)


_CHECKS: Final[dict[Form, Callable[[bytes, Sequence[str]], Verified]]] = {
    "html": _page, "json": _json, "pdf": _pdf, "xlsx": _xlsx,
}  # fmt: skip
