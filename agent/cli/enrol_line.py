"""The command line of `plumeline enrol`, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "enrol --centre": ("--centre", {"metavar": "URL", "required": True}),
    "enrol --ca-fingerprint": ("--ca-fingerprint", {"metavar": "SHA256", "required": True}),
    "enrol --code": ("--code", {"metavar": "CODE"}),
    "enrol --dir": ("--dir", {"metavar": "DIR"}),
    "enrol --creds": ("--creds", {"metavar": "DIR"}),
}
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("enrol", "agent.cli.enrol:run", ("CONFIG", *ARGUMENTS, "--json")),
)
