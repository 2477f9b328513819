"""A report into a file, by the file's ending; and a file back, to be verified."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from calibration.reports.document import Report
from calibration.reports.words import Words
from host.reports import html
from host.reports.twin import Statement, canonical, file_of, statement

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
        note = sign(statement(report, twin))
        data = _printed(form, report, note)
    else:
        raise ValueError(f"{path.name}: a report is {', '.join(FORMS)}")
    path.write_bytes(data)
    return note is not None


def _printed(form: str, report: Report, note: str | None) -> bytes:
    try:
        if form == ".xlsx":
            from host.reports.xlsx import workbook

            return workbook(report, note)
        from host.reports.pdf import document

        return document(report, note)
    except ImportError as error:
        if error.name not in ("xlsxwriter", "fpdf"):
            raise
        raise ExtraMissingError(form) from error
