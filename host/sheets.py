"""Tables that people keep: CSV or XLSX with a head row, read strictly by a table of columns, each cell with its place.

Keep to what the table names: another column, a unit in a cell or a date nobody can read is a problem, not a guess.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from host.explain import nearest
from host.problems import ConfigErrors, Lang, Problem, sentences, shown

BYTES_MAX: Final = 20 * 1024 * 1024
ROWS_MAX: Final = 200_000
PROBLEMS_MAX: Final = 50
_DAY: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")

Cell = str | float | datetime | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its name in Chinese, what its cells hold, and whether every row must have it."""

    name: str
    zh: str
    kind: str
    required: bool


@cache
def columns(sheet: str) -> tuple[Column, ...]:
    """Columns of a kind of sheet, from the table beside this module."""
    text = resources.files("host").joinpath("sheet_columns.csv").read_text(encoding="utf-8")
    return tuple(
        Column(row["column"], row["zh"], row["kind"], row["required"] == "yes")
        for row in csv.DictReader(text.splitlines())
        if row["sheet"] == sheet
    )


class Sheet:
    """A table file of one kind. Problems are gathered in `problems`; `done` raises them.

    Times without a zone are of `offset` (a station's own day); the `end` of a plain date is the end of that day.
    """

    def __init__(self, path: str, sheet: str, lang: Lang, offset: timedelta = timedelta(hours=8)) -> None:
        self.path = path
        self.lang = lang
        self.problems: list[Problem] = []
        self._offset = offset
        self._columns = {column.name: column for column in columns(sheet)}
        self._at: dict[str, int] = {}

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Row number (as a spreadsheet counts) and values by column; rows with a bad cell are left out."""
        cells = iter(self._cells())
        self._head(next(cells, (1, ()))[1])
        if self.problems:
            return
        for number, row in cells:
            if number > ROWS_MAX:
                self.refuse(number, None, "sheet-long", limit=ROWS_MAX)
                return
            if any(cell not in (None, "") for cell in row):
                before = len(self.problems)
                values = {name: self._value(number, name, row) for name in self._at}
                if len(self.problems) == before:
                    yield number, values
            if len(self.problems) >= PROBLEMS_MAX:
                return

    def refuse(self, row: int, column: str | None, code: str, **values: Any) -> None:
        """Note a problem of a cell, or of a whole row."""
        what, remedy = sentences().say(code, self.lang, **values)
        at = self._at.get(column or "", 0) + 1
        self.problems.append(Problem(self.path, row, at, "error", code, column or "", what, remedy))

    def done(self) -> None:
        """Raise ConfigErrors where there was any problem."""
        if self.problems:
            raise ConfigErrors(self.problems)

    def _cells(self) -> Iterator[tuple[int, Sequence[Cell]]]:
        path = Path(self.path)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return self.refuse(1, None, "sheet-missing", path=self.path)
        except OSError as error:
            return self.refuse(1, None, "file-unreadable", path=self.path, reason=error.strerror)
        if len(data) > BYTES_MAX:
            return self.refuse(1, None, "sheet-large", limit=BYTES_MAX)
        if data.startswith(b"PK"):
            yield from self._workbook(data)
            return None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return self.refuse(1, None, "file-encoding", byte=error.start)
        try:
            yield from enumerate(csv.reader(io.StringIO(text)), 1)
        except csv.Error as error:
            self.refuse(1, None, "sheet-unreadable", reason=error)

    def _workbook(self, data: bytes) -> Iterator[tuple[int, Sequence[Cell]]]:
        """Rows of the first sheet of a workbook, values as last calculated."""
        import zipfile

        try:
            import openpyxl
        except ImportError:
            return self.refuse(1, None, "sheet-extra")
        try:
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            yield from enumerate(book.worksheets[0].iter_rows(values_only=True), 1)
        except (zipfile.BadZipFile, KeyError, ValueError, IndexError) as error:
            self.refuse(1, None, "sheet-unreadable", reason=error)

    def _head(self, row: Sequence[Cell]) -> None:
        names = {column.name.lower(): column.name for column in self._columns.values()}
        names |= {column.zh: column.name for column in self._columns.values()}
        for at, cell in enumerate(row):
            title = str(cell or "").strip()
            name = names.get(title.lower(), names.get(title))
            if title and (name is None or name in self._at):
                self._at[""] = at
                near = nearest(title, names) or ", ".join(self._columns)
                self.refuse(
                    1, "", "sheet-column" if name is None else "sheet-column-twice", name=shown(title), near=near
                )
                del self._at[""]
            elif name:
                self._at[name] = at
        for column in self._columns.values():
            if column.required and column.name not in self._at and not self.problems:
                self.refuse(1, None, "sheet-column-missing", name=column.name, zh=column.zh)

    def _value(self, number: int, name: str, row: Sequence[Cell]) -> Any:
        cell = row[self._at[name]] if self._at[name] < len(row) else None
        cell = cell.strip() if isinstance(cell, str) else cell
        column = self._columns[name]
        if cell in (None, ""):
            if column.required:
                self.refuse(number, name, "sheet-cell-empty", name=name)
            return None
        read = {"number": _number, "time": self._time, "end": self._end, "text": _text}[column.kind]
        try:
            return read(cell)
        except (ValueError, OverflowError):
            self.refuse(
                number, name, f"sheet-{'time' if column.kind == 'end' else column.kind}", value=shown(str(cell))
            )
            return None

    def _time(self, cell: Cell) -> datetime:
        """Aware UTC of a cell: a date and time of a spreadsheet, or ISO 8601 text."""
        if isinstance(cell, date) and not isinstance(cell, datetime):
            cell = datetime.combine(cell, time())
        found = cell if isinstance(cell, datetime) else datetime.fromisoformat(_padded(str(cell)))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC) - self._offset

    def _end(self, cell: Cell) -> datetime:
        """The same, exclusive: of a plain date the end of that day."""
        found = self._time(cell)
        plain = _DAY.fullmatch(_padded(cell)) if isinstance(cell, str) else (found + self._offset).time() == time()
        return found + timedelta(days=1) if plain else found


def _padded(text: str) -> str:
    """2026-1-5 and 2026/1/5 as people type them, in ISO form."""
    day, *rest = text.replace("/", "-").split(maxsplit=1)
    parts = day.split("-")
    if len(parts) == 3 and all(part.isdecimal() for part in parts):
        day = f"{parts[0]}-{parts[1]:0>2}-{parts[2]:0>2}"
    return " ".join([day, *rest])


def _number(cell: Cell) -> float:
    if isinstance(cell, bool | date):
        raise ValueError(cell)
    value = float(str(cell))
    if not math.isfinite(value):
        raise ValueError(cell)
    return value


def _text(cell: Cell) -> str:
    # A unit called 1 is a number in a spreadsheet.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
