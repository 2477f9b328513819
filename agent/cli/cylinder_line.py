"""The command lines of `plumeline cylinder`, the standards register, light enough for every start."""

from typing import Final

from host.commands import Argument

ARGUMENTS: Final[dict[str, Argument]] = {
    "cylinder NAME": ("name", {"metavar": "NAME"}),
    "cylinder FILE": ("file", {"metavar": "FILE"}),
    "cylinder VALUE": ("value", {"metavar": "PRESSURE", "type": float}),
    "cylinder --config": ("--config", {"metavar": "CONFIG", "dest": "station"}),
    "cylinder --number": ("--number", {"metavar": "NUMBER", "required": True}),
    "cylinder --fill": ("--fill", {"metavar": "FILL"}),
    "cylinder --supplier": ("--supplier", {"metavar": "NAME", "default": ""}),
    "cylinder --lot": ("--lot", {"metavar": "LOT", "default": ""}),
    "cylinder --volume": ("--volume", {"metavar": "LITRES", "type": float}),
    "cylinder --filling-pressure": ("--filling-pressure", {"metavar": "BAR", "type": float}),
    "cylinder --pressure": ("--pressure", {"metavar": "BAR", "type": float}),
    "cylinder --pressure-series": ("--pressure-series", {"metavar": "SERIES"}),
    "cylinder --certificate": ("--certificate", {"metavar": "NUMBER"}),
    "cylinder --certified": ("--certified", {"metavar": "DATE"}),
    "cylinder --expires": ("--expires", {"metavar": "DATE"}),
    "cylinder --value": (
        "--value",
        {"metavar": "MEASURAND=VALUE,U[,UNIT,SCALE]", "action": "append", "default": [], "dest": "values"},
    ),
    "cylinder --role": (
        "--role",
        {"metavar": "MEASURAND=ROLE", "action": "append", "default": [], "dest": "roles"},
    ),
    "cylinder --unit": ("--unit", {"metavar": "UNIT", "default": "bar"}),
    "cylinder --place": ("--place", {"metavar": "NAME"}),
    "cylinder --run": ("--run", {"metavar": "RUN", "action": "append", "required": True, "dest": "runs"}),
    "cylinder --series": ("--series", {"metavar": "SERIES", "required": True}),
    # A named person stands behind each act: the user of a shell that many share is none.
    "cylinder --who": ("--who", {"metavar": "PERSON", "required": True}),
    "cylinder assign --who": ("--who", {"metavar": "PERSON"}),
    "cylinder assign --reason": ("--reason", {"metavar": "TEXT"}),
}
_BY: Final = ("cylinder --who", "--reason", "--socket", "--json")
_PAPER: Final = ("cylinder --certificate", "cylinder --certified", "cylinder --expires", "cylinder --value")
_WHICH: Final = ("cylinder NAME", "cylinder --fill")
_LOOK: Final = ("cylinder --config", "--socket", "--json")
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("cylinder list", "agent.cli.cylinder:listed", _LOOK),
    ("cylinder show", "agent.cli.cylinder:show", (*_WHICH, *_LOOK)),
    (
        "cylinder add",
        "agent.cli.cylinder:add",
        (
            *_WHICH, "cylinder --number", "cylinder --supplier", "cylinder --lot", "cylinder --volume",
            "cylinder --filling-pressure", "cylinder --pressure", "cylinder --pressure-series", "cylinder --role",
            *_PAPER, *_BY,
        ),
    ),
    ("cylinder revalue", "agent.cli.cylinder:revalue", (*_WHICH, *_PAPER, *_BY)),
    ("cylinder import", "agent.cli.cylinder:imported", ("cylinder FILE", *_BY)),
    ("cylinder pressure", "agent.cli.cylinder:pressure", (*_WHICH, "cylinder VALUE", "cylinder --unit", *_BY)),
    ("cylinder install", "agent.cli.cylinder:install", (*_WHICH, "cylinder --place", *_BY)),
    ("cylinder remove", "agent.cli.cylinder:remove", (*_WHICH, *_BY)),
    ("cylinder retire", "agent.cli.cylinder:retire", (*_WHICH, *_BY)),
    ("cylinder roles", "agent.cli.cylinder:roles", (*_WHICH, "cylinder --role", *_BY)),
    (
        "cylinder assign",
        "agent.cli.cylinder:assign",
        (
            *_WHICH, "cylinder --run", "cylinder --series", "cylinder --certificate", "cylinder --expires",
            "cylinder assign --who", "cylinder assign --reason", "--socket", "--json",
        ),
    ),
)  # fmt: skip
