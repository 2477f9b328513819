r"""By what an instrument is known (`signatures.csv`): a question that changes nothing, the pattern of its answer.

Rows of the way `modbus` name a register map: its values must be there and plausible, and what `refuses` lists
(`table:address:count`) must be refused. Rows of the way `text` ask; in `question` and `answer`, `{unit}` is the
address, `{hex}` the same in two digits, `{letter}` as a letter from A, `{high}` the byte that is 128 higher. Rows of
the way `stream` only listen. `more` are addresses asked once another of the row has answered; an option `"@1"` is what
group 1 of the answer holds, last byte first. Each row has its source.
"""

import csv
import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final, Literal, cast

from drivers.base import Ask, ReadRegisters, Table

ANSWER_BYTES_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class Signature:
    """One row; `unit` None where the instrument has no address."""

    driver: str
    way: Literal["modbus", "text", "stream"]
    unit: int | None
    more: tuple[int, ...]
    question: str
    answer: str
    options: dict[str, str | list[str]] = field(hash=False)
    refuses: tuple[ReadRegisters, ...]
    source: str

    def ask(self, unit: int | None) -> Ask:
        """The question to one address; its answer is complete once it has the pattern."""
        pattern = self.pattern(unit)
        return Ask(self.question_to(unit), (b"",), ANSWER_BYTES_MAX, lambda came: pattern.search(came) is not None)

    def question_to(self, unit: int | None) -> bytes:
        """Bytes of the question."""
        return _filled(self.question, unit).encode("ascii").decode("unicode_escape").encode("latin-1")

    def pattern(self, unit: int | None) -> re.Pattern[bytes]:
        """What an answer of that address, or what comes unasked, looks like."""
        return re.compile(_filled(self.answer, unit).encode("ascii"))

    def settled(self, found: re.Match[bytes]) -> dict[str, str | list[str]]:
        """The options an answer speaks for."""
        told = {name: found[1][::-1].hex() for name, value in self.options.items() if value == "@1"}
        return self.options | told


def _filled(text: str, unit: int | None) -> str:
    number = unit or 0
    places = {
        "unit": f"{number}",
        "hex": f"{number:02X}",
        "letter": chr(64 + number % 27),
        "high": f"\\x{number + 128:02x}",
    }
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _read(text: str) -> ReadRegisters:
    table, address, count = text.split(":")
    return ReadRegisters(cast(Table, table), int(address), int(count))


@cache
def signatures(way: str) -> tuple[Signature, ...]:
    """All rows of one way, in the order they are tried."""
    text = resources.files("agent").joinpath("doctor", "signatures.csv").read_text(encoding="utf-8")
    return tuple(
        Signature(
            driver=row["driver"],
            way=cast(Literal["modbus", "text", "stream"], row["way"]),
            unit=int(row["unit"]) if row["unit"] else None,
            more=tuple(int(unit) for unit in row["more"].split()),
            question=row["question"],
            answer=row["answer"],
            options=json.loads(row["options"] or "{}"),
            refuses=tuple(_read(one) for one in row["refuses"].split()),
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
        if row["way"] == way
    )
