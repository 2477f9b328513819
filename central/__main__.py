"""`plumeline-central`: the command line of the centre. Each command imports what it needs only when it runs."""

import sys
from typing import Final

from host.commands import Argument, Program

ARGUMENTS: Final[dict[str, Argument]] = {
    "CONFIG": ("config", {"metavar": "CONFIG"}),
    "STATION": ("station", {"metavar": "STATION"}),
    "MN": ("mn", {"metavar": "MN"}),
    "CN": ("cn", {"metavar": "CN"}),
    "NAME=VALUE": ("fields", {"metavar": "NAME=VALUE", "nargs": "*"}),
    "--at": ("--at", {"metavar": "TIME"}),
    "--clock": ("--clock", {"metavar": "WALL0,WORLD0,RATE"}),
    "--json": ("--json", {"action": "store_true"}),
}
# Command, the function that runs it, its arguments; what each means stands in two languages in cli.toml.
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("run", "central.cli:run", ("CONFIG", "--clock")),
    ("check", "central.cli:check", ("CONFIG", "--json")),
    ("attribute", "central.cli:attribute", ("CONFIG", "--at", "--clock", "--json")),
    ("enrol", "central.cli:enrol", ("CONFIG", "STATION", "--json")),
    ("hj212 stations", "central.cli_hj212:stations", ("CONFIG", "--json")),
    ("hj212 dialogue", "central.cli_hj212:dialogue", ("CONFIG", "MN", "--json")),
    ("hj212 send", "central.cli_hj212:send", ("CONFIG", "MN", "CN", "NAME=VALUE", "--json")),
    ("password", "central.cli:password", ("CONFIG",)),
)

PROGRAM: Final = Program("plumeline-central", "central", ARGUMENTS, COMMANDS)
main: Final = PROGRAM.main

if __name__ == "__main__":
    sys.exit(main())
