"""The command lines of `plumeline backup` and `plumeline restore`, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "backup DEST": ("dest", {"metavar": "DEST"}),
    "backup --since": ("--since", {"metavar": "TIME"}),
    "restore DIR": ("folder", {"metavar": "DIR"}),
    "restore --check": ("--check", {"action": "store_true", "required": True}),
    "restore --vkey": ("--vkey", {"metavar": "VKEY", "action": "append", "default": []}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("backup", "agent.cli.backup:backup", ("CONFIG", "backup DEST", "backup --since", "--json")),
    ("restore", "agent.cli.backup:restore", ("restore DIR", "restore --check", "restore --vkey", "--json")),
)
