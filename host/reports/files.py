"""A report into a file, by the file's ending; and a file back, to be verified."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from calibration.reports.document import Report
from calibration.reports.words import Words
from host.reports import html
from host.reports.twin import Statement, canonical, file_of, statement
from protocols.record import encode

FORMS: Final = (".html", ".xlsx", ".pdf", ".json")
EXTRA: Final = "plumeline[reports]"
# Signs a statement, or gives None where no key is at hand.
Sign = Callable[[Statement], str | None]


class ExtraMissingError(Exception):
    """The libraries of a form of report are not installed; `form` is the file's ending."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self.form = form


def write(report: Report, path: Path, sign: Sign) -> bool:
    """Write one file; whether it is signed. Raises ValueError for another ending, ExtraMissingError, OSError."""
    form = path.suffix.lower()
    twin = canonical(report)
    if form == ".html":
        made = html.page(report, twin)
        note = sign(statement(report, twin, made.encode()))
        data = html.with_note(made, note, Words(report.lang)).encode()
    elif form == ".json":
        note = sign(statement(report, twin))
        data = file_of(twin, report.bodies, note)
    elif form in (".xlsx", ".pdf"):
        note, data = _printed(form, report, twin, sign)
    else:
        raise ValueError(f"{path.name}: a report is {', '.join(FORMS)}")
    path.write_bytes(data)
    return note is not None


def _printed(form: str, report: Report, twin: bytes, sign: Sign) -> tuple[str | None, bytes]:
    try:
        return _workbook(report, twin, sign) if form == ".xlsx" else _pdf(report, twin, sign)
    except ImportError as error:
        if error.name not in ("xlsxwriter", "fpdf", "openpyxl"):
            raise
        raise ExtraMissingError(form) from error


def _pdf(report: Report, twin: bytes, sign: Sign) -> tuple[str | None, bytes]:
    """A PDF whose every byte is signed, the JSON form attached."""
    from host.reports.pdf import document
    from host.reports.pdf_note import with_note

    attached = file_of(twin, report.bodies, None)
    bare = document(report, attached, statement(report, twin).text)
    note = sign(statement(report, twin, bare))
    return note, document(report, attached, None) if note is None else with_note(bare, note)


def _workbook(report: Report, twin: bytes, sign: Sign) -> tuple[str | None, bytes]:
    """A workbook whose cells are signed: they, the JSON form and the note go with it in a sheet of their own."""
    from host.reports.cells import cells_of
    from host.reports.xlsx import workbook

    said = statement(report, twin).text
    cells, _ = cells_of(workbook(report, said))
    note = sign(statement(report, twin, encode(cells)))
    if note is None:
        return None, workbook(report, None)
    proof = {"cells": cells, "file": file_of(twin, report.bodies, note).decode()}
    return note, workbook(report, said, encode(proof))
