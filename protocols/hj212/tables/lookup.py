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
    notes_zh: str


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
# One remark in English and Chinese.
_Note = tuple[str, str]


@cache
def _chinese() -> dict[str, str]:
    return {row["en"]: row["zh"] for row in rows("notes_zh.csv")}


def _note(text: str) -> _Note:
    """A remark of a table with its translation."""
    return (text, _chinese()[text] if text else "")


def _entry(
    kind: str, code: str, names: tuple[str, str], years: dict[Edition, str], source: str, notes: Iterable[_Note],
    *, unit: str = "", evidence: str = "",
) -> Entry:  # fmt: skip
    told = [note for note in notes if note[0]]
    words = " ".join(f"{year.value}={word}" for year, word in years.items()) or evidence
    english, chinese = "; ".join(note[0] for note in told), "；".join(note[1] for note in told)
    return Entry(kind, code, *names, unit, frozenset(int(year) for year in years), source, words, english, chinese)


def _of_row(kind: str, code: str, row: lists.Row, *notes: _Note, unit: str = "") -> Entry:
    told = (*notes, _note(row.notes))
    names = (row.name_en, row.name_zh)
    return _entry(kind, code, names, row.editions, row.clauses, told, unit=unit, evidence=row.evidence)


def _commands() -> Iterator[_Keyed]:
    for row in rows("commands.csv"):
        way = _note("station to platform" if row["direction"] == "to_platform" else "platform to station")
        area = (
            (f"data area {row['area']}", f"数据区 {row['area']}") if row["area"] else ("data area empty", "数据区为空")
        )
        notes = (way, _note(row["dialogue"]), area, _note(row["notes"]))
        names = (row["name_en"], row["name_zh"])
        yield (row["cn"],), _entry("command", row["cn"], names, editions(row["editions"]), row["clauses"], notes)


def _fields() -> Iterator[_Keyed]:
    for field in all_fields():
        notes = (_note(field.place), (field.wanted, field.wanted_zh), _note(field.notes))
        keys = dict.fromkeys((field.name, re.sub(r"^\{\w+\}-|\{n\}", "", field.name)))
        names = (field.name_en, field.name_zh)
        yield tuple(keys), _entry("field", field.name, names, field.editions, field.clauses, notes)


def _lists() -> Iterator[_Keyed]:
    for pollutant in lists.pollutants():
        formula = _FORMULA.search(pollutant.name_en)
        keys = (pollutant.code, pollutant.code_2005, formula[1] if formula else "")
        was = f"2005: {pollutant.code_2005}" if pollutant.code_2005 else ""
        entry = _of_row("pollutant", pollutant.code or "-", pollutant, (was, was), unit=pollutant.unit)
        yield tuple(dict.fromkeys(key for key in keys if key)), entry
    for process in lists.process_factors():
        yield (process.code,), _of_row("process", process.code, process, _note(process.process), unit=process.unit)
    for info in lists.info_codes():
        notes = (_note(info.device), _note(info.family), _values(info.values))
        yield (info.code,), _of_row("info", info.code, info, *notes, unit=info.unit)
    for flag in lists.flags():
        yield (flag.letter,), _of_row("flag", flag.letter, flag, _note(f"{flag.family} set"))
    for code in lists.return_codes():
        yield (str(code.value),), _of_row("return_code", f"{code.field} {code.value}", code, _note(code.advice))
    for system in lists.system_types():
        yield (system.st,), _of_row("system_type", system.st, system)
    for timer in lists.timers():
        default = (f"default {timer.default}", f"默认 {timer.default}") if timer.default else ("", "")
        bounds = (f"{timer.minimum} to {timer.maximum}", f"{timer.minimum} 至 {timer.maximum}")
        told = (default, bounds if timer.maximum else ("", ""))
        yield (timer.name,), _of_row("timer", timer.name, timer, *told, unit=timer.unit)


def _values(values: dict[str, str]) -> _Note:
    pairs = [(value, _note(meaning)) for value, meaning in values.items()]
    return ", ".join(f"{value} {note[0]}" for value, note in pairs), "，".join(
        f"{value} {note[1]}" for value, note in pairs
    )


def _names() -> Iterator[_Keyed]:
    for kind, names in (("leniency", lists.leniencies()), ("frame_error", lists.frame_errors())):
        for name, english, chinese in names:
            yield (name,), _entry(kind, name, (english, chinese), {}, "docs/hj212.md", (), evidence="own")
