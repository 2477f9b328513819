"""What `check` says of the block `firmware`: unknown instruments are errors, a missing key is a warning."""

from datetime import UTC, datetime
from pathlib import Path

from agent.checks.check import check_file

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def codes(root: Path, folder: Path, block: str) -> dict[str, str]:
    text = (root / "config" / "field.hjson").read_text(encoding="utf-8").rstrip()
    assert text.endswith("}")
    path = folder / "station.hjson"
    path.write_text(f"{text[:-1]}\n  firmware: {block}\n}}\n")
    return {one.code: one.severity for one in check_file(path, now=NOW).problems}


def test_links_bear_names_of_instruments(root: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("")
    good = codes(root, tmp_path, f'{{ key: "{key}", links: {{ "board-01": {{ kind: "udp", host: "10.0.0.1" }} }} }}')
    assert not good.keys() & {"instrument-unknown", "firmware-key", "firmware-codec"}
    bad = codes(root, tmp_path, f'{{ key: "{key}", links: {{ "bord-01": {{ kind: "udp", host: "10.0.0.1" }} }} }}')
    assert bad["instrument-unknown"] == "error"
    assert codes(root, tmp_path, '{ key: "/nowhere/key.pem" }')["firmware-key"] == "warning"
