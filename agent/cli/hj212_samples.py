"""What a test station says: data areas made from the tables, marked as what they are. Nothing here was measured.

Every factor carries the letter `S` (a value put in by hand, HJ 212-2017 table 8), which no average counts, and
real-time values the vendor's flag `SIM`.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from protocols.hj212.commands import Command
from protocols.hj212.factors import decimal
from protocols.hj212.message import Area
from protocols.hj212.tables.fields import Kind, fields
from protocols.hj212.tables.forms import Part
from protocols.hj212.times import render_time

FACTORS: Final = {"a05001": 420.0, "a19001": 6.4}
HAND: Final = "S"
SIMULATED: Final = "SIM"
_SWING: Final = 0.02
_PERIOD_S: Final = 600
_CODES: Final = {
    "NoiseId": "LA", "ProcId": "g10101", "ElecId": "ea0001", "InfoId": "i12001", "n": "1", "FurnaceId": "a01901",
}  # fmt: skip
# Beside a mean a believable record has these, though the table leaves them open.
_LIKELY: Final = frozenset({"-rtd", "-min", "-avg", "-max", "-flag", "-eflag"})
_SHARES: Final = {"-min": 1 - _SWING, "-max": 1 + _SWING, "-cou": 60.0}
_FIXED: Final = {
    "-flag": HAND, "-eflag": SIMULATED, "rs": "1", "rt": "23.5", "-data": "48.5", "-daydata": "52.0",
    "-nightdata": "41.5", "-sn": "0" * 23 + "1", "-resulttype": "1", "-sampletype": "1", "vaseno": "1",
    "cstarttime": "000000", "ctime": "2", "stime": "30",
}  # fmt: skip


def sample(command: Command, st: str, at: datetime, factors: Mapping[str, float], given: Mapping[str, str]) -> Area:
    """Data area of an upload, notice or answer for the time `at`; what is given takes the place of what is made up.

    Raises ValueError where what is given does not fit the table.
    """
    form = next((form for form in command.forms if st in form.st), command.forms[0])
    made: dict[str, str] = {}
    for group in form.groups:
        for part in group.parts:
            wanted = part.times in "1+" or (group.coded and part.after in _LIKELY)
            names = _names(part, factors) if wanted else {}
            made |= {name: _value(command, part, code, at, factors) for name, code in names.items()}
    kept = {name: value for name, value in made.items() if name not in given}
    return command.area({**kept, **given}, st)


def _names(part: Part, factors: Mapping[str, float]) -> dict[str, str]:
    """Names of a sub-value, with the code in each."""
    if not part.code:
        return {part.name: ""}
    codes = tuple(factors) if part.code == "PolId" else (_CODES[part.code],)
    return {part.name.replace(f"{{{part.code}}}", code): code for code in codes}


def _value(command: Command, part: Part, code: str, at: datetime, factors: Mapping[str, float]) -> str:
    field = fields(command.edition).get(part.name.casefold())
    kind = field.kind if field else Kind.TEXT
    ending = part.after.removeprefix("-") if part.code == "n" else part.after or part.name.casefold()
    if ending in _FIXED:
        return _FIXED[ending]
    if part.name == "PolId":
        return next(iter(factors))
    if kind in (Kind.TIME, Kind.STAMP):
        return render_time(at)
    if kind is Kind.NUMBER or ending in ("-rtd", "-avg"):
        mean = factors.get(code, 1.0) * (1 + _SWING * math.sin(2 * math.pi * at.timestamp() / _PERIOD_S))
        return decimal(mean * _SHARES.get(ending, 1.0), 2)
    return "1"
