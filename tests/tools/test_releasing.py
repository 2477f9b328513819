"""What a release is made with: a bundle of wheels, its requirements and licences."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agent.update.software import components


def tool(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"releasing_{name}", root / "tools" / "releasing" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_wheel_is_required_with_its_hash(root: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for name in ("b_two-2.0-py3-none-any.whl", "a-1.0-py3-none-any.whl"):
        (tmp_path / "wheels" / name).write_bytes(name.encode())
    lines = tool(root, "bundle").requirements(tmp_path).splitlines()
    hashed = hashlib.sha256(b"a-1.0-py3-none-any.whl").hexdigest()
    assert lines[0] == f"a==1.0 --hash=sha256:{hashed}"
    assert lines[1].startswith("b_two==2.0 --hash=sha256:")


def test_a_licence_that_is_not_on_the_list_is_named(root: Path) -> None:
    unfit = tool(root, "audit").unfit
    rows = [
        {"Name": "a", "License": "MIT"}, {"Name": "b", "License": "EPL-2.0 OR BSD-3-Clause"},
        {"Name": "fpdf2", "License": "LGPL-3.0-only"}, {"Name": "c", "License": "GPL-3.0-only"},
        {"Name": "d", "License": "UNKNOWN"}, {"Name": "e", "License": "LGPL-3.0-only"},
    ]  # fmt: skip
    assert [row["Name"] for row in unfit(rows)] == ["c", "d", "e"]


needs_audit = pytest.mark.skipif(
    importlib.util.find_spec("pip_audit") is None, reason="the audit tools are not installed"
)


@needs_audit
def test_licences_of_what_a_station_runs_are_on_the_list(root: Path) -> None:
    audit = tool(root, "audit")
    rows = audit.licences([one for one in components() if one.name != "plumeline"])
    assert len(rows) > 20
    assert audit.unfit(rows) == []


@needs_audit
def test_an_unreachable_database_is_said_and_is_no_clean_bill(root: Path) -> None:
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    program = [sys.executable, str(root / "tools" / "releasing" / "audit.py"), "--json"]
    ended = subprocess.run(program, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False)
    assert (ended.returncode, json.loads(ended.stdout)["vulnerable"]) == (2, None)


@needs_audit
def test_a_bill_of_materials_lists_what_is_installed(root: Path, tmp_path: Path) -> None:
    program = [sys.executable, str(root / "tools" / "releasing" / "sbom.py"), "--out", str(tmp_path / "sbom.json")]
    subprocess.run(program, check=True, capture_output=True)
    told = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "plumeline")
    assert {"apsw", "cryptography", "pynacl"} <= {one["name"].lower() for one in told["components"]}
