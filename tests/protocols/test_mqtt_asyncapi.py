"""docs/asyncapi.yaml says what really travels: its schemas are those of the models, and real messages satisfy them."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Reading, Scan, Uncertainty
from protocols.mqtt.coverage import Coverage
from protocols.mqtt.messages import (
    Ack,
    Birth,
    BirthSeries,
    Challenge,
    Challenged,
    Message,
    State,
    Witnessed,
    build_message,
)
from protocols.mqtt.payload import Envelope, build_payload
from protocols.mqtt.topics import LEAVES, Topic
from protocols.record import KINDS, averages_fields, encode, scan_fields
from protocols.tlog import EMPTY_ROOT, make_checkpoint, signer_from_seed

AT = datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
STAMP = "2026-01-01T00:00:00.123Z"
MARKED = Quality.of(Mark(Cause.FLUSH, "valve", AT))
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


@pytest.fixture
def document(root: Path) -> dict[str, Any]:
    text = (root / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
    comment, _, rest = text.partition("\n")
    assert comment.startswith("#")
    found: dict[str, Any] = json.loads(rest)
    return found


def is_a(value: object, name: str) -> bool:
    if name == "null" or isinstance(value, bool):
        return (name == "null" and value is None) or (name == "boolean" and isinstance(value, bool))
    return isinstance(value, TYPES[name])  # type: ignore[arg-type]


def faults(document: Any, schema: dict[str, Any], value: Any, where: str = "") -> Iterator[str]:
    """What a value breaks of a JSON schema (the words used here; any other word is a fault of the schema)."""
    known = {
        "$ref", "$defs", "type", "const", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "items",
        "prefixItems", "minItems", "maxItems", "required", "properties", "additionalProperties", "anyOf", "title",
        "description", "default",
    }  # fmt: skip
    assert set(schema) <= known, f"{where}: {set(schema) - known}"
    if "$ref" in schema:
        target = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        yield from faults(document, target, value, where)
    if "anyOf" in schema and all(list(faults(document, one, value, where)) for one in schema["anyOf"]):
        yield f"{where}: none of anyOf"
    names = schema.get("type", [])
    if names and not any(is_a(value, name) for name in ([names] if isinstance(names, str) else names)):
        yield f"{where}: {value!r} is no {names}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{where}: not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} not in {schema['enum']}"
    yield from bounds(schema, value, where)
    if isinstance(value, list):
        for i, one in enumerate(value):
            inner = [*schema.get("prefixItems", [])[i : i + 1], schema.get("items", {})][0]
            yield from faults(document, inner, one, f"{where}[{i}]")
    if isinstance(value, dict):
        yield from (f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value)
        for name, one in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            yield from faults(document, inner, one, f"{where}.{name}")


def bounds(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where}: {value!r} does not match"
        low, high, size = "minLength", "maxLength", len(value)
    elif isinstance(value, list):
        low, high, size = "minItems", "maxItems", len(value)
    elif isinstance(value, (int, float)):
        low, high, size = "minimum", "maximum", value  # type: ignore[assignment]
    else:
        return
    if size < schema.get(low, size) or size > schema.get(high, size):
        yield f"{where}: {size} outside {schema.get(low)}..{schema.get(high)}"


def real_bodies() -> dict[str, dict[str, Any]]:
    signer = signer_from_seed("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "plumeline/tower-01")
    scan = Scan("picarro", AT, (Reading("picarro", "co2", None, "umol/mol", AT, MARKED),), {"species": 3})
    average = Average(
        "picarro.co2", "umol/mol", AT, 60, 0, 0.0, None, None, None, None, "ghg", MARKED,
        uncertainty=Uncertainty(0.1, 0.1, 0.1), calibrations=("run-1",),
    )  # fmt: skip
    return {
        "scan": scan_fields(scan),
        "average": averages_fields([average]),
        "calibration": {"what": "run-started", "run": "r1", "sequence": "daily", "instrument": "picarro"},
        "event": {"what": "uplink-down", "origin": "centre", "reason": "refused"},
        "config": {"sha256": "0" * 64, "document": {"station": {}}, "version": 1, "rate": 1.0},
        "checkpoint": {
            "size": 0,
            "root": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "note": make_checkpoint("plumeline/tower-01/1", 0, EMPTY_ROOT, signer),
            "leaves": "",
        },
        "gap": {"from": STAMP, "to": STAMP, "reason": "not running"},
    }


def test_every_topic_is_described_once_and_no_other(document: dict[str, Any]) -> None:
    described = {
        channel["address"].format(network="demo", station_id="tower-01") for channel in document["channels"].values()
    }
    up = {str(Topic("demo", "tower-01", "up", leaf)) for leaf in LEAVES["up"]}
    down = {str(Topic("demo", "tower-01", "down", leaf)) for leaf in ("ack", "witness", "challenge")}
    assert described == up | down


@pytest.mark.parametrize("model", [Envelope, Ack, Witnessed, Challenge, Challenged, State, Birth])
def test_schemas_are_those_of_the_models(document: dict[str, Any], model: type[BaseModel]) -> None:
    told = json.dumps(document["components"]["schemas"][model.__name__], sort_keys=True)
    made = json.dumps(model.model_json_schema(), sort_keys=True)
    assert told.replace("#/components/schemas/Birth/$defs", "#/$defs") == made


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_real_records_satisfy_their_schema(document: dict[str, Any], kind: str) -> None:
    fields = {"v": 1, "epoch": 1, "seq": 0, "kind": kind, "t": STAMP, "sim": True, **real_bodies()[kind]}
    head, line = build_payload("tower-01", 1, -1, [encode(fields)]).split(b"\n")
    schemas = document["components"]["schemas"]
    assert list(faults(document, schemas["Envelope"], json.loads(head))) == []
    message = document["components"]["messages"][kind]
    assert list(faults(document, message["payload"], json.loads(line))) == []
    for name in schemas[kind]["required"]:
        assert list(faults(document, schemas[kind], {k: v for k, v in fields.items() if k != name}))


def test_real_messages_satisfy_their_schema(document: dict[str, Any]) -> None:
    birth = Birth(
        station_id="tower-01", network="demo", t=STAMP, epoch=1, name_zh="塔", name_en="Tower", latitude=30.0,
        longitude=120.0, height_m=10.0, simulated=False, vkey="x",
        series={"picarro.co2": BirthSeries(unit="umol/mol", kind="research")},
    )  # fmt: skip
    messages: list[tuple[str, Message]] = [
        ("Ack", Ack.of(1, Coverage.of([(0, 4), (7, 9)]))),
        ("Witnessed", Witnessed(epoch=1, size=7, line="— centre AAAA\n")),
        ("Challenge", Challenge(epoch=1, seq=7)),
        ("Challenged", Challenged(station_id="tower-01", epoch=1, seq=7, body="e30=")),
        ("State", State(station_id="tower-01", online=True, t=STAMP)),
        ("Birth", birth),
    ]
    for model, message in messages:
        assert (
            list(faults(document, document["components"]["schemas"][model], json.loads(build_message(message)))) == []
        )


def test_the_schema_reader_finds_faults(document: dict[str, Any]) -> None:
    ack = document["components"]["schemas"]["Ack"]
    for wrong in [
        {"v": 2},
        {"epoch": -1},
        {"through": "4"},
        {"missing": [[1]]},
        {"missing": [[1, "a"]]},
        {"upto": True},
    ]:
        assert list(faults(document, ack, {"v": 1, "epoch": 1, "through": 4, **wrong})), wrong
