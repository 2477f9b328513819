"""The command lines of `plumeline update`, `version` and `drivers`, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "update BUNDLE": ("bundle", {"metavar": "BUNDLE"}),
    "update --keys": ("--keys", {"metavar": "FILE", "default": "/etc/plumeline/update.vkey"}),
    "update --root": ("--root", {"metavar": "FOLDER", "default": "/opt/plumeline"}),
    "update --allow-downgrade": ("--allow-downgrade", {"action": "store_true"}),
    "version --components": ("--components", {"action": "store_true"}),
    "version --verify": ("--verify", {"action": "store_true"}),
}
_PLACE: Final = ("update --root", "--json")
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("update verify", "agent.cli.update:verify", ("update BUNDLE", "update --keys", "--json")),
    (
        "update install",
        "agent.cli.update:install",
        ("CONFIG", "update BUNDLE", "update --keys", "update --allow-downgrade", "--who", *_PLACE),
    ),
    ("update rollback", "agent.cli.update:rollback", ("--reason", "--who", *_PLACE)),
    ("update status", "agent.cli.update:status", _PLACE),
    ("update guard", "agent.cli.update:guard", _PLACE),
    ("version", "agent.cli.version:version", ("version --components", "version --verify", "--json")),
    ("drivers", "agent.cli.version:drivers", ("--json",)),
)
