"""Where a correction comes from: coefficients, the run that found them, its points, the cylinders and certificates."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from agent.analysis.ledger import Seals
from host.history import History
from metrology.periods import EPOCH, parse_iso

Fields = Mapping[str, Any]
# No run takes longer; its records lie before its coefficients and a little behind.
RUN_MAX: Final = timedelta(days=2)
BEHIND: Final = timedelta(hours=1)
TABLE: Final = ("chip", "board", "measurand", "per_degC", "per_percent", "temperature", "source", "who", "reason")
CURVE: Final = ("model", "beta", "covariance", "residual_sd", "chi_square", "dof", "unit")
POINT: Final = ("role", "gas", "n", "mean", "sd", "stable", "assigned", "uncertainty", "scale", "unit", "from", "to")


class Lineage:
    """Asks a history for what stands behind the ids in an average's `cal`."""

    def __init__(self, history: History, seals: Seals) -> None:
        self._history = history
        self._seals = seals

    def place(self, fields: Fields) -> dict[str, Any]:
        """Number and time of a record, and whether its body is as a checkpoint has it."""
        record = [fields["epoch"], fields["seq"]]
        return {"record": record, "t": fields["t"], "seal": self._seals.of(fields)}

    def truly(self, fields: Fields) -> Fields:
        """The record as the log itself has it: an index holds copies."""
        return self._history.record(fields["epoch"], fields["seq"], {fields["kind"]}) or fields

    def of(self, ids: Iterable[str], known: Mapping[str, Fields]) -> list[dict[str, Any]]:
        """One row for each id; `known` holds the coefficients records by id."""
        return [self._one(name, known.get(name)) for name in ids]

    def _one(self, name: str, fields: Fields | None) -> dict[str, Any]:
        if fields is None:
            return {"id": name, "record": None}
        fields = self.truly(fields)
        found = {"id": name, **self.place(fields), **{key: fields.get(key) for key in ("zero", "slope", "from")}}
        found |= {key: fields[key] for key in (*CURVE, *TABLE, "density", "replaces", "recompute") if key in fields}
        return {**found, "run": self._run(fields)} if "run" in fields else found

    def _run(self, coefficients: Fields) -> dict[str, Any]:
        """The run: who, which gases, and the points of the series."""
        at, run = parse_iso(coefficients["t"]), coefficients["run"]
        told = self._history.told("calibration", at - RUN_MAX, at + BEHIND)
        rows = [self.truly(row) for row in told if row.get("run") == run]
        started = next((row for row in rows if row["what"] == "run-started"), None)
        gases = {one["gas"]: one for one in (started or {}).get("gases", ()) if "gas" in one}
        points = [row for row in rows if row["what"] == "point" and row["series"] == coefficients["series"]]
        found: dict[str, Any] = {"id": run, "sequence": coefficients["sequence"], "points": []}
        if started is not None:
            found |= {**self.place(started), "who": started.get("who"), "purpose": started.get("purpose")}
        for row in points:
            cylinder = self._cylinder(row["gas"], gases.get(row["gas"], {}), row)
            found["points"].append({**self.place(row), **{key: row.get(key) for key in POINT}, "cylinder": cylinder})
        return found

    def _cylinder(self, gas: str, started: Fields, point: Fields) -> dict[str, Any]:
        """The cylinder by the run's own words, and where the register knows it the record behind."""
        keys = ("number", "fill", "certificate", "expired", "cautions")
        found = {key: point.get(key, started.get(key)) for key in keys}
        number, at = found["number"], parse_iso(point["t"])
        rows = [
            row
            for row in self._history.told("calibration", EPOCH, at, ("cylinder",))
            if number is not None and (row.get("number"), row.get("fill")) == (number, found["fill"])
        ]
        if rows:
            found["register"] = [
                {**self.place(self.truly(row)), **{key: row.get(key) for key in ("act", "who", "reason")}}
                for row in rows
            ]
        return {"gas": gas, **found}
