"""`plumeline account` on the command line: its arguments, apart from what it does, which is imported when it runs."""

from typing import Final

from host.commands import Argument

PERIODS: Final = ("hour", "day", "month", "total")
SCHEMES: Final = ("none", "hj75", "part75")

ARGUMENTS: Final[dict[str, Argument]] = {
    "account FILE": ("fuel", {"metavar": "FILE"}),
    "account --measured": ("--measured", {"metavar": "FILE"}),
    "account --period": ("--period", {"choices": PERIODS, "default": "month"}),
    "account --substitute": ("--substitute", {"choices": SCHEMES, "default": "none"}),
    "account --idle": ("--idle", {"metavar": "KWH", "type": float}),
    "account --ratio": ("--ratio", {"choices": ("atomic", "44/12"), "default": "atomic"}),
}
COMMANDS: Final = (("account", "agent.cli.account:account", (*ARGUMENTS, "--json")),)
