"""What stands behind the marks on a value: the run, the lock, the check or the event that set them."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from agent.analysis.lineage import Lineage
from host.history import History
from metrology.quality import Cause

# Events that may stand behind a cause, looked for back to so long before the period.
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    Cause.COMMUNICATION: ("unit-silent", "bus-lost"),
    Cause.MAINTENANCE: (
        "maintenance-lock",
        "instrument-differs",
        "instrument-changed",
        "board-replaced",
        "scan-started",
    ),
    Cause.OUT_OF_CONTROL: ("out-of-control",),
    Cause.CLOCK_DOUBTFUL: ("clock-step",),
    Cause.MARK: ("board-identified", "board-replaced"),
}
LOOK_BACK: Final = timedelta(days=31)


def behind(
    marks: Iterable[tuple[str, str]], series: str, end: datetime, history: History, lineage: Lineage
) -> list[dict[str, Any]]:
    """For each (cause, origin) the newest records before `end` that explain it; none where only the origin speaks."""
    return [
        {"cause": cause, "origin": origin, "behind": _records(cause, origin, series, end, history, lineage)}
        for cause, origin in sorted(set(marks))
    ]


def _records(
    cause: str, origin: str, series: str, end: datetime, history: History, lineage: Lineage
) -> list[dict[str, Any]]:
    kind, _, name = origin.partition(":")
    if kind in ("run", "check") and name:
        rows = [row for row in history.told("calibration", end - LOOK_BACK, end) if row.get("run") == name]
        wanted = ("run-started",) if kind == "run" else ("drift", "standard-check", "target")
        found = [row for row in rows if row["what"] in wanted and row.get("series", series) == series]
    else:
        instrument = series.partition(".")[0]
        told = history.told("event", end - LOOK_BACK, end, EVENTS.get(cause, ())) if cause in EVENTS else ()
        found = [row for row in told if _concerns(row, series, instrument)][-1:]
    return [_told(row, lineage) for row in found]


def _concerns(row: Mapping[str, Any], series: str, instrument: str) -> bool:
    about = [row[key] for key in ("series", "instrument", "board") if isinstance(row.get(key), str)]
    return not about or series in about or instrument in about


def _told(row: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    kept = ("what", "who", "owner", "origin", "reason", "verdict", "unit", "gas", "deviation", "drift_percent", "error")
    return {**lineage.place(lineage.truly(row)), **{key: row[key] for key in kept if key in row}}
