"""The command lines of what looks back (`trace`, `uncertainty`, `recompute`, `diff`), light enough for every start."""

from typing import Final

from host.commands import Argument

PERIODS: Final = ("1min", "1h", "1d")

ARGUMENTS: Final[dict[str, Argument]] = {
    "trace SERIES": ("series", {"metavar": "SERIES"}),
    "trace TIME": ("time", {"metavar": "TIME"}),
    "trace --period": ("--period", {"choices": PERIODS, "default": "1h"}),
    "trace --rev": ("--rev", {"metavar": "REVISION", "type": int}),
    "trace --config": ("--config", {"metavar": "CONFIG", "dest": "station"}),
    "trace --html": ("--html", {"metavar": "FILE"}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("trace", "agent.cli.trace:trace", (*ARGUMENTS, "--socket", "--json")),
)
