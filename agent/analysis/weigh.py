"""The budget of an average of a station: what is on record, gathered for `agent.analysis.uncertain`."""

from collections.abc import Mapping
from datetime import timedelta
from statistics import fmean
from typing import Any, Final

from pydantic import ValidationError

from agent.analysis.again import is_member
from agent.analysis.trace import Question, Tracer
from agent.analysis.uncertain import Found, of_checks, of_coefficients, of_drift, of_scans, told
from agent.config import Config
from agent.firmware.tables import HUMIDITY
from calibration.correction import brought
from calibration.density import AtDensity, at_density_of
from metrology.budget import Budget
from metrology.layers import base_of
from metrology.measurand import catalogue
from metrology.periods import EPOCH, parse_iso
from metrology.reading import Average
from protocols.record import averages_of, scan_of

Fields = Mapping[str, Any]
LOOK_BACK: Final = timedelta(days=400)
CHECKS: Final = ("drift", "standard-check", "point")


def uncertainty(tracer: Tracer, question: Question) -> dict[str, Any]:
    """The budget of an average. Raises NoAverageError."""
    average = tracer.found(question)
    row = average["rows"][question.series]
    head = {"series": question.series, "start": average["start"], "period_s": question.period_s, "rev": row["rev"]}
    if row["mean"] is None:
        return {**head, **told(Found(Budget(), ("value",)), None, row["u"])}
    config = tracer.config_before(average)
    if base_of(question.series).partition(".")[0] in (config or {}).get("document", {}).get("stacks", {}):
        return {**head, **told(_of_stack(tracer, question, average, config or {}), row["mean"], row["u"])}
    values = _values(tracer, question, average)
    found = of_scans(values)
    if catalogue()[question.series.partition(".")[2]].averaging == "circular":
        found = Found(Budget(), ("noise",))
    found = _of_calibration(tracer, question, average, row, values, found)
    return {**head, **told(found, row["mean"], row["u"])}


def _values(tracer: Tracer, question: Question, average: Fields, density: AtDensity | None = None) -> list[float]:
    """Valid indications of the period, at a stated density where there is one."""
    instrument, _, measurand = base_of(question.series).partition(".")
    found = []
    for fields in tracer.history.scans((instrument,), parse_iso(average["start"]), parse_iso(average["end"])):
        readings = scan_of(fields).readings
        reading = next((one for one in readings if one.measurand == measurand), None)
        if reading is not None and is_member(reading) and (value := brought(reading, density, readings)) is not None:
            found.append(value)
    return found


def _of_calibration(
    tracer: Tracer, question: Question, average: Fields, row: Fields, values: list[float], found: Found
) -> Found:
    end, series = parse_iso(average["end"]), base_of(question.series)
    said = list(tracer.history.told("calibration", end - LOOK_BACK, end, CHECKS))
    said = [one for one in said if one["series"] == series]
    points = [one for one in said if one["what"] == "point"]
    ids = row.get("cal", ())
    if not ids:
        checks = [one for one in said if one["what"] != "point"]
        return found.plus(of_checks(checks, points, row["mean"]))
    known = {one["id"]: one for one in tracer.history.told("calibration", EPOCH, end + LOOK_BACK, ("coefficients",))}
    last = known.get(ids[-1].rpartition("/")[2])
    if last is None or not values:
        return found.plus(Found(Budget(), ("calibration",)))
    own = [one for one in points if one["run"] == last.get("run")]
    if not own and "run" in last:
        at = parse_iso(last["t"])
        near = tracer.history.told("calibration", at - timedelta(days=2), at, ("point",))
        own = [one for one in near if one["run"] == last["run"] and one["series"] == series]
    if density := at_density_of(last.get("density")):
        values = _values(tracer, question, average, density)
        found = of_scans(values).plus(Found(Budget(), ("cell pressure and temperature",)))
    if not values:
        return found
    found = found.scaled_by(_slope(last)).plus(
        of_coefficients(last, own, fmean(values), _around(tracer, question, average, last))
    )
    drifts = [one for one in said if one["what"] == "drift"]
    return found.plus(of_drift(drifts, last["from"], average["end"]))


def _around(tracer: Tracer, question: Question, average: Fields, coefficients: Fields) -> dict[str, float]:
    """Means of what a board's table has terms of."""
    if "chip" not in coefficients:
        return {}
    instrument = base_of(question.series).partition(".")[0]
    found: dict[str, list[float]] = {coefficients["temperature"] or HUMIDITY: [], HUMIDITY: []}
    for fields in tracer.history.scans((instrument,), parse_iso(average["start"]), parse_iso(average["end"])):
        for reading in scan_of(fields).readings:
            if reading.measurand in found and reading.value is not None and is_member(reading):
                found[reading.measurand].append(reading.value)
    return {name: fmean(values) for name, values in found.items() if values}


def _slope(coefficients: Fields) -> float:
    """How a change of the indication changes the value, near enough for a budget."""
    beta = coefficients.get("beta")
    return float(beta[1] if beta else coefficients["slope"])


def _of_stack(tracer: Tracer, question: Question, average: Fields, config: Fields) -> Found:
    """The budget of what a stack derives (`metrology.stack.hourly`)."""
    from agent.values.derived import plans
    from metrology.stack.hourly import with_budget

    try:
        plan = plans(Config.model_validate(config["document"]))[question.series.partition(".")[0]]
    except ValidationError:
        return Found(Budget(), ("configuration",))
    start = parse_iso(average["start"])
    rows = tracer.history.averages(question.period_s, start, start + timedelta(milliseconds=1))
    averages: dict[str, Average] = {}
    for fields in rows:
        averages |= {one.series: one for one in averages_of(fields)}
    found = with_budget(plan, question.series.partition(".")[2], averages)
    return Found(found[1]) if found else Found(Budget(), ("inputs of the stack",))
