"""Problems of a configuration: where, what is wrong, what to write instead; the sentences are data in two languages."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

Lang = Literal["en", "zh"]
Severity = Literal["error", "warning"]
SHOWN_CHARACTERS_MAX: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong. `line` and `column` count from 1 in characters (1 and 1 where the file itself is the problem).

    `key` is the dotted path of the key concerned, `code` the stable name of the sentence, the same in every language.
    """

    path: str
    line: int
    column: int
    severity: Severity
    code: str
    key: str
    what: str
    remedy: str

    def __str__(self) -> str:
        gap = "" if self.what.endswith("。") else " "
        return f"{self.path}:{self.line}:{self.column}: {self.severity}: {self.what}{gap}{self.remedy}"


class ConfigErrors(Exception):  # noqa: N818  one exception holds them all
    """A configuration that cannot be used, with every problem found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def language(environ: Mapping[str, str] = os.environ) -> Lang:
    """Language of messages by the locale: `zh` where it says so, else `en` (POSIX order LC_ALL, LC_MESSAGES, LANG)."""
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if locale.lower().startswith("zh") else "en"


def shown(value: Any) -> str:
    """A value as a message prints it: JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."


class Sentences:
    """A table of sentences (TOML beside the code): `[code]` with `en`, `zh`, each `[what, remedy]`; and `[words]`."""

    def __init__(self, package: str, name: str) -> None:
        self.table = tomllib.loads(resources.files(package).joinpath(name).read_text(encoding="utf-8"))

    def say(self, code: str, lang: Lang, /, **values: Any) -> tuple[str, str]:
        """Give what is wrong and the remedy. Raises KeyError for a code or value that does not exist: our bug."""
        what, remedy = self.table[code][lang]
        return what.format(**values), remedy.format(**values)

    def word(self, name: str, lang: Lang) -> str | None:
        """Give a word or phrase of the `[words]` table, None where it has none."""
        row = self.table["words"].get(name)
        return str(row[lang]) if row else None


@cache
def sentences() -> Sentences:
    """Sentences about files, syntax and single values."""
    return Sentences("host", "problems.toml")
