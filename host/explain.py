"""What pydantic refused, said as: where, what stands there, what is allowed, and the nearest name that exists."""

import difflib
import types
from collections.abc import Iterable
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from host.document import Document, KeyPath
from host.problems import Problem, sentences, shown

# pydantic's error types (docs.pydantic.dev, "Validation errors") and the word for what they wanted.
_WANTED: Final = {
    "int_type": "whole-number", "int_parsing": "whole-number", "int_from_float": "whole-number",
    "float_type": "number", "float_parsing": "number", "finite_number": "number",
    "string_type": "text", "bool_type": "true-false", "bool_parsing": "true-false",
    "list_type": "list", "dict_type": "block", "model_type": "block", "model_attributes_type": "block",
    "date_type": "date", "date_parsing": "date", "date_from_datetime_parsing": "date",
    "date_from_datetime_inexact": "date",
}  # fmt: skip
_LIMITS: Final = {
    "greater_than_equal": ("ge", ">="), "greater_than": ("gt", ">"), "less_than_equal": ("le", "<="),
    "less_than": ("lt", "<"),
}  # fmt: skip


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, None where none is."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.6)), None)


def explain(document: Document, model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """One problem for each thing pydantic found, in the language of the document; members of one union are merged.

    A misspelled key that must be given is one problem, the misspelling, and not a missing key as well.
    """
    found: dict[tuple[KeyPath, bool], Problem] = {}
    meant: set[KeyPath] = set()
    for detail in error.errors(include_url=False, include_context=True):
        path, allowed = _path(document, model, detail)
        if detail["type"] == "union_tag_not_found" and (written := _misspelled(detail, allowed)):
            path = (*path[:-1], written)
            detail["type"] = "extra_forbidden"
        at_key = detail["type"] == "extra_forbidden" or "[key]" in detail["loc"]
        if detail["type"] == "extra_forbidden" and (near := nearest(str(path[-1]), allowed)):
            meant.add((*path[:-1], near))
        found.setdefault((path, at_key), _problem(document, path, allowed, detail, at_key=at_key))
    return [one for (path, _), one in found.items() if one.code != "key-missing" or path not in meant]


def _misspelled(detail: ErrorDetails, allowed: list[str]) -> str | None:
    """What was written where the key that tells the members of a union apart should stand."""
    given = detail["input"] if isinstance(detail["input"], dict) else {}
    return nearest(_discriminator(detail), [str(key) for key in given if key not in allowed])


def _path(document: Document, model: type[BaseModel], detail: ErrorDetails) -> tuple[KeyPath, list[str]]:
    """Keys of an error, without what pydantic adds for unions; and the keys that are allowed in the innermost block."""
    path: KeyPath = ()
    kind: Any = model
    last = len(detail["loc"]) - 1
    allowed = list(model.model_fields)
    for depth, step in enumerate(detail["loc"]):
        inner = _inner(kind, step)
        if document.has((*path, step)) or (depth == last and detail["type"] == "missing"):
            path = (*path, step)
        kind = inner
        if isinstance(kind, type) and issubclass(kind, BaseModel) and depth < last:
            allowed = list(kind.model_fields)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, _discriminator(detail))
        allowed = [name for member in get_args(kind) for name in getattr(_bare(member), "model_fields", ())]
    return path, sorted(set(allowed))


def _discriminator(detail: ErrorDetails) -> str:
    """The key that tells the members of a union apart."""
    return str(detail["ctx"]["discriminator"]).strip("'")


def _inner(kind: Any, step: str | int) -> Any:
    """The annotation one step further in: a field, the values of a dict, the items of a list, a member of a union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return _bare(field.annotation) if field else None
    if get_origin(kind) in (dict, list):
        return _bare(get_args(kind)[-1])
    if get_origin(kind) is tuple:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        members = [_bare(member) for member in get_args(kind)]
        return next((member for member in members if step in _tags(member)), None)
    return None


def _bare(annotation: Any) -> Any:
    """An annotation without its `Annotated` shell, and without the None beside one other kind."""
    bare = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    if get_origin(bare) in (Union, types.UnionType):
        others = [member for member in get_args(bare) if member is not type(None)]
        return _bare(others[0]) if len(others) == 1 else bare
    return bare


def _tags(member: Any) -> tuple[Any, ...]:
    """Values of the `kind` key of a member of a tagged union."""
    fields = getattr(member, "model_fields", {})
    return get_args(fields["kind"].annotation) if "kind" in fields else ()


def _problem(document: Document, path: KeyPath, allowed: list[str], detail: ErrorDetails, *, at_key: bool) -> Problem:
    code, values = _sentence(document, path, allowed, detail)
    return document.problem(code, path, at_key=at_key, **values)


def _sentence(
    document: Document, path: KeyPath, allowed: list[str], detail: ErrorDetails
) -> tuple[str, dict[str, Any]]:
    """The sentence for one error, and the values it prints."""
    kind, context, found = detail["type"], detail.get("ctx", {}), shown(detail["input"])
    key = str(path[-1]) if path else document.path
    if kind == "extra_forbidden":
        return _unknown_key(key, allowed)
    if kind == "missing":
        return "key-missing", {"key": key}
    if kind in _WANTED:
        if context.get("class_name") == "SecretRef":
            return "secret-in-clear", {}
        return "wrong-type", {"found": found, "wanted": sentences().word(_WANTED[kind], document.lang)}
    if kind in _LIMITS:
        name, sign = _LIMITS[kind]
        return "out-of-limits", {"found": found, "limit": f"{sign} {context[name]}"}
    return _choice(document, kind, context, found, detail)


def _unknown_key(key: str, allowed: list[str]) -> tuple[str, dict[str, Any]]:
    near = nearest(key, allowed)
    return ("key-unknown-near" if near else "key-unknown"), {"key": key, "near": near, "allowed": ", ".join(allowed)}


def _choice(
    document: Document, kind: str, context: dict[str, Any], found: str, detail: ErrorDetails
) -> tuple[str, dict[str, Any]]:
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = str(context.get("expected") or context.get("expected_tags")).replace("'", '"')
        # pydantic gives the tag as text, whatever was written.
        word = shown(detail["input"][_discriminator(detail)]) if "tag" in context else found
        near = nearest(word.strip('"'), (part.strip(' "') for part in allowed.replace(" or ", ",").split(",")))
        return ("not-a-choice-near" if near else "not-a-choice"), {"found": word, "allowed": allowed, "near": near}
    if kind == "union_tag_not_found":
        return "key-missing", {"key": _discriminator(detail)}
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return "wrong-form", {"found": found, "form": sentences().word(pattern, document.lang) or pattern}
    if kind in ("too_short", "string_too_short"):
        return "too-short", {"least": context.get("min_length")}
    if kind in sentences().table:
        return kind, dict(context)
    return "refused", {"found": found, "reason": detail["msg"].removeprefix("Value error, ")}
