"""The command lines of `plumeline user` and `plumeline doctor`, light enough for every start."""

from typing import Final

from host.commands import Argument

ROLES: Final = ("technician", "qa", "auditor", "admin")
ARGUMENTS: Final[dict[str, Argument]] = {
    "user NAME": ("name", {"metavar": "NAME"}),
    "user --role": ("--role", {"choices": ROLES, "required": True}),
    "doctor --security": ("--security", {"action": "store_true"}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("user add", "agent.cli.user:add", ("CONFIG", "user NAME", "user --role")),
    ("user disable", "agent.cli.user:disable", ("CONFIG", "user NAME")),
    ("user enable", "agent.cli.user:enable", ("CONFIG", "user NAME")),
    ("user role", "agent.cli.user:role", ("CONFIG", "user NAME", "user --role")),
    ("user password", "agent.cli.user:password", ("CONFIG", "user NAME")),
    ("user list", "agent.cli.user:users", ("CONFIG", "--json")),
    ("doctor", "agent.cli.doctor:doctor", ("CONFIG", "doctor --security", "--json")),
)
