"""The command line of `plumeline verify`, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "verify PLACE": ("place", {"metavar": "PLACE", "nargs": "?"}),
    "verify --vkey": ("--vkey", {"metavar": "VKEY", "action": "append", "default": []}),
    "verify --witness-vkey": ("--witness-vkey", {"metavar": "VKEY"}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("verify", "agent.cli.verify:verify", (*ARGUMENTS, "--socket", "--json")),
)
