"""`plumeline account`: the fuel account of a file beside the hours measured in the stack."""

import argparse
import json
import sys
from dataclasses import asdict, replace

from agent.cli.words import say
from host.fuel_files import read_books, read_measured
from host.problems import ConfigErrors, Lang
from host.table import table
from metrology.fuel.account import Account, Options, Period, Row
from metrology.fuel.account import account as set_beside
from metrology.periods import iso
from metrology.stack.substitution import substitute


def account(line: argparse.Namespace) -> int:
    """Print the rows; 1 where a unit's books and stack do not agree or contradict its meter, 2 for unreadable files."""
    try:
        books = read_books(line.fuel, line.lang)
        measured = read_measured(line.measured, line.lang) if line.measured else {}
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    if line.substitute != "none":
        measured = {
            unit: replace(one, substituted=substitute(one.hours, line.substitute)) for unit, one in measured.items()
        }
    periods: tuple[Period, ...] = (line.period,) if line.period == "total" else (line.period, "total")
    found = set_beside(books, measured, Options(periods=periods, ratio=line.ratio, idle_kWh=line.idle))
    print(json.dumps(fields(found), ensure_ascii=False) if line.json else _shown(found, line.lang))
    return int(any(row.agrees is False for row in found.rows) or any(found.contradictions.values()))


def fields(found: Account) -> dict[str, object]:
    """The account as JSON: rows as they are, times as in records."""
    return {
        "rows": [{**asdict(row), "agrees": row.agrees, "hours_ran": row.hours.ran} for row in found.rows],
        "contradictions": {
            unit: [{**asdict(one), "start": iso(one.start), "end": iso(one.end)} for one in several]
            for unit, several in found.contradictions.items()
        },
    }


def _shown(found: Account, lang: Lang) -> str:
    head = [
        say(f"account.{name}", lang)
        for name in ("unit", "period", "expected", "u", "measured", "u", "substituted", "hours", "difference", "en")
    ]
    text = [table(head, [_cells(row) for row in found.rows], right=range(2, 10))]
    for row in found.rows:
        if row.period == "total":
            text += _told(row, lang)
    for unit, several in found.contradictions.items():
        text += [
            say(
                f"account.{one.what}", lang, unit=unit, start=iso(one.start), hours=one.hours, kwh=f"{one.energy_kWh:g}"
            )
            for one in several
        ]
    return "\n".join(text)


def _cells(row: Row) -> list[str]:
    percent = "" if row.relative_percent is None else f" ({row.relative_percent:+.1f} %)"
    return [
        row.unit, row.key, f"{row.expected_t:.1f}", f"{row.expected_u_t:.1f}", f"{row.measured_t:.1f}",
        f"{row.measured_u_t:.1f}", f"{row.substituted_t:.1f}", f"{row.hours.counted}/{row.hours.ran}",
        f"{row.difference_t:+.1f}{percent}", "" if row.en is None else f"{row.en:+.2f}",
    ]  # fmt: skip


def _told(row: Row, lang: Lang) -> list[str]:
    """What explains the difference, and what was assumed."""
    told = [say("account.explained", lang, unit=row.unit, difference=f"{row.difference_t:+.1f}")]
    for one in row.explanations:
        needed = ""
        if one.needed:
            quantity, change, unit = one.needed
            needed = say("account.needed", lang, quantity=quantity, change=f"{change:+.2f}", unit=unit)
        amount = f"{one.amount_t:+.1f}" if one.known else f"±{abs(one.amount_t):.1f}"
        told.append(f"  {say(f'account.cause.{one.cause}', lang)}: {amount} t{needed}")
    if row.assumed:
        told.append(say("account.assumed", lang, names=", ".join(row.assumed)))
    if row.by_hand_hours:
        told.append(say("account.by-hand", lang, hours=row.by_hand_hours))
    return told
