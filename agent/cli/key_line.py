"""The command lines of `plumeline key` and `plumeline replace`, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "key rotate --new-key": ("--new-key", {"metavar": "REF", "required": True}),
    "replace --handover": ("--handover", {"metavar": "FILE", "required": True}),
    "replace --centre": ("--centre", {"metavar": "VKEY", "required": True}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("key rotate", "agent.cli.key:rotate", ("CONFIG", "key rotate --new-key", "--who", "--reason", "--json")),
    (
        "replace",
        "agent.cli.replace:replace",
        ("CONFIG", "replace --handover", "replace --centre", "--who", "--reason", "--json"),
    ),
)
