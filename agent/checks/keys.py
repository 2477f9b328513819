"""Every key a station's configuration may hold: its type, default, limits and meaning (`keys.toml`, two languages).

The command line explains keys from this, and the reference in docs/run-a-station.md is this table.
"""

import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import resources
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config import Config
from host.explain import nearest
from host.problems import Lang
from host.secrets import SecretRef

_WORDS: Final = {str: "text", int: "whole number", float: "number", bool: "true or false", date: "date"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key; `*` in it stands for a name you choose, `[]` for an item of a list."""

    key: str
    kind: str
    required: bool
    default: Any
    meaning: str


def explained(lang: Lang) -> list[Key]:
    """All keys in the order of the model. Raises KeyError for a key without meaning: our bug, a test finds it."""
    meanings = tomllib.loads(resources.files("agent.checks").joinpath("keys.toml").read_text(encoding="utf-8"))
    found: dict[str, Key] = {}
    for path, field in _keys(Config, ""):
        kind = _kind(field.annotation, field)
        if path in found:  # a key of two kinds of block
            kinds = dict.fromkeys([found[path].kind, kind])
            found[path] = replace(found[path], kind=" | ".join(kinds))
            continue
        required = field.is_required()
        default = None if required else field.get_default(call_default_factory=True)
        # The defaults of a block are those of its keys.
        default = None if isinstance(default, BaseModel) else default
        found[path] = Key(path, kind, required, default, meanings[path][lang == "zh"])
    return list(found.values())


def matching(rows: list[Key], asked: str) -> list[Key]:
    """Rows of a key and of all below it; where there is no such key, rows whose key holds the text.

    `*` stands for any name, and so does a name of your own: `buses.plc.timeout_s` is `buses.*.timeout_s`.
    """
    steps = _steps(asked)
    return [row for row in rows if _is_at(_steps(row.key), steps)] or [row for row in rows if asked in row.key]


def near(rows: list[Key], asked: str) -> str | None:
    """The key most like one that does not exist: as a whole, else by its last step."""
    whole = nearest(asked, (row.key for row in rows))
    if whole is not None:
        return whole
    last = nearest(_steps(asked)[-1], (_steps(row.key)[-1] for row in rows))
    return next((row.key for row in rows if _steps(row.key)[-1] == last), None)


def _steps(key: str) -> list[str]:
    """Steps of a key without the marks of list items, `[]` or `[0]`."""
    return [step.partition("[")[0] for step in key.split(".")]


def _is_at(key: list[str], asked: list[str]) -> bool:
    """True for a key whose first steps are those asked for."""
    return len(key) >= len(asked) and all(
        "*" in (mine, theirs) or mine == theirs for mine, theirs in zip(key, asked, strict=False)
    )


def _keys(model: type[BaseModel], before: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        path = f"{before}{name}"
        yield path, field
        yield from _within(field.annotation, path)


def _within(annotation: Any, path: str) -> Iterator[tuple[str, FieldInfo]]:
    """Keys below an annotation, through dicts, lists and unions."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is not SecretRef:
            yield from _keys(annotation, f"{path}.")
    elif origin is dict:
        yield from _within(get_args(annotation)[1], f"{path}.*")
    elif origin is list:
        yield from _within(get_args(annotation)[0], f"{path}[]")
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _within(member, path)
    elif hasattr(annotation, "__metadata__"):
        yield from _within(get_args(annotation)[0], path)


def _kind(annotation: Any, field: FieldInfo) -> str:
    """A type in words, with its limits."""
    limits = [f"{sign} {getattr(limit, name)}" for limit in field.metadata for name, sign in
              (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")) if hasattr(limit, name)]  # fmt: skip
    return ", ".join([_type(annotation), *limits])


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is Literal:
        return " | ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in inner)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(_type(one) for one in inner if one is not type(None)))
    if annotation is SecretRef:
        return "secret"
    if origin is dict and not (isinstance(inner[1], type) and issubclass(inner[1], BaseModel)):
        return f"block of {_type(inner[1])}"
    return "block"
