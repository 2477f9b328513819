"""Analysis layers of emission rates: what was made again, beside what was reported, hour by hour alike."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from calibration.reports.document import Column, RecordId, Row, Table
from calibration.reports.frame import Frame, named
from calibration.reports.hours import HOUR, Fields, Standings, State, state_of
from calibration.reports.stacks import UNIT, Emitted, is_rate
from metrology.layers import base_of, is_layer
from metrology.periods import parse_iso
from metrology.stack.hours import HourState

KG_PER_T = 1000.0


class Layers:
    """The newest rows of layers of rates in the period, found on the way of the averages."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._rows: dict[str, dict[datetime, tuple[Fields, RecordId]]] = {}

    def tapped(self, averages: Iterable[Fields]) -> Iterator[Fields]:
        """The averages on their way; a later revision comes later."""
        for fields in averages:
            for series, row in fields["rows"].items():
                if is_layer(series) and is_rate(series) and row["u"] == UNIT and self._frame.wants(base_of(series)):
                    start = parse_iso(fields["start"])
                    if self._frame.holds(start):
                        self._rows.setdefault(series, {})[start] = row, (fields["epoch"], fields["seq"])
            yield fields

    def table(self, rates: Mapping[str, Emitted], standings: Standings) -> Table | None:
        """Both amounts over the hours that were made again; None where none was."""
        words = self._frame.words
        columns = (
            Column(words("head.gas-emitted")),
            Column(words("head.made-again"), "number", "h", 0),
            Column(words("head.as-reported"), "number", "h", 0),
            Column(words("head.as-reported"), "number", "t"),
            Column(words("head.analysis"), "number", "h", 0),
            Column(words("head.analysis"), "number", "t"),
            Column(words("head.difference"), "number", "t"),
            Column(words("head.difference"), "number", "%", 2),
        )
        rows = [
            self._row(series, own, rates[base_of(series)], standings)
            for series, own in sorted(self._rows.items())
            if base_of(series) in rates
        ]
        return self._frame.table("table.layers", columns, rows, [words("note.layers")]) if rows else None

    def _row(
        self, series: str, own: Mapping[datetime, tuple[Fields, RecordId]], one: Emitted, standings: Standings
    ) -> Row:
        reported = [hour.amount for hour in one.hours if hour.start in own and hour.state is HourState.VALID]
        again = [
            float(row["sum"] if row.get("sum") is not None else row["mean"])
            for start, (row, _) in own.items()
            if state_of(row, standings.of(base_of(series), start, start + HOUR)) in (State.VALID, State.SUSPECT)
        ]
        before, after = math.fsum(value or 0.0 for value in reported) / KG_PER_T, math.fsum(again) / KG_PER_T
        percent = 100.0 * (after - before) / before if before else None
        records = [record for _, record in own.values()]
        cells = (
            self._frame.words.series(base_of(series)), len(own), len(reported), before, len(again), after,
            after - before, percent,
        )  # fmt: skip
        return Row(cells, named([*records[:1], *records[-1:]]), (series, min(own)))
