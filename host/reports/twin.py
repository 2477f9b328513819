"""The signed twin of a report: canonical JSON, its hash, and the note a station or centre signs about it.

The note's text is four lines or five: origin `plumeline/{id}/report`, what the report is of (`kind since until`), the
SHA-256 of the twin and, of a page, that of the page without its note; hashes in base64. The note is a C2SP signed note.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from calibration.reports.document import Report, record_name
from metrology.periods import iso
from protocols.record import encode
from protocols.tlog import NoteError, Verifier, leaf_hash, open_note

FORM = "plumeline-report/1"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed of a report: of which station, kind and span, and the hashes (SHA-256, base64)."""

    station: str
    kind: str
    since: str
    until: str
    twin: str
    page: str | None = None

    @property
    def text(self) -> str:
        """The note's text."""
        lines = [f"plumeline/{self.station}/report", f"{self.kind} {self.since} {self.until}", f"twin {self.twin}"]
        return "\n".join([*lines, *([f"page {self.page}"] if self.page else [])]) + "\n"

    @classmethod
    def of(cls, text: str) -> "Statement":
        """From a note's text. Raises NoteError."""
        words = [line.split(" ") for line in text.removesuffix("\n").split("\n")]
        match words:
            case [[origin], [kind, since, until], ["twin", twin], *rest] if len(rest) <= 1:
                page = rest[0] if rest else ["page", None]
                program, _, station = origin.removesuffix("/report").partition("/")
                if len(page) == 2 and page[0] == "page" and program == "plumeline" and origin.endswith("/report"):
                    return cls(station, kind, since, until, twin, page[1])
        raise NoteError("the note is of no report")


def canonical(report: Report) -> bytes:
    """The twin (RFC 8785), with the leaf hashes of the records whose bodies go with it."""
    leaves = {record_name(one): digest64(body) for one, body in report.bodies.items()}
    return encode({"form": FORM, **report.fields(), "leaves": leaves})


def digest64(body: str) -> str:
    """The leaf hash of a record's body, base64."""
    return base64.b64encode(leaf_hash(body.encode())).decode()


def sha256(data: bytes) -> str:
    """SHA-256, base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def statement(report: Report, twin: bytes, page: bytes | None = None) -> Statement:
    """What is to be signed of a report."""
    head = report.header
    return Statement(
        head.station,
        report.kind,
        iso(head.since),
        iso(head.until),
        sha256(twin),
        None if page is None else sha256(page),
    )


def opened(note: str, vkeys: Iterable[str]) -> tuple[Statement, tuple[str, ...]]:
    """The statement of a note and who signed it. Raises NoteError."""
    text, signers = open_note(note, [Verifier.from_vkey(vkey) for vkey in vkeys])
    return Statement.of(text), signers


def unsigned_text(note: str) -> Statement:
    """What a note says, its signature unseen. Raises NoteError."""
    text, blank, _ = note.partition("\n\n")
    if not blank:
        raise NoteError("no signatures")
    return Statement.of(f"{text}\n")


def file_of(twin: bytes, bodies: Mapping[Any, str], note: str | None) -> bytes:
    """The report as one JSON file: twin, bodies and note."""
    named = {record_name(one): body for one, body in bodies.items()}
    return encode({"form": FORM, "report": json.loads(twin), "bodies": named, "note": note or ""}) + b"\n"
