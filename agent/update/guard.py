"""The trial of a new version: looked at each minute by a timer of its own; who does not stand it is rolled back.

Time is counted in looks, which the service manager makes by its monotonic clock: a step of the wall clock ends none.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from agent.update.versions import Update, Versions

LOOKS_MAX: Final = 10
GOOD_NEEDED: Final = 5
HEALTH: Final = "software.json"

Verdict = Literal["none", "trial", "kept", "rolled-back"]


@dataclass(frozen=True, slots=True)
class Health:
    """What a daemon writes each minute of its life: its version, which run of it this is, records committed in it."""

    version: str
    run: str
    records: int


def read_health(store: Path) -> Health | None:
    """What the running, or last, daemon said; None where that makes no sense."""
    try:
        fields = json.loads((store / HEALTH).read_text(encoding="utf-8"))
        return Health(str(fields["version"]), str(fields["run"]), int(fields["records"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def look(versions: Versions, restart: Callable[[], object]) -> Verdict:
    """One look. Five good ones in a row end the trial; ten looks without that roll the version back.

    Good is: the new version runs, in the same run as at the look before, and wrote records since. Raises LookupError
    where the former version is gone, OSError.
    """
    last = versions.update()
    if last is None or last.phase != "trial":
        return "none"
    if versions.current() != last.version:
        # Power went between the note and the switch: it never was in use.
        versions.note(replace(last, phase="rolled-back", reason="cut before it was in use"))
        return "rolled-back"
    seen = _seen(last, read_health(Path(last.store)))
    versions.note(seen)
    if seen.good >= GOOD_NEEDED:
        versions.note(replace(seen, phase="kept"))
        return "kept"
    if seen.passes >= LOOKS_MAX:
        versions.roll_back(f"of {seen.passes} looks the last {seen.good} were good")
        restart()
        return "rolled-back"
    return "trial"


def _seen(last: Update, health: Health | None) -> Update:
    counted = replace(last, passes=last.passes + 1)
    if health is None or health.version != last.version:
        return replace(counted, good=0)
    good = health.run == last.run and health.records > last.records
    return replace(counted, good=last.good + 1 if good else 0, run=health.run, records=health.records)
