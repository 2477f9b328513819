"""The command lines of what looks back (`trace`, `uncertainty`, `recompute`, `diff`), light enough for every start."""

from typing import Final

from host.commands import Argument

PERIODS: Final = ("1min", "1h", "1d")
USES: Final = ("previous", "nearest", "linear", "as-measured")

TRACE: Final[dict[str, Argument]] = {
    "trace SERIES": ("series", {"metavar": "SERIES"}),
    "trace TIME": ("time", {"metavar": "TIME"}),
    "trace --period": ("--period", {"choices": PERIODS, "default": "1h"}),
    "trace --rev": ("--rev", {"metavar": "REVISION", "type": int}),
    "trace --config": ("--config", {"metavar": "CONFIG", "dest": "station"}),
    "trace --html": ("--html", {"metavar": "FILE"}),
}
RECOMPUTE: Final[dict[str, Argument]] = {
    "recompute --series": ("--series", {"metavar": "SERIES,SERIES", "required": True}),
    "recompute --from": ("--from", {"metavar": "TIME", "dest": "begin", "required": True}),
    "recompute --to": ("--to", {"metavar": "TIME", "dest": "end", "required": True}),
    "--coefficients": ("--coefficients", {"metavar": "FILE"}),
    "--interpolate": ("--interpolate", {"choices": USES, "default": "previous"}),
    "--layer": ("--layer", {"choices": ("analysis",)}),
    "recompute --dry-run": ("--dry-run", {"action": "store_true"}),
    "recompute --who": ("--who", {"metavar": "PERSON", "required": True}),
}
DIFF: Final[dict[str, Argument]] = {
    "diff --series": ("--series", {"metavar": "SERIES", "required": True}),
    "diff --rev": ("--rev", {"metavar": ("BEFORE", "AFTER"), "type": int, "nargs": 2}),
}
CONFIG_DIFF: Final[dict[str, Argument]] = {
    "diff SEQ1": ("first", {"metavar": "SEQ1"}),
    "diff SEQ2": ("second", {"metavar": "SEQ2"}),
}
ARGUMENTS: Final = {**TRACE, **RECOMPUTE, **DIFF, **CONFIG_DIFF}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("trace", "agent.cli.trace:trace", (*TRACE, "--socket", "--json")),
    ("uncertainty", "agent.cli.trace:uncertainty", (*TRACE, "--socket", "--json")),
    (
        "diff",
        "agent.cli.diff:revisions",
        (*DIFF, "recompute --from", "recompute --to", "trace --period", "trace --config", "--socket", "--json"),
    ),
    ("config diff", "agent.cli.diff:configurations", (*CONFIG_DIFF, "trace --config", "--socket", "--json")),
    ("recompute", "agent.cli.recompute:recompute", (*RECOMPUTE, "--reason", "--socket", "--json")),
)
