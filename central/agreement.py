"""One value by two ways: what HJ 212 said of a period against what came by MQTT, to half its last decimal."""

from decimal import Decimal
from typing import Any

import apsw

from central.events import put_event
from metrology.measurand import catalogue
from metrology.units import STATES, UnitError, convert

FIELDS = ("mean", "minimum", "maximum")


def differs(exact: float, sent: str) -> bool:
    """Whether a decimal text is not the rounding of the exact value: further than half a unit of its last decimal.

    A relative 1e-9 allows for the conversion's own rounding in floating point.
    """
    exponent = Decimal(sent).as_tuple().exponent
    half = 0.5 * 10.0 ** int(exponent)
    return abs(exact - float(sent)) > half + 1e-9 * max(1.0, abs(exact))


def compare(db: apsw.Connection, station_id: str, series: str, start: str, period_s: int) -> None:
    """Compare both ways of one period where both are there: the row says `mqtt+hj212`; a disagreement is an event."""
    key = (station_id, series, start, period_s)
    said: list[Any] = db.execute(
        "SELECT unit, state, mean, minimum, maximum, mn FROM hj212_average"
        " WHERE station_id = ? AND series = ? AND start = ? AND period_s = ?",
        key,
    ).fetchall()
    exact: Any = db.execute(
        "SELECT unit, mean, minimum, maximum FROM average WHERE station_id = ? AND series = ? AND start = ?"
        " AND period_s = ? AND revision = 0 AND epoch IS NOT NULL AND final",
        key,
    ).fetchone()
    if exact is None:
        return
    for unit, state, *sent, mn in said:
        detail: dict[str, Any] = {"series": series, "start": start, "period_s": period_s, "mn": mn, "unit": unit}
        name = f"hj212/{mn}/{series}/{start}/{period_s}"
        try:
            wrong = _disagreements(series, exact, unit, state, sent)
        except UnitError as error:
            put_event(
                db, f"hj212/{mn}/{series}", station_id, start, "hj212-incomparable", {**detail, "why": str(error)}
            )
            continue
        if wrong:
            put_event(db, name, station_id, start, "hj212-disagreement", {**detail, "values": wrong})


def _disagreements(
    series: str, exact: tuple[Any, ...], unit: str, state: str | None, sent: list[str | None]
) -> dict[str, dict[str, Any]]:
    measurand = catalogue().get(series.rpartition(".")[2])
    molar_mass = measurand.molar_mass if measurand else None
    wrong = {}
    for name, value, text in zip(FIELDS, exact[1:], sent, strict=True):
        if value is None or text is None:
            continue
        converted = convert(value, exact[0], unit, molar_mass=molar_mass, state=STATES.get(state or ""))
        if differs(converted, text):
            wrong[name] = {"mqtt": converted, "hj212": text}
    return wrong


def join(db: apsw.Connection, station_id: str, series: str, start: str, period_s: int) -> None:
    """Mark a row that came by MQTT as brought by HJ 212 too, and compare."""
    db.execute(
        "UPDATE average SET via = 'mqtt+hj212' WHERE station_id = ? AND series = ? AND start = ? AND period_s = ?"
        " AND revision = 0 AND via = 'mqtt' AND EXISTS (SELECT 1 FROM hj212_average AS h WHERE"
        " h.station_id = average.station_id AND h.series = average.series AND h.start = average.start"
        " AND h.period_s = average.period_s)",
        (station_id, series, start, period_s),
    )
    compare(db, station_id, series, start, period_s)
