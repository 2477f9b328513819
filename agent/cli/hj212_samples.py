"""What a test station says: data areas made from the tables, marked as what they are. Nothing here was measured.

Every factor carries the letter `S` (a value put in by hand, HJ 212-2017 table 8), which no average counts, and
real-time values the vendor's flag `SIM`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from protocols.hj212.commands import Command
from protocols.hj212.factors import decimal
from protocols.hj212.message import Area
from protocols.hj212.tables.fields import Kind, fields
from protocols.hj212.tables.forms import Part
from protocols.hj212.times import render_time

FACTORS: Final = {"a05001": 824.0, "a19001": 6.4}
HAND: Final = "S"
SIMULATED: Final = "SIM"
_SWING: Final = 0.02
_PERIOD_S: Final = 600
# Of these the table has one set a message (2062, 3019, the alarms of 2005).
_ONCE: Final = frozenset({"-samplerd", "-standardvalue", "-resulttype", "-sn", "-ala"})
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sample is of: means of its factors by code, and one analyser or kind of information where one is meant."""

    factors: Mapping[str, float]
    pol_id: str | None = None
    info_id: str | None = None

    def codes(self, part: Part) -> tuple[str, ...]:
        """Codes for the placeholder of a sub-value, the first alone where it may occur once."""
        if part.code == "PolId":
            own = tuple(self.factors) if self.pol_id is None else (self.pol_id,)
            return own[:1] if part.times == "1" and part.after in _ONCE else own
        if part.code == "InfoId" and self.info_id is not None:
            return (self.info_id,)
        return (_CODES[part.code],)

    def mean(self, code: str) -> float:
        """Mean of a factor, 1 for one of which nothing was said."""
        return self.factors.get(code, 1.0)


def sample(command: Command, st: str, at: datetime, asked: Asked, given: Mapping[str, str]) -> Area:
    """Data area of an upload, notice or answer for the time `at`; what is given takes the place of what is made up.

    Raises ValueError where what is given or asked for does not fit the table.
    """
    form = next((form for form in command.forms if st in form.st), command.forms[0])
    made: dict[str, str] = {}
    for group in form.groups:
        for part in group.parts:
            likely = part.after in _LIKELY if group.coded else part.name == "PolId" and asked.pol_id is not None
            if part.times in "1+" or likely:
                codes = asked.codes(part) if part.code else ("",)
                names = {part.name.replace(f"{{{part.code}}}", code): code for code in codes}
                made |= {name: _value(command, part, code, at, asked) for name, code in names.items()}
    return command.area({name: value for name, value in made.items() if name not in given} | dict(given), st)


def _value(command: Command, part: Part, code: str, at: datetime, asked: Asked) -> str:
    field = fields(command.edition).get(part.name.casefold())
    kind = field.kind if field else Kind.TEXT
    ending = part.after.removeprefix("-") if part.code == "n" else part.after or part.name.casefold()
    if ending in _FIXED:
        return _FIXED[ending]
    if part.name == "PolId":
        return asked.pol_id or next(iter(asked.factors))
    if kind in (Kind.TIME, Kind.STAMP):
        return render_time(at)
    if kind is Kind.NUMBER or ending in ("-rtd", "-avg"):
        mean = asked.mean(code) * (1 + _SWING * math.sin(2 * math.pi * at.timestamp() / _PERIOD_S))
        return decimal(mean * _SHARES.get(ending, 1.0), 2)
    return "1"
