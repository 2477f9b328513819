"""A number is a number: no key of any configuration takes true, a text or a fraction for one."""

import types
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError, create_model

import agent.config
import central.config
from agent.checks.check import check_file
from drivers.register_table import RegisterMap
from drivers.text_line import LineTable
from host.hjson import Strict

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def models(kind: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """A model and all models inside it."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for field in kind.model_fields.values():
        for inner in parts(field.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from models(inner, seen)


def parts(annotation: Any) -> Iterator[Any]:
    """All types an annotation is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for inner in get_args(annotation):
            yield from parts(inner)


def numeric(annotation: Any) -> list[tuple[Any, type]]:
    """Ways to put one number where the annotation wants it (a function of the number), and what kind of number."""
    if hasattr(annotation, "__metadata__"):
        return numeric(get_args(annotation)[0])
    if annotation in (int, float):
        return [(lambda one: one, annotation)]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return [(lambda one: one, int)] if all(isinstance(one, int) for one in inner) else []
    if origin in (Union, types.UnionType):
        return [] if {bool, str} & set(inner) else [way for one in inner for way in numeric(one)]
    if origin is list or (origin is tuple and inner[1:] == (...,)):
        return [(lambda one, into=into: [into(one)], kind) for into, kind in numeric(inner[0])]
    if origin is dict:
        return [(lambda one, into=into: {"a": into(one)}, kind) for into, kind in numeric(inner[1])]
    return []


KEYS = [
    pytest.param(model, name, into, kind, id=f"{model.__module__}.{model.__name__}.{name}")
    for top in (agent.config.Config, central.config.Config, RegisterMap, LineTable)
    for model in models(top, set())
    for name, field in model.model_fields.items()
    for into, kind in numeric(field.annotation)
]


def test_the_keys_are_found() -> None:
    names = {str(key.id).rsplit(".", 1)[-1] for key in KEYS}
    assert {"stop_bits", "data_bits", "edition", "poll_s", "latitude", "minute_min", "scale", "address"} <= names
    assert len(KEYS) > 100


@pytest.mark.parametrize(("model", "name", "into", "kind"), KEYS)
def test_no_key_takes_something_else_for_a_number(model: type[BaseModel], name: str, into: Any, kind: type) -> None:
    field = model.model_fields[name]
    base: Any = Strict if issubclass(model, Strict) else model.__bases__[0]
    one = create_model("One", __base__=base, **{name: (field.annotation, field)})  # type: ignore[call-overload]
    wrong = [True, False, "1", "", None] if types.NoneType not in get_args(field.annotation) else [True, False, "1", ""]
    if kind is int:
        wrong += [1.0, 2.5]
    for value in wrong:
        with pytest.raises(ValidationError):
            one.model_validate({name: into(value)})


@pytest.mark.parametrize("value", ["true", "1.5", '"1"', "3"])
def test_stop_bits_are_told_with_their_place(tmp_path: Path, root: Path, value: str) -> None:
    text = (root / "config" / "blocks" / "senseair_k30.hjson").read_text(encoding="utf-8")
    assert "baud: 9600" in text
    path = tmp_path / "station.hjson"
    path.write_text(text.replace("baud: 9600", f"baud: 9600, stop_bits: {value}"), encoding="utf-8")
    found = [one for one in check_file(path, now=NOW).problems if one.key.endswith("stop_bits")]
    assert [one.code for one in found] == [
        "wrong-type" if value in ("true", "1.5") else "not-a-choice-near" if "1" in value else "not-a-choice"
    ]
    assert found[0].line == text.splitlines().index(next(one for one in text.splitlines() if "baud" in one)) + 1
