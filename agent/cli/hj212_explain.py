"""`plumeline hj212 explain`: what the tables of HJ 212 say of a code."""

import argparse
import dataclasses
import difflib
import json
import sys
from typing import Any, Final

from agent.cli.words import say
from host.table import table
from protocols.hj212 import Edition
from protocols.hj212.tables.lookup import Entry, codes
from protocols.hj212.tables.lookup import explain as explained
from protocols.tlog_carried import MARK

NEAREST: Final = 5
# Not of the standard: what our stations put into the logger's log.
_OURS: Final = Entry(
    "info", MARK, "signed checkpoint of the station's ledger", "台站账本的签名检查点", "", frozenset({2017, 2025}),
    "docs/ledger.md", "",
    "in i21001: //TLOG1 origin size root signature//, both blobs in base64url without padding; not of the standard",
    "写在 i21001 中：//TLOG1 来源 大小 根 签名//，后两项为不带填充的 base64url；不属于该标准",
)  # fmt: skip
_COLUMNS: Final = ("kind", "code", "name_en", "name_zh", "unit", "editions", "source", "notes")


def explain(line: argparse.Namespace) -> int:
    """Print every row about a code; 1 where there is none, with the codes nearest to it."""
    edition = None if line.edition is None else Edition(line.edition)
    entries = explained(line.code, edition)
    if line.code.strip(" /").split(" ")[0].upper() == MARK and edition != Edition.HJ2005:
        entries = [_OURS]
    if line.json:
        print(json.dumps([_plain(dataclasses.asdict(entry)) for entry in entries], indent=1, ensure_ascii=False))
    elif entries:
        head = [say(f"hj212.{name}", line.lang) for name in _COLUMNS]
        shown = [
            {**dataclasses.asdict(one), "notes": one.notes_zh if line.lang == "zh" else one.notes} for one in entries
        ]
        print(table(head, [[_text(row[name]) for name in _COLUMNS] for row in shown]))
    if entries:
        return 0
    near = ", ".join(difflib.get_close_matches(line.code, codes(), NEAREST, cutoff=0.5)) or "-"
    print(say("hj212.unknown", line.lang, code=line.code, near=near), file=sys.stderr)
    return 1


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, (set, frozenset)) else value for name, value in row.items()}


def _text(value: object) -> str:
    return " ".join(str(one) for one in sorted(value)) if isinstance(value, (set, frozenset)) else str(value or "")
