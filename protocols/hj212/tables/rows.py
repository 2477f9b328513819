"""Rows of a table file, and how sure a row is of each edition."""

import csv
from collections.abc import Iterator
from importlib import resources

from protocols.hj212.profile import Edition

# What the evidence words of a row mean, in both languages.
EVIDENCE = {
    "std2017": ("read in the text of HJ 212-2017", "见于 HJ 212-2017 原文"),
    "code2025": (
        "public code that quotes or implements 2025; its text was not read",
        "见于引用或实现 2025 版的公开代码，未读原文",
    ),
    "code2005": ("public code or a published frame of the 2005 form", "见于公开代码或已公布的 2005 版报文"),
    "seen": ("another public source", "见于其他公开资料"),
    "recall": ("from memory: confirm before relying on it", "凭记忆，使用前须核实"),
    "inferred": ("taken over from the neighbouring edition", "由相邻版本推断"),
    "own": ("our own use or design", "本项目自定"),
}


def rows(name: str) -> Iterator[dict[str, str]]:
    """Rows of one file of this folder, by column."""
    text = resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())


def editions(cell: str) -> dict[Edition, str]:
    """`2005=recall 2017=std2017` as evidence by edition."""
    pairs = (part.split("=") for part in cell.split())
    return {Edition(int(year)): evidence for year, evidence in pairs}
