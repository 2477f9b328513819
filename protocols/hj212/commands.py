"""The command table as data: which CN goes which way in which edition, in what dialogue, with which fields.

HJ 212-2017 tables 4 and 9 and appendix C; what of 2005 and 2025 is known, with its evidence. Every row of
`tables/commands.csv` is one layout of a data area and names its source.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, cast

from protocols.hj212.message import Area, Message
from protocols.hj212.profile import Edition
from protocols.hj212.tables import forms as layouts
from protocols.hj212.tables.fields import fields
from protocols.hj212.tables.rows import editions, rows

Direction = Literal["to_station", "to_platform"]
Dialogue = Literal["request", "notice", "upload", "data", "answer"]
Group = Literal["init", "parameter", "data", "control", "interaction"]
Effect = Literal["none", "read", "link", "station"]

# Who begins and what follows, by the dialogue of a command.
DIALOGUES: Final = {
    "request": "9011, then 9012 after the execution",
    "notice": "9013",
    "upload": "9014",
    "data": "nothing: it is part of the answer to a request",
    "answer": "nothing: it is an answer",
}


class QnRtn:
    """Reply codes to a request (HJ 212-2017 table 7)."""

    READY = 1
    REFUSED = 2
    PW = 3
    MN = 4
    ST = 5
    FLAG = 6
    QN = 7
    CN = 8
    CRC = 9
    UNKNOWN = 100


class ExeRtn:
    """Results of an execution (HJ 212-2017 table 6)."""

    DONE = 1
    FAILED = 2
    CONDITION = 3
    TIMEOUT = 4
    BUSY = 5
    FAULT = 6
    NO_DATA = 100


@dataclass(frozen=True, slots=True)
class Form:
    """One layout of the data area of a command.

    `area` is its notation (`tables/forms.py`), `st` the system types it is of, empty for all. `returns` says what data
    a request brings: `answer` one message under the request's QN, `records` messages with QN of their own.
    """

    name_en: str
    name_zh: str
    st: frozenset[str]
    area: str
    groups: tuple[layouts.Group, ...]
    returns: frozenset[str]
    clauses: str
    notes: str
    evidence: dict[Edition, str]


@dataclass(frozen=True, slots=True)
class Command:
    """A CN in one direction of one edition.

    `effect` of a request: `read` tells something, `link` changes what this link carries, `station` acts on the station.
    """

    cn: str
    direction: Direction
    edition: Edition
    dialogue: Dialogue
    group: Group
    effect: Effect
    forms: tuple[Form, ...]

    @property
    def name_en(self) -> str:
        """Its name, in English."""
        return self.forms[0].name_en

    @property
    def name_zh(self) -> str:
        """Its name, in Chinese."""
        return self.forms[0].name_zh

    def problem(self, message: Message) -> str | None:
        """What is wrong with the data area of a message of this command, None where it is as the table says.

        It is, where it is as one of the layouts for the message's ST; else the layout with the most names in common is
        the one it is held against.
        """
        return self._problem(message.area, message.st)

    def area(self, values: layouts.Values, st: str = "") -> Area:
        """Data area from values by name, as in `{"PolId": "a05001"}`, in the order of the table.

        A name may have several values where the table repeats it. Raises ValueError for what the table does not allow.
        """
        made = (layouts.fill(form.groups, values) for form in self._fitting(st))
        areas = sorted(made, key=lambda area: self._problem(area, st) is not None)
        found = self._problem(areas[0], st)
        if found:
            raise ValueError(f"{self.cn}: {found}")
        return areas[0]

    def _problem(self, area: Area, st: str) -> str | None:
        table = fields(self.edition)
        found = [(form, layouts.problem(form.groups, table, area)) for form in self._fitting(st)]
        if any(problem is None for _, problem in found):
            return None
        return max(found, key=lambda one: layouts.likeness(one[0].groups, area))[1]

    def _fitting(self, st: str) -> list[Form]:
        """Layouts for an ST; where there is none, all of them."""
        return [form for form in self.forms if not form.st or st in form.st] or list(self.forms)


def _form(row: dict[str, str]) -> Form:
    return Form(
        name_en=row["name_en"],
        name_zh=row["name_zh"],
        st=frozenset(row["st"].split()),
        area=row["area"],
        groups=layouts.layout(row["area"]),
        returns=frozenset(row["returns"].split()),
        clauses=row["clauses"],
        notes=row["notes"],
        evidence=editions(row["editions"]),
    )


def _command(edition: Edition, found: list[dict[str, str]]) -> Command:
    first = found[0]
    return Command(
        cn=first["cn"],
        direction=cast(Direction, first["direction"]),
        edition=edition,
        dialogue=cast(Dialogue, first["dialogue"]),
        group=cast(Group, first["group"]),
        effect=cast(Effect, first["effect"]),
        forms=tuple(_form(row) for row in found),
    )


@cache
def commands(edition: Edition = Edition.HJ2017) -> dict[tuple[str, Direction], Command]:
    """The table of one edition by (CN, direction)."""
    found: dict[tuple[str, Direction], list[dict[str, str]]] = {}
    for row in rows("commands.csv"):
        if edition in editions(row["editions"]):
            found.setdefault((row["cn"], cast(Direction, row["direction"])), []).append(row)
    return {key: _command(edition, members) for key, members in found.items()}
