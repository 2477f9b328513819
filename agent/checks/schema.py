"""JSON Schema (draft 2020-12) of a station's configuration, for editors: what each key means, each driver's options.

Made of the pydantic shape, with the meanings of `keys.toml` as descriptions. Definitions are written out where they are
used, because one shape may mean different things at two places.
"""

from typing import Any, Final

from agent.checks.keys import explained
from agent.config import Config
from drivers.registry import driver_names, entry
from host.problems import Lang
from metrology.declaration import DriverInfo, Option

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
# What an option of each kind may be.
_KINDS: Final[dict[str, Schema]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "whole number": {"type": "integer"},
    "list of texts": {"type": "array", "items": {"type": "string"}},
}
# pydantic's own words: titles made of names, descriptions made of docstrings, OpenAPI's way to tell a union apart.
_DROPPED: Final = frozenset({"title", "description", "discriminator", "$defs"})


def schema(lang: Lang) -> Schema:
    """The whole schema with the drivers known on this machine."""
    raw = Config.model_json_schema()
    meanings = {key.key: key.meaning for key in explained(lang)}
    made = _written(raw, raw["$defs"], "", meanings)
    instrument = made["properties"]["instruments"]["patternProperties"]
    for block in instrument.values():
        # A name, or the whole path of a map of the station's own.
        block["properties"]["driver"]["anyOf"] = [{"enum": driver_names()}, {"pattern": "^/.*[.]hjson$"}]
        block["allOf"] = [_of_driver(entry(name).info) for name in driver_names()]
    return {"$schema": DIALECT, "title": "Plumeline station", **made}


def _written(node: Schema, defs: dict[str, Schema], path: str, meanings: dict[str, str]) -> Schema:
    """A schema with its references written out and its meaning told; `path` is the key as `keys.toml` has it."""
    if "$ref" in node:
        node = {**defs[node["$ref"].rsplit("/", 1)[1]], **{key: value for key, value in node.items() if key != "$ref"}}
    made: Schema = {"description": meanings[path]} if path in meanings else {}
    for word, value in node.items():
        if word in _DROPPED:
            continue
        made[word] = _inner(word, value, defs, path, meanings)
    if "patternProperties" in made:
        made["additionalProperties"] = False
    return made


def _inner(word: str, value: Any, defs: dict[str, Schema], path: str, meanings: dict[str, str]) -> Any:
    """The value of one word of a schema."""
    below = f"{path}." if path else ""
    match word:
        case "properties":
            return {key: _written(inner, defs, f"{below}{key}", meanings) for key, inner in value.items()}
        case "patternProperties":
            return {key: _written(inner, defs, f"{below}*", meanings) for key, inner in value.items()}
        case "additionalProperties" if isinstance(value, dict):
            return _written(value, defs, f"{below}*", meanings)
        case "items":
            return _written(value, defs, f"{path}[]", meanings)
        case "anyOf" | "oneOf":
            return [
                {k: v for k, v in _written(one, defs, path, meanings).items() if k != "description"} for one in value
            ]
    return value


def _of_driver(info: DriverInfo) -> Schema:
    """What holds for an instrument of one driver: its options, and the measurands its series may be of."""
    needed = [name for name, option in info.options.items() if option.default is None]
    options: Schema = {
        "properties": {name: _option(option) for name, option in info.options.items()},
        "additionalProperties": False,
    }
    then: Schema = {
        "properties": {
            "options": {**options, "required": needed} if needed else options,
            "series": {"propertyNames": {"enum": sorted(info.measurands)}},
        }
    }
    if needed:
        then["required"] = ["options"]
    return {"if": {"properties": {"driver": {"const": info.name}}, "required": ["driver"]}, "then": then}


def _option(option: Option) -> Schema:
    kinds = [_KINDS[kind] for kind in option.kinds]
    made: Schema = {"description": option.meaning, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
    return made if option.default is None else {**made, "default": option.default}
