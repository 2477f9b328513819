"""Words in two languages, as data: a page asks for a key and never holds a sentence itself."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal, cast

Lang = Literal["en", "zh"]


@cache
def table(package: str) -> dict[str, dict[str, str]]:
    """Words of a package (its `words.toml`), with the shared ones of `web` beneath."""
    text = resources.files(package).joinpath("words.toml").read_text(encoding="utf-8")
    own = tomllib.loads(text)
    return own if package == "web" else {**table("web"), **own}


class Words:
    """Words of one package in one language; a missing key is our bug and raises KeyError."""

    def __init__(self, package: str, lang: Lang) -> None:
        self.lang = lang
        self._table = table(package)

    def __call__(self, key: str, **values: object) -> str:
        """Text of a key with its `{places}` filled in."""
        return self._table[key][self.lang].format(**values)

    def all(self) -> dict[str, str]:
        """Every text by its key, for the scripts of a page."""
        return {key: texts[self.lang] for key, texts in self._table.items()}


def language(cookies: Mapping[str, str], accept: str) -> Lang:
    """Language of a visitor: the one chosen, else the first of the browser's that we speak, else English."""
    if cookies.get("lang") in ("en", "zh"):
        return cast(Lang, cookies["lang"])
    for part in accept.split(","):
        code = part.split(";")[0].strip().lower()[:2]
        if code in ("en", "zh"):
            return cast(Lang, code)
    return "en"
