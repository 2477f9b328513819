"""Damage inside of JSON: what comes out is JSON again, so that it gets past the reader to what looks at members."""

import json
import random
import re
from typing import Any, Final

VALUES: Final = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e300, 5e-324, 2**53, 2**53 + 1, 2**63, -(2**63), 10**30, "", "a",
    "\x00", "é", "𝄞", "2026-01-01T00:00:00.000Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z", "NaN", "x" * 201, [], {}, [[]], [None], {"": None}, [["calibration", "a", "2026"]],
)  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and item, as what holds it and its key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            found += [(holder, key) for key in holder]
            waiting += [one for one in holder.values() if isinstance(one, dict | list)]
        elif isinstance(holder, list):
            found += [(holder, key) for key in range(len(holder))]
            waiting += [one for one in holder if isinstance(one, dict | list)]
    return found


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


def damaged(value: Any, rng: random.Random) -> Any:
    """The same with a member dropped, given twice, renamed, moved, or of another value."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = _places(value)
        if not places or not rng.randrange(len(places) + 1):
            continue
        parent, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[rng.choice((key + "x", key.upper(), "", "t", "kind"))] = parent.pop(key)
            case 2:
                holder, other = rng.choice(places)
                parent[key] = _copy(holder[other] if rng.randrange(len(places)) else value)
            case 3 if isinstance(parent, list):
                parent.insert(key, _copy(parent[key]))
            case 4 if type(parent[key]) in (int, float) and abs(parent[key]) < 2**63:
                parent[key] = parent[key] * rng.choice((-1, 0, 10, 1e9)) + rng.choice((0, 1, -1))
            case _:
                parent[key] = _copy(rng.choice(VALUES))
    return value


# What no writer makes of a value and a reader takes all the same.
RAW: Final = (b"1e400", b"-1e400", b'"\\ud800"', b'"a\\uDfff"', b"1E5", b"0.10", b"-0", b"9" * 400, b"[[[[[[[[]]]]]]]]")
_SCALAR: Final = re.compile(rb'(?<=:)("[^"\\]*"|-?[0-9.eE+-]+|true|false|null)')


def spoiled(text: bytes, rng: random.Random) -> bytes:
    """Now and then one value of a JSON text in a form of RAW."""
    found = list(_SCALAR.finditer(text)) if not rng.randrange(4) else []
    if not found:
        return text
    one = rng.choice(found)
    return text[: one.start()] + rng.choice(RAW) + text[one.end() :]
