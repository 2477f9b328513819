"""Keys of the configuration: each explained in two languages, each in the manual, all in the schema."""

import base64
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from agent.__main__ import main
from agent.checks.check import check_file
from agent.checks.keys import explained
from agent.config import Config
from agent.config_gas import Injection
from drivers.registry import driver_names, entry
from host.hjson import read
from host.problems import Lang, sentences


def test_every_key_has_a_meaning_and_no_meaning_is_left_over(root: Path) -> None:
    meanings = tomllib.loads((root / "agent" / "checks" / "keys.toml").read_text(encoding="utf-8"))
    keys = explained("zh")
    assert [row.key for row in keys] == list(meanings)
    assert all(re.search("[\u4e00-\u9fff]", row.meaning) for row in keys)


def test_every_key_stands_in_the_manual_as_it_is(root: Path) -> None:
    manual = (root / "docs" / "run-a-station.md").read_text(encoding="utf-8")
    for row in explained("en"):
        default = "required" if row.required else f"`{json.dumps(row.default)}`" if row.default is not None else ""
        kind = row.kind.replace(" | ", ", ")
        assert f"| `{row.key}` | {kind} | {default} | {row.meaning} |" in manual, row.key


def test_every_form_a_text_must_have_is_told_in_words() -> None:
    patterns = set(re.findall(r'"pattern": "([^"]+)"', json.dumps(Config.model_json_schema())))
    assert len(patterns) >= 3
    assert all(sentences().word(pattern, "en") and sentences().word(pattern, "zh") for pattern in patterns)


def test_explain_finds_keys_by_place_name_or_part(capsys: pytest.CaptureFixture[str]) -> None:
    # An upper bound: the wait itself is learned.
    told = (
        "buses.*.timeout_s: number, > 0, <= 60 [1.0]\n    longest wall time one answer is waited for. Where a late "
        "answer cannot be taken for another's (Modbus), the wait is learned from each unit's own answers and ends "
        "sooner\n"
    )
    for asked in ("buses.*.timeout_s", "buses.plc.timeout_s", "buses.*.timeout", "timeout_s"):
        assert main(["--lang", "en", "config", "explain", asked]) == 0
        assert capsys.readouterr().out == told, asked
    assert main(["config", "explain", "sequences.daily.injections[0].flush_s"]) == 0
    assert capsys.readouterr().out.startswith("sequences.*.injections[].flush_s: number")
    assert main(["config", "explain", "station"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")] == [
        row.key for row in explained("en") if row.key.split(".")[0] == "station"
    ]
    assert main(["--lang", "zh", "config", "explain", "uplinks.*.kind", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["key"] == "uplinks.*.kind"
    assert set(rows[0]["kind"].split(" | ")) == {'"hj212"', '"mqtt"'}


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("buses.plc.timout_s", "buses.*.timeout_s"), ("pol_s", "instruments.*.poll_s"), ("xyzzy", None)],
)
def test_explain_names_the_nearest_key(asked: str, nearest: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "en", "config", "explain", asked]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f'There is no key "{asked}".' in said.err
    assert (f'Did you mean "{nearest}"?' in said.err) == (nearest is not None)


def schema(capsys: pytest.CaptureFixture[str], lang: str = "en") -> Any:
    assert main(["--lang", lang, "config", "schema"]) == 0
    return json.loads(capsys.readouterr().out)


def described(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, str | None]]:
    """Every key a schema knows, as the manual writes it, with its description."""
    for key, inner in node.get("properties", {}).items():
        below = f"{path}.{key}" if path else key
        yield below, inner.get("description")
        yield from described(inner, below)
    for inner in node.get("patternProperties", {}).values():
        yield from described(inner, f"{path}.*")
    if isinstance(node.get("additionalProperties"), dict):
        yield from described(node["additionalProperties"], f"{path}.*")
    if "items" in node:
        yield from described(node["items"], f"{path}[]")
    for inner in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from described(inner, path)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_schema_is_valid_and_tells_what_every_key_means(lang: Lang, capsys: pytest.CaptureFixture[str]) -> None:
    made = schema(capsys, lang)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(made)
    assert "$ref" not in json.dumps(made)
    told = {key: meaning for key, meaning in described(made) if meaning is not None}
    assert told == {row.key: row.meaning for row in explained(lang)}


