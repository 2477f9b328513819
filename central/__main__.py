"""`plumeline-central`: the command line of the centre. Each command imports what it needs only when it runs."""

import argparse
import sys
from typing import Final

from host.commands import Argument, Program, reason

ARGUMENTS: Final[dict[str, Argument]] = {
    "CONFIG": ("config", {"metavar": "CONFIG"}),
    "STATION": ("station", {"metavar": "STATION"}),
    "MN": ("mn", {"metavar": "MN"}),
    "CN": ("cn", {"metavar": "CN"}),
    "NAME=VALUE": ("fields", {"metavar": "NAME=VALUE", "nargs": "*"}),
    "--at": ("--at", {"metavar": "TIME"}),
    "--clock": ("--clock", {"metavar": "WALL0,WORLD0,RATE"}),
    "--json": ("--json", {"action": "store_true"}),
    "report KIND": ("kind", {"metavar": "KIND", "choices": ("drift", "calibration", "capture", "emission", "account")}),
    "report --station": ("--station", {"metavar": "STATION", "required": True}),
    "report --from": ("--from", {"metavar": "TIME", "required": True, "dest": "since"}),
    "report --to": ("--to", {"metavar": "TIME", "required": True, "dest": "until"}),
    "report --lang": ("--lang", {"choices": ("en", "zh"), "default": argparse.SUPPRESS}),
    "report --out": ("--out", {"metavar": "FILE"}),
    "report --who": ("--who", {"metavar": "PERSON"}),
    "report --page": ("--page", {"metavar": "URL", "default": ""}),
    "report --fuel": ("--fuel", {"metavar": "FILE"}),
    "report --series": ("--series", {"metavar": "NAME,NAME", "default": ""}),
    "report --substitute": ("--substitute", {"choices": ("none", "hj75", "part75"), "default": "hj75"}),
    "report --electricity": ("--electricity", {"metavar": "FILE"}),
    "report --meter": ("--meter", {"metavar": "[UNIT=]SERIES", "action": "append", "default": []}),
    "report --idle": ("--idle", {"metavar": "KWH", "type": float}),
    "verify --record": ("--record", {"metavar": "EPOCH:NUMBER", "action": "append", "default": []}),
    "verify --out": ("--out", {"metavar": "FILE"}),
    "challenge --every": ("--every", {"metavar": "N", "type": int, "default": 1}),
    "user NAME": ("name", {"metavar": "NAME"}),
    "user --role": ("--role", {"choices": ("technician", "qa", "auditor", "admin"), "required": True}),
    "--reason": ("--reason", {"metavar": "TEXT", "required": True, "type": reason}),
    "key --vkey": ("--vkey", {"metavar": "VKEY", "required": True}),
    "handover --vkey": ("--vkey", {"metavar": "VKEY"}),
    "handover --out": ("--out", {"metavar": "FILE", "required": True}),
    "enrol --code": ("--code", {"action": "store_true"}),
    "enrol --valid": ("--valid", {"metavar": "HOURS", "type": float, "default": 24.0}),
    "report --key": ("--key", {"metavar": "FILE"}),
}
# Command, the function that runs it, its arguments; what each means stands in two languages in cli.toml.
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("run", "central.cli:run", ("CONFIG", "--clock")),
    ("check", "central.cli:check", ("CONFIG", "--json")),
    ("attribute", "central.cli:attribute", ("CONFIG", "--at", "--clock", "--json")),
    ("enrol", "central.cli:enrol", ("CONFIG", "STATION", "enrol --code", "enrol --valid", "report --who", "--json")),
    ("revoke", "central.ca_cli:revoke", ("CONFIG", "report --station", "report --who", "--reason", "--json")),
    ("ca init", "central.ca_cli:init", ("CONFIG", "--json")),
    ("ca renew", "central.ca_cli:renew", ("CONFIG", "--json")),
    ("ca show", "central.ca_cli:show", ("CONFIG", "--json")),
    (
        "report",
        "central.reports:report",
        (
            "report KIND",
            "CONFIG",
            "report --station",
            "report --from",
            "report --to",
            "report --lang",
            "report --out",
            "report --who",
            "report --page",
            "report --series",
            "report --substitute",
            "report --fuel",
            "report --electricity",
            "report --meter",
            "report --idle",
            "report --key",
        ),
    ),
    (
        "verify",
        "central.verify:verify",
        (
            "CONFIG",
            "report --station",
            "report --from",
            "report --to",
            "verify --record",
            "verify --out",
            "report --key",
            "report --lang",
            "--json",
        ),
    ),
    (
        "challenge",
        "central.demand:challenge",
        ("CONFIG", "report --station", "report --from", "report --to", "challenge --every"),
    ),
    ("key list", "central.handover:shown", ("CONFIG", "report --station")),
    ("key accept", "central.handover:accept", ("CONFIG", "report --station", "key --vkey", "report --who", "--reason")),
    (
        "handover",
        "central.handover:handover",
        (
            "CONFIG",
            "report --station",
            "handover --vkey",
            "handover --out",
            "report --key",
            "report --who",
            "--reason",
        ),
    ),
    ("hj212 stations", "central.cli_hj212:stations", ("CONFIG", "--json")),
    ("hj212 dialogue", "central.cli_hj212:dialogue", ("CONFIG", "MN", "--json")),
    ("hj212 send", "central.cli_hj212:send", ("CONFIG", "MN", "CN", "NAME=VALUE", "--json")),
    ("user add", "central.cli_user:add", ("CONFIG", "user NAME", "user --role")),
    ("user disable", "central.cli_user:disable", ("CONFIG", "user NAME")),
    ("user enable", "central.cli_user:enable", ("CONFIG", "user NAME")),
    ("user role", "central.cli_user:role", ("CONFIG", "user NAME", "user --role")),
    ("user password", "central.cli_user:password", ("CONFIG", "user NAME")),
    ("user list", "central.cli_user:users", ("CONFIG", "--json")),
)

PROGRAM: Final = Program("plumeline-central", "central", ARGUMENTS, COMMANDS)
main: Final = PROGRAM.main

if __name__ == "__main__":
    sys.exit(main())
