"""HJSON as a person would write it: words and keys without quotes, texts of several lines, no commas.

Faster than the library's own writer, which would take most of the time of a campaign.
"""

import json
import re
from typing import Any, Final

_KEY: Final = re.compile(r"[^\W\d][\w.-]*")
_WORD: Final = re.compile(r"(?!(?:true|false|null)\b)[^\W\d][\w.:/ -]*(?<![ /])")


def written(value: Any, pad: str = "\n") -> str:
    """The text of a value whose lines begin behind `pad`."""
    inner = pad + " "
    if isinstance(value, dict):
        rows = [f"{inner}{_key(key)}: {written(one, inner)}" for key, one in value.items()]
        return "{" + "".join(rows) + pad + "}"
    if isinstance(value, list):
        return "[" + "".join([inner + written(one, inner) for one in value]) + pad + "]"
    if isinstance(value, str):
        if _WORD.fullmatch(value) and "//" not in value:
            return value
        if "\n" in value and "'''" not in value:
            return f"{inner}'''{inner}{value.replace(chr(10), inner)}{inner}'''"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