@pytest.mark.parametrize("example", ["stack", "emission", "tower", "field"])
def test_examples_pass_the_schema(example: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, _ = read(root / "config" / f"{example}.hjson")
    validator = Draft202012Validator(schema(capsys))
    assert [error.message for error in validator.iter_errors(document.root.plain())] == []


# Where a document is changed, to what, and what the schema must find there.
WRONG: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "a key": (("buses", "plc", "timout_s"), 1, "additionalProperties"),
    "a name": (("buses", "Line 1"), {}, "additionalProperties"),
    "a type": (("buses", "plc", "timeout_s"), "1", "type"),
    "a limit": (("buses", "plc", "timeout_s"), 61, "maximum"),
    "a choice": (("instruments", "cems", "rule"), "hj", "enum"),
    "a driver": (("instruments", "cems", "driver"), "cems_blok", "anyOf"),
    "a map without its whole path": (("instruments", "cems", "driver"), "maps/ndir.hjson", "anyOf"),
    "an option": (("instruments", "cems", "options"), {"base_adress": 1}, "additionalProperties"),
    "the type of an option": (("instruments", "cems", "options"), {"base_address": "1"}, "type"),
    "an option that must be given": (("instruments", "cems", "driver"), "picarro", "required"),
    "a measurand": (("instruments", "cems", "series"), {"so3": {}}, "enum"),
    "a secret of two kinds": (("ledger", "key"), {"file": "a", "credential": "b"}, "maxProperties"),
    "a wire of no kind": (("buses", "plc", "wire", "kind"), "usb", "oneOf"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_schema_finds_what_is_wrong(what: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = read(root / "config" / "stack.hjson")[0].root.plain()
    path, value, word = WRONG[what]
    block = document
    for step in path[:-1]:
        block = block[step]
    block[path[-1]] = value
    found = list(Draft202012Validator(schema(capsys)).iter_errors(document))
    assert word in {error.validator for error in found}


def test_examples_are_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example"]) == 0
    assert capsys.readouterr().out.split() == ["emission", "field", "stack", "tower"]
    assert main(["config", "example", "tower"]) == 0
    assert capsys.readouterr().out == (root / "config" / "tower.hjson").read_text(encoding="utf-8")
    assert main(["--lang", "en", "config", "example", "senseair_s9"]) == 2
    assert 'Did you mean "senseair_s8"?' in capsys.readouterr().err


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", driver_names())
def test_the_block_of_every_driver_loads(
    name: str, lang: Lang, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--lang", lang, "config", "example", name]) == 0
    block = capsys.readouterr().out
    info = entry(name).info
    # An option without a default needs an example in agent/checks/examples.toml.
    assert all(word in block for word in (*info.measurands, *info.options))
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    rest = f"""
station: {{
  id: "a", network: "n", name_zh: "a", name_en: "a"
  position: {{ latitude: 31, longitude: 121, height_m: 10, datum: "WGS-84" }}
}}
store: {{ path: "{tmp_path}/store", quota_GB: 10000 }}
ledger: {{ key: {{ file: "{key}" }} }}
socket: "{tmp_path}/agent.sock"
"""
    path = tmp_path / "station.hjson"
    path.write_text(block + rest, encoding="utf-8")
    checked = check_file(path, now=datetime(2026, 6, 1, tzinfo=UTC))
    assert [str(problem) for problem in checked.problems if problem.severity == "error"] == []
    # What stands there commented out is true as well: uncommented, the defaults load.
    opened = re.sub(r"^      // (\w+: )", r"      \1", block, flags=re.MULTILINE)
    path.write_text(opened + rest, encoding="utf-8")
    assert check_file(path, now=datetime(2026, 6, 1, tzinfo=UTC)).config is not None


INJECTION: dict[str, Any] = {
    "gas": "zero", "port": "zero", "roles": {"co2": "zero"}, "flush_s": 60, "average_s": 60.0,
}  # fmt: skip


def test_whole_numbers_serve_as_numbers_and_nothing_else_is_converted() -> None:
    assert Injection.model_validate(INJECTION).flush_s == 60.0
    for key, value in (("flush_s", "60"), ("flush_s", True), ("gas", 5), ("roles", [["co2", "zero"]])):
        with pytest.raises(ValidationError):
            Injection.model_validate({**INJECTION, key: value})


def test_a_loaded_configuration_never_changes() -> None:
    with pytest.raises(ValidationError):
        Injection.model_validate(INJECTION).gas = "span"  # type: ignore[misc]
