"""`plumeline check` and the centre's, of a page that others than this machine may reach."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.checks.check import check_file
from central.config import Http
from host.problems import Problem

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def problems(root: Path, folder: Path, page: str) -> list[Problem]:
    """What `check` says of the page of an example."""
    text = (root / "config" / "tower.hjson").read_text(encoding="utf-8").replace("/var/lib/plumeline", str(folder))
    path = folder / "station.hjson"
    path.write_text(text.rstrip().removesuffix("}") + f"  page: {page}\n}}\n", encoding="utf-8")
    return [one for one in check_file(path, now=NOW).problems if one.key.startswith("page")]


@pytest.mark.parametrize("page", [
    "{ port: 8000 }", '{ host: "::1", port: 8000 }', '{ host: "0.0.0.0", port: 8000, behind_proxy: true }',
])  # fmt: skip
def test_a_page_for_this_machine_or_a_proxy_is_right(root: Path, tmp_path: Path, page: str) -> None:
    assert problems(root, tmp_path, page) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "station.example"])
def test_passwords_in_clear_beyond_this_machine_are_an_error(root: Path, tmp_path: Path, host: str) -> None:
    (found,) = problems(root, tmp_path, f'{{ host: "{host}", port: 8000 }}')
    assert (found.code, found.severity, found.key) == ("page-exposed", "error", "page.host")
    assert host in found.what
    with pytest.raises(ValidationError, match=r"http\.tls"):
        _centre(host)
    assert Http(host=host, port=8000, behind_proxy=True).reached_by is None


def _centre(host: str) -> Any:
    from central.config import Config

    return Config.model_validate({"store": "x.db", "stations": {}, "http": {"host": host, "port": 8000}})


def test_files_of_tls_are_looked_at(root: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("x")
    (tmp_path / "key.pem").chmod(0o644)
    tls = f'certificate: "{tmp_path}/none.pem", key: {{ file: "{tmp_path}/key.pem" }}'
    page = f'{{ host: "0.0.0.0", port: 8000, tls: {{ {tls} }} }}'
    found = {(one.code, one.key) for one in problems(root, tmp_path, page)}
    assert found == {("certificate-missing", "page.tls.certificate"), ("secret-open", "page.tls.key.file")}


def test_a_page_is_asked_for_by_its_names() -> None:
    assert Http(port=1).reached_by == ["localhost"]
    assert Http(port=1, names=["Map.example"]).reached_by == ["localhost", "Map.example"]
    assert Http(port=1, behind_proxy=True).reached_by is None
    assert Http(port=1, behind_proxy=True, names=["a"]).reached_by == ["localhost", "a"]
