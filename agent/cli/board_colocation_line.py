"""The line of `plumeline board colocate`."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "colocate --reference": ("--reference", {"metavar": "SERIES"}),
    "colocate --from": ("--from", {"metavar": "TIME", "dest": "begin"}),
    "colocate --to": ("--to", {"metavar": "TIME", "dest": "end"}),
    "colocate --reference-u": ("--reference-u", {"metavar": "VALUE", "type": float}),
    "colocate --accept": ("--accept", {"metavar": "PROPOSAL"}),
    "colocate --reason": ("--reason", {"metavar": "TEXT"}),
}
COMMANDS: Final = (
    (
        "board colocate",
        "agent.cli.board_colocation:colocate",
        ("board BOARD", "MEASURAND", *ARGUMENTS, "--who", "--socket", "--json"),
    ),
)
