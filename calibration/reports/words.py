"""The words of reports in two languages, as data (`words.toml`): a builder asks for a key and holds no sentence."""

import csv
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from calibration.reports.document import Lang, Level, Verdict
from metrology.measurand import catalogue
from metrology.units import SHOWN


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("calibration.reports").joinpath("words.toml").read_text(encoding="utf-8"))


@cache
def _sources() -> dict[str, str]:
    """Sources of limits in Chinese, by the text of the tables they stand in."""
    text = resources.files("calibration.reports").joinpath("sources.csv").read_text(encoding="utf-8")
    return {row["en"]: row["zh"] for row in csv.DictReader(text.splitlines())}


LEVELS: dict[str, Level] = {
    "pass": "good", "warning": "warn", "adjust": "bad", "fail": "bad", "out-of-control": "bad", "unjudged": "none",
    "no-limit": "none", "not-tested": "none", "suspect": "warn", "agrees": "good", "disagrees": "bad",
    "stack-stopped-meter-running": "bad", "stack-running-meter-stopped": "bad",
}  # fmt: skip


class Words:
    """Words in one language. A missing key is our bug and raises KeyError."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang

    def __call__(self, key: str, **values: object) -> str:
        """Text of a dotted key (`drift.title`) with its places filled in."""
        group, _, name = key.partition(".")
        return str(_table()[group][name][0 if self.lang == "en" else 1]).format(**values)

    def all(self, group: str) -> list[str]:
        """Every text of a group."""
        return [str(texts[0 if self.lang == "en" else 1]) for texts in _table()[group].values()]

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        group, _, name = key.partition(".")
        return name in _table().get(group, {})

    def or_itself(self, group: str, name: str) -> str:
        """A word of a group, or the name where a group is open-ended (a cause, an act, a purpose)."""
        return self(f"{group}.{name}") if self.has(f"{group}.{name}") else name

    def source(self, text: str) -> str:
        """Source of a limit; one that a site wrote itself stays as it is written."""
        return _sources().get(text, text) if self.lang == "zh" else text

    def verdict(self, word: str, verified: bool = True) -> Verdict:
        """A judgement by its word; one from a limit that was not seen in its source says so."""
        return Verdict(word, self(f"verdict.{word}"), LEVELS[word], verified)

    def unit(self, unit: str) -> str:
        """A unit as people write it."""
        return SHOWN.get(unit, unit)

    def series(self, series: str) -> str:
        """A series with the name of its measurand."""
        known = catalogue().get(series.partition(".")[2])
        return series if known is None else f"{series} {known.name_en if self.lang == 'en' else known.name_zh}"
