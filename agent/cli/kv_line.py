"""`plumeline kv` on the command line: its arguments, apart from what it does, which is imported when it runs."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {"kv FILE": ("pairs", {"metavar": "FILE"})}
COMMANDS: Final = (("kv", "agent.cli.kv:kv", (*ARGUMENTS, "--json")),)
