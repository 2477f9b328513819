"""The command lines of `plumeline archive` and `plumeline hold`, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "archive DEST": ("dest", {"metavar": "DEST"}),
    "archive --vkey": ("--vkey", {"metavar": "VKEY", "action": "append", "default": []}),
    "hold ID": ("hold", {"metavar": "ID"}),
    "hold --from": ("--from", {"metavar": "TIME", "required": True, "dest": "since"}),
    "hold --to": ("--to", {"metavar": "TIME", "required": True, "dest": "until"}),
    "hold --who": ("--who", {"metavar": "PERSON", "required": True}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("archive copy", "agent.cli.archive:copy", ("CONFIG", "archive DEST", "--who", "--json")),
    ("archive list", "agent.cli.archive:show", ("archive DEST", "--json")),
    ("archive verify", "agent.cli.archive:verify", ("archive DEST", "archive --vkey", "--json")),
    (
        "hold set",
        "agent.cli.hold:put",
        ("CONFIG", "hold --from", "hold --to", "hold --who", "--reason", "--json"),
    ),
    ("hold lift", "agent.cli.hold:lift", ("CONFIG", "hold ID", "hold --who", "--reason", "--json")),
    ("hold list", "agent.cli.hold:show", ("CONFIG", "--json")),
)
