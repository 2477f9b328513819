"""What the tables say of a code that somebody met: a command, a factor, a letter, a result, a field, a name of ours."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from protocols.hj212.profile import Edition
from protocols.hj212.tables import lists
from protocols.hj212.tables.fields import all_fields
from protocols.hj212.tables.rows import editions, rows

# A letter and a number after a code that stand for a digit: e101xx, i3331x.
_DEVICE: Final = re.compile(r"x+$")
_FORMULA: Final = re.compile(r"\(([A-Za-z][A-Za-z0-9]*)\)$")
_CODED: Final = re.compile(r"(QnRtn|ExeRtn|ST|CN|Flag)\s*[= ]\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of one table. `editions` are the years that have it, none for what belongs to no edition.

    `kind` is one of command, field, pollutant, process, info, flag, return_code, system_type, timer, leniency,
    frame_error. `evidence` has a word of `rows.EVIDENCE` for each edition.
    """

    kind: str
    code: str
    name_en: str
    name_zh: str
    unit: str
    editions: frozenset[int]
    source: str
    evidence: str
    notes: str


def explain(code: str, edition: Edition | None = None) -> list[Entry]:
    """All rows about a code, of one edition or of all; `QnRtn 3`, `ST=31` and the like ask for one table.

    Numbers of devices are filled in: `e10102` is the second `e101xx`. The case of letters does not count where no row
    is written just so. Rows without an edition are always given.
    """
    asked = _CODED.fullmatch(code.strip())
    wanted = asked[2] if asked else code.strip()
    found = [entry for key, entry in _index() if key == wanted] or [
        entry for key, entry in _index() if _same(key, wanted)
    ]
    return [entry for entry in found if _asked_for(entry, asked[1] if asked else "") and _is_of(entry, edition)]


def codes() -> list[str]:
    """Every code that has a row."""
    return sorted({key for key, _ in _index()})


def _asked_for(entry: Entry, name: str) -> bool:
    table = {"st": "system_type", "cn": "command", "flag": "flag"}.get(name.casefold())
    return not name or entry.kind == table or entry.code.casefold().startswith(f"{name.casefold()} ")


def _is_of(entry: Entry, edition: Edition | None) -> bool:
    return edition is None or not entry.editions or int(edition) in entry.editions


def _same(key: str, wanted: str) -> bool:
    """True where a key is the wanted code in another case of letters, or with the number of a device in it."""
    tail = _DEVICE.search(key) if key[:1] in "egi" else None
    if tail is None:
        return key.casefold() == wanted.casefold()
    head, digits = wanted[: tail.start()], wanted[tail.start() :]
    return head.casefold() == key[: tail.start()] and digits.isdecimal() and len(digits) == len(tail[0])


@cache
def _index() -> tuple[tuple[str, Entry], ...]:
    """Rows of all tables by what they are asked for by; a row may have several keys."""
    keyed = (*_commands(), *_fields(), *_lists(), *_names())
    return tuple((key, entry) for keys, entry in keyed for key in keys)


_Keyed = tuple[tuple[str, ...], Entry]


def _entry(kind: str, code: str, row: lists.Row, unit: str = "", notes: str = "") -> Entry:
    evidence = " ".join(f"{year.value}={word}" for year, word in row.editions.items()) or row.evidence
    years = frozenset(int(year) for year in row.editions)
    told = "; ".join(note for note in (notes, row.notes) if note)
    return Entry(kind, code, row.name_en, row.name_zh, unit, years, row.clauses, evidence, told)


def _commands() -> Iterator[_Keyed]:
    for row in rows("commands.csv"):
        way = "station to platform" if row["direction"] == "to_platform" else "platform to station"
        told = [way, row["dialogue"], f"data area {row['area'] or 'empty'}", row["notes"]]
        years = frozenset(int(year) for year in editions(row["editions"]))
        notes = "; ".join(note for note in told if note)
        names = (row["name_en"], row["name_zh"])
        yield (row["cn"],), Entry("command", row["cn"], *names, "", years, row["clauses"], row["editions"], notes)


def _fields() -> Iterator[_Keyed]:
    for field in all_fields():
        evidence = " ".join(f"{year.value}={word}" for year, word in field.editions.items())
        years = frozenset(int(year) for year in field.editions)
        notes = "; ".join(note for note in (field.place, field.wanted, field.notes) if note)
        keys = dict.fromkeys((field.name, re.sub(r"^\{\w+\}-|\{n\}", "", field.name)))
        names = (field.name_en, field.name_zh)
        yield tuple(keys), Entry("field", field.name, *names, "", years, field.clauses, evidence, notes)


def _lists() -> Iterator[_Keyed]:
    for pollutant in lists.pollutants():
        formula = _FORMULA.search(pollutant.name_en)
        keys = (pollutant.code, pollutant.code_2005, formula[1] if formula else "")
        was = f"2005: {pollutant.code_2005}" if pollutant.code_2005 else ""
        entry = _entry("pollutant", pollutant.code or "-", pollutant, pollutant.unit, was)
        yield tuple(dict.fromkeys(key for key in keys if key)), entry
    for process in lists.process_factors():
        yield (process.code,), _entry("process", process.code, process, process.unit, process.process)
    for info in lists.info_codes():
        values = ", ".join(f"{value} {meaning}" for value, meaning in info.values.items())
        family = f"{info.device}, {info.family}" + (f": {values}" if values else "")
        yield (info.code,), _entry("info", info.code, info, info.unit, family)
    for flag in lists.flags():
        yield (flag.letter,), _entry("flag", flag.letter, flag, notes=f"{flag.family} set")
    for code in lists.return_codes():
        yield (str(code.value),), _entry("return_code", f"{code.field} {code.value}", code, notes=code.advice)
    for system in lists.system_types():
        yield (system.st,), _entry("system_type", system.st, system)
    for timer in lists.timers():
        bounds = f"{timer.minimum} to {timer.maximum}" if timer.maximum else ""
        default = f"default {timer.default}" if timer.default else ""
        yield (timer.name,), _entry("timer", timer.name, timer, timer.unit, ", ".join(filter(None, (default, bounds))))


def _names() -> Iterator[_Keyed]:
    tables: Iterable[tuple[str, tuple[tuple[str, str, str], ...]]] = (
        ("leniency", lists.leniencies()),
        ("frame_error", lists.frame_errors()),
    )
    for kind, names in tables:
        for name, english, chinese in names:
            yield (name,), Entry(kind, name, english, chinese, "", frozenset(), "docs/hj212.md", "own", "")
