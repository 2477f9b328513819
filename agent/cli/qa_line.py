"""The command lines of `plumeline qa`, `instrument` and `performance`, light enough for every start."""

from typing import Final

from host.commands import Argument

LEVELS: Final = ("raw", "station-checked", "approved")

ARGUMENTS: Final[dict[str, Argument]] = {
    "qa SERIES": ("name", {"metavar": "SERIES"}),
    "qa INSTRUMENT": ("name", {"metavar": "NAME"}),
    # A named person stands behind it: the user of a shell that many share is none.
    "qa --who": ("--who", {"metavar": "PERSON", "required": True}),
    "--period": ("--period", {"metavar": "PERIOD", "required": True}),
    "--verdict": ("--verdict", {"choices": LEVELS, "required": True}),
    "performance FILE": ("recorded", {"metavar": "FILE", "nargs": "+"}),
    "performance --rules": ("--rules", {"metavar": "RULES", "required": True}),
    "qa --series": ("--series", {"metavar": "NAME,NAME", "default": ""}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("instrument list", "agent.cli.qa:instruments", ("--socket", "--json")),
    ("instrument confirm", "agent.cli.qa:confirm", ("qa INSTRUMENT", "qa --who", "--reason", "--socket", "--json")),
    ("qa adjusted", "agent.cli.qa:adjusted", ("qa SERIES", "qa --who", "--reason", "--socket", "--json")),
    (
        "qa signoff",
        "agent.cli.qa:signoff",
        ("--period", "--verdict", "qa --series", "qa --who", "--reason", "--socket", "--json"),
    ),
    ("qa intervals", "agent.cli.qa:intervals", ("--socket", "--json")),
    ("qa list", "agent.cli.qa:listed", ("--socket", "--json")),
    ("performance", "agent.cli.performance:performance", ("performance FILE", "performance --rules", "--json")),
)
