"""Calibration tables of micro-sensor boards: what each chip's sensors are corrected by, since when, and who said so.

A table belongs to the board's own hardware id, not to the name of the place it hangs at. Each row is a calibration
record of the kind `coefficients` with a `chip`; the tables are what those records say, and nothing else is kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from calibration.correction import Coefficients, Term, succeed
from metrology.periods import iso, parse_iso

TEMPERATURE_CENTRE: Final = 25.0
HUMIDITY_CENTRE: Final = 50.0
HUMIDITY: Final = "relative_humidity"
# Members of a record that say what a row is worth.
WORTH: Final = ("rmse", "colocation")


@dataclass(frozen=True, slots=True)
class Row:
    """`value = (x - zero) * slope + per_degC * (T - 25) + per_percent * (RH - 50)`, T and RH of the same scan.

    `temperature` is the measurand T is taken from; None where there is no such term. `board` is the instrument whose
    readings the chip delivered then, None where it delivered none at this station. `worth` are members of its record
    that say what it is worth (`agent.firmware.colocation`), None where nobody measured that.
    """

    id: str
    chip: str
    measurand: str
    zero: float
    slope: float
    per_degC: float
    per_percent: float
    temperature: str | None
    valid_from: datetime
    source: str
    who: str
    reason: str
    board: str | None
    replaces: str | None
    worth: Mapping[str, Any] | None = None

    @property
    def values(self) -> tuple[float, float, float, float]:
        """What it corrects by."""
        return self.zero, self.slope, self.per_degC, self.per_percent

    def record(self) -> dict[str, Any]:
        """Members of its record."""
        series = {"series": f"{self.board}.{self.measurand}", "board": self.board} if self.board else {}
        return {
            "what": "coefficients", "id": self.id, "chip": self.chip, "measurand": self.measurand, **series,
            "zero": self.zero, "slope": self.slope, "per_degC": self.per_degC, "per_percent": self.per_percent,
            "temperature": self.temperature, "from": iso(self.valid_from), "source": self.source, "who": self.who,
            "reason": self.reason, "replaces": self.replaces, **(self.worth or {}),
        }  # fmt: skip

    def coefficients(self, board: str) -> Coefficients:
        """The correction of a board's series by this row."""
        terms = []
        if self.temperature is not None:
            terms.append(Term(self.temperature, self.per_degC, TEMPERATURE_CENTRE))
        if self.per_percent:
            terms.append(Term(HUMIDITY, self.per_percent, HUMIDITY_CENTRE))
        series = f"{board}.{self.measurand}"
        return Coefficients(self.id, series, self.zero, self.slope, self.valid_from, terms=tuple(terms))


def row_of(fields: Mapping[str, Any]) -> Row:
    """Inverse of `Row.record`."""
    return Row(
        fields["id"], fields["chip"], fields["measurand"], fields["zero"], fields["slope"], fields["per_degC"],
        fields["per_percent"], fields["temperature"], parse_iso(fields["from"]), fields["source"], fields["who"],
        fields["reason"], fields.get("board"), fields["replaces"],
        {key: fields[key] for key in WORTH if key in fields} or None,
    )  # fmt: skip


class Tables:
    """All rows of a station by chip and measurand, in the order in which they were set."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        """From coefficients records, oldest first; those without a chip are somebody else's."""
        self._rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for fields in records:
            if "chip" in fields:
                self.add(row_of(fields))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, row: Row) -> None:
        """Take a row that was recorded."""
        self._rows[row.chip, row.measurand].append(row)

    @property
    def chips(self) -> set[str]:
        """Chips with a table."""
        return {chip for chip, _ in self._rows}

    def history(self, chip: str) -> list[Row]:
        """All rows of a chip, oldest first."""
        return [row for (own, _), rows in self._rows.items() if own == chip for row in rows]

    def in_force(self, chip: str, at: datetime) -> dict[str, Row]:
        """The row of each measurand that is valid at an instant."""
        found = {}
        for (own, measurand), rows in self._rows.items():
            valid = [row for row in rows if row.valid_from <= at] if own == chip else []
            if valid:
                found[measurand] = max(valid, key=lambda row: row.valid_from)
        return found

    def newest(self, chip: str, measurand: str) -> Row | None:
        """The row set last, which may not be valid yet."""
        rows = self._rows.get((chip, measurand))
        return rows[-1] if rows else None

    def free_id(self, chip: str, measurand: str, valid_from: datetime) -> tuple[str, datetime]:
        """An id nobody has, and the instant in it: two rows of one instant could not be told apart."""
        valid_from = parse_iso(iso(valid_from))  # as its record will have it
        taken = {row.valid_from for row in self._rows.get((chip, measurand), ())}
        while valid_from in taken:
            valid_from += timedelta(milliseconds=1)
        return f"{chip}.{measurand}.{iso(valid_from)}", valid_from

    def corrections(self, chip: str, board: str) -> Iterator[Coefficients]:
        """What the series of a board with this chip are corrected by, older rows behind the newest."""
        for (own, _), rows in self._rows.items():
            chain = succeed(row.coefficients(board) for row in rows) if own == chip else None
            if chain:
                yield chain
