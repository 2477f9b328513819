"""What scans are corrected by when they are read back: as the station did, record by record."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from agent.firmware.chips import SEEN
from agent.firmware.tables import Tables
from calibration.correction import Coefficients, apply, coefficients_of, succeed
from metrology.reading import Measurement, Reading, Scan

Fields = Mapping[str, Any]
# Records that say what corrects; kind and `what`.
TOLD: Final = (("calibration", ("coefficients",)), ("event", SEEN))


class Corrections(Protocol):
    """Corrects readings; told every record on the way, in the order of the log."""

    def take(self, fields: Fields) -> None:
        """Take note of a record; most are not about corrections."""

    def measure(self, reading: Reading, scan: Scan) -> Measurement:
        """The measurement of a reading of a scan."""

    def by_id(self, series: str, name: str) -> Coefficients | None:
        """The coefficients that a measurement names, where there are any."""


class AsMeasured:
    """The coefficients that were in force when a scan came: those whose record stands before it in the log."""

    def __init__(self, records: Iterable[Fields] = ()) -> None:
        self._rows: dict[str, list[Coefficients]] = {}
        self._tables = Tables(())
        self._chips: dict[str, str] = {}
        self._chains: dict[str, Coefficients | None] = {}
        self.records: dict[str, Fields] = {}
        for fields in records:
            self.take(fields)

    def take(self, fields: Fields) -> None:
        """See `Corrections.take`."""
        what = fields.get("what")
        if fields["kind"] == "calibration" and what == "coefficients":
            self.records[fields["id"]] = fields
            if "chip" in fields:
                self._tables = Tables([row for row in self.records.values() if "chip" in row])
            else:
                self._rows.setdefault(fields["series"], []).append(coefficients_of(fields))
            self._chains.clear()
        elif fields["kind"] == "event" and what in SEEN:
            self._chips[fields["board"]] = fields["chip"]
            self._chains.clear()

    def measure(self, reading: Reading, scan: Scan) -> Measurement:
        """See `Corrections.measure`."""
        return apply(reading, self.chain(reading.series), scan.readings)

    def by_id(self, series: str, name: str) -> Coefficients | None:
        """The coefficients of a series by their id; None where they are not on record before."""
        newest = self.chain(series)
        return next((one for one in newest.back() if one.id == name), None) if newest else None

    def chain(self, series: str) -> Coefficients | None:
        """The newest coefficients of a series with those before; of a board, those of the chip behind its name."""
        if series not in self._chains:
            board = series.partition(".")[0]
            by_chip = self._tables.corrections(self._chips.get(board, ""), board)
            of_chip = next((one for one in by_chip if one.series == series), None)
            self._chains[series] = of_chip or succeed(self._rows.get(series, ()))
        return self._chains[series]
