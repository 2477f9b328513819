"""The command line of `plumeline report`, light enough for every start."""

import argparse
from typing import Final

from host.commands import Argument

SCHEMES: Final = ("none", "hj75", "part75")
ARGUMENTS: Final[dict[str, Argument]] = {
    "report --from": ("--from", {"metavar": "TIME", "required": True, "dest": "since"}),
    "report --to": ("--to", {"metavar": "TIME", "required": True, "dest": "until"}),
    "report --config": ("--config", {"metavar": "CONFIG"}),
    "report --lang": ("--lang", {"choices": ("en", "zh"), "default": argparse.SUPPRESS}),
    "report --out": ("--out", {"metavar": "FILE", "action": "append", "default": []}),
    "report --series": ("--series", {"metavar": "NAME,NAME", "default": ""}),
    "report --instrument": ("--instrument", {"metavar": "NAME"}),
    "report --who": ("--who", {"metavar": "PERSON"}),
    "report --page": ("--page", {"metavar": "URL", "default": ""}),
    "report --substitute": ("--substitute", {"choices": SCHEMES, "default": "hj75"}),
    "report --fuel": ("--fuel", {"metavar": "FILE", "required": True}),
    "report --electricity": ("--electricity", {"metavar": "FILE"}),
    "report --meter": ("--meter", {"metavar": "[UNIT=]SERIES", "action": "append", "default": []}),
    "report --idle": ("--idle", {"metavar": "KWH", "type": float}),
    "report --rules": ("--rules", {"metavar": "RULES", "required": True}),
    "report RECORDED": ("recorded", {"metavar": "FILE", "nargs": "+"}),
    "report FILE": ("file", {"metavar": "FILE"}),
    "report --vkey": ("--vkey", {"metavar": "KEY"}),
}
_SPAN: Final = ("report --from", "report --to")
_WHERE: Final = ("report --config", "--socket", "report --who", "report --page", "report --lang", "report --out")
_LIMITED: Final = (*_SPAN, "report --series", "report --instrument", *_WHERE)
_REPORT: Final = "agent.cli.report"
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("report drift", f"{_REPORT}:drift", _LIMITED),
    ("report calibration", f"{_REPORT}:calibration", _LIMITED),
    ("report capture", f"{_REPORT}:capture", _LIMITED),
    ("report emission", f"{_REPORT}:emission", (*_LIMITED, "report --substitute")),
    (
        "report account",
        f"{_REPORT}:account",
        (
            "report --fuel", "report --electricity", "report --meter", "report --idle", *_LIMITED,
            "report --substitute",
        ),
    ),
    ("report performance", f"{_REPORT}:performance", ("report RECORDED", "report --rules", *_WHERE)),
    (
        "report verify",
        f"{_REPORT}:verify",
        ("report FILE", "report --vkey", "report --config", "--json", "report --lang"),
    ),
)  # fmt: skip
