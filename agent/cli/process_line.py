"""`plumeline process` on the command line: its arguments, apart from what it does, which is imported when it runs."""

import re
from typing import Final

from host.commands import Argument
from metrology.recorded import DAY, HOUR, MINUTE, SECOND

FORMATS: Final = ("picarro-log", "li840a-log", "gcwerks-minutes", "gcwerks-results", "csv", "gc-peaks")
_UNITS: Final = {"s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY}


def period(text: str) -> int:
    """Microseconds of a period such as 30s, 5min, 1h, 1d. Raises ValueError, which argparse reports."""
    found = re.fullmatch(r"([1-9]\d{0,5})(s|min|h|d)", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _UNITS[found[2]]


ARGUMENTS: Final[dict[str, Argument]] = {
    "process FILE": ("recorded", {"metavar": "FILE", "nargs": "+"}),
    "process --format": ("--format", {"choices": FORMATS, "required": True}),
    "process --average": ("--average", {"metavar": "PERIOD", "type": period, "default": "1h"}),
    "process --rules": ("--rules", {"metavar": "RULES"}),
    "process --out": ("--out", {"metavar": "OUT.csv"}),
    "process --plateaus": ("--plateaus", {"metavar": "OUT.csv"}),
    "process --samples": ("--samples", {"metavar": "OUT.csv"}),
    "process --species": ("--species", {"metavar": "NAME,NAME", "default": ""}),
    "process --utc": ("--utc", {"action": "store_true"}),
}
COMMANDS: Final = (
    (
        "process",
        "agent.cli.process:process",
        (*ARGUMENTS, "--json"),
    ),
)
