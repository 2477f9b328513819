"""The cells of a workbook as what is signed of it: each by its sheet and place, with its value, formula and format.

A spreadsheet that stores a file again packs it otherwise and may round the last digits, so what is compared are numbers
to twelve significant digits and instants to the second. Charts, colours, widths and what is hidden are no part of it.
"""

import base64
import io
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

from host.reports.xlsx import PROOF_SHEET
from protocols.tlog import NoteError

Cells = Mapping[str, str]
PROOF_BYTES_MAX: Final = 256 * 1024 * 1024
# The workbook of a year of hours unpacks to some tens of MiB.
UNPACKED_BYTES_MAX: Final = 256 * 1024 * 1024
MEMBERS_MAX: Final = 2000
# Of one sheet, empty ones within its corners too.
CELLS_MAX: Final = 5_000_000
_PIECE: Final = 1024 * 1024
_GENERAL: Final = "General"
_COMES_TO: Final = " → "


def cells_of(data: bytes) -> tuple[Cells, bytes]:
    """Cells by `Sheet!A1` as text, and the proof that goes with them (empty: none).

    Raises NoteError for what is no workbook, or a larger one than any report.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    _bounded(data)
    try:
        formulas = load_workbook(io.BytesIO(data))
        results = load_workbook(io.BytesIO(data), data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise NoteError(f"this is no workbook: {error}") from None
    found: dict[str, str] = {}
    for sheet in formulas.worksheets:
        if sheet.title == PROOF_SHEET:
            continue
        if sheet.max_row * sheet.max_column > CELLS_MAX:
            raise NoteError(f"the sheet {sheet.title} reaches over more than {CELLS_MAX} cells")
        shown = results[sheet.title]
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is not None:
                    found[f"{sheet.title}!{cell.coordinate}"] = _text(cell, shown[cell.coordinate].value)
    return found, _proof(formulas)


def _bounded(data: bytes) -> None:
    """Refuse what would unpack to more than `UNPACKED_BYTES_MAX`, before anything of it is read. Raises NoteError.

    Sizes are counted by unpacking, in pieces: what the file says of itself may be wrong.
    """
    total = 0
    try:
        with ZipFile(io.BytesIO(data)) as packed:
            for one in packed.infolist()[: MEMBERS_MAX + 1]:
                with packed.open(one) as member:
                    while total <= UNPACKED_BYTES_MAX and (piece := member.read(_PIECE)):
                        total += len(piece)
            if total > UNPACKED_BYTES_MAX or len(packed.infolist()) > MEMBERS_MAX:
                raise NoteError(f"this workbook unpacks to more than {UNPACKED_BYTES_MAX // 1024**2} MiB")
    except (BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise NoteError(f"this is no workbook: {error}") from None


def _proof(book: Any) -> bytes:
    if PROOF_SHEET not in book.sheetnames:
        return b""
    text = "".join(str(row[0].value) for row in book[PROOF_SHEET].iter_rows(max_col=1))
    try:
        return zlib.decompressobj().decompress(base64.b64decode(text, validate=True), PROOF_BYTES_MAX)
    except (ValueError, zlib.error) as error:
        raise NoteError(f"the proof in the workbook cannot be read: {error}") from None


def _text(cell: Any, result: Any) -> str:
    """A cell's value; of a formula also what it came to; of a number also how it is shown."""
    formula = f"{cell.value}{_COMES_TO}" if cell.data_type == "f" else ""
    if formula and result is None:
        return formula
    if isinstance(result, datetime):
        said = result.isoformat(timespec="seconds")
    elif isinstance(result, int | float) and not isinstance(result, bool):
        said = f"{float(result):.12g}"
    else:
        return f"{formula}{json.dumps(str(result), ensure_ascii=False)}"
    how = "" if cell.number_format == _GENERAL else f" ({cell.number_format})"
    return f"{formula}{said}{how}"


def difference(signed: Cells, found: Cells) -> str | None:
    """The first cell, in the order of names, that is not as signed: where, what it is and what it was.

    A signed formula that some program stored without its result is as signed: it is of cells that are.
    """
    for place in (*signed, *(one for one in found if one not in signed)):
        is_now, was = found.get(place), signed.get(place)
        if is_now != was and not (is_now and was and is_now.endswith(_COMES_TO) and was.startswith(is_now)):
            return f"{place}: {found.get(place, '-')}, signed {signed.get(place, '-')}"
    return None
