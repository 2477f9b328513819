"""Keys of the configuration: each explained in two languages, each in the manual, all in the schema."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.__main__ import main
from agent.checks.keys import explained
from agent.config import Config
from agent.config_gas import Injection
from host.problems import sentences


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


def test_explain_finds_keys_by_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "en", "config", "explain", "buses.*.timeout"]) == 0
    assert capsys.readouterr().out == (
        "buses.*.timeout_s: number, > 0, <= 60 [1.0]\n    wall time allowed for one answer\n"
    )
    assert main(["config", "explain", "no-such-key"]) == 1
    assert main(["--lang", "zh", "config", "explain", "uplinks.*.kind", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["key"] == "uplinks.*.kind"
    assert set(rows[0]["kind"].split(" | ")) == {'"hj212"', '"mqtt"'}


def test_schema_is_json_schema_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["required"]) == {"station", "store", "ledger", "buses", "instruments", "socket"}
    assert schema["additionalProperties"] is False


def test_examples_are_printed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example"]) == 0
    assert capsys.readouterr().out.split() == ["field", "stack", "tower"]
    assert main(["config", "example", "tower"]) == 0
    assert capsys.readouterr().out == (root / "config" / "tower.hjson").read_text(encoding="utf-8")
    assert main(["config", "example", "moon"]) == 2


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
