"""What stations recorded (`tests/transcripts/*.txt`), played through line and driver, gives what stands beside it."""

import json
from pathlib import Path

import pytest

from agent.__main__ import main

FOLDER = Path(__file__).resolve().parent.parent / "transcripts"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_a_recording_gives_what_stands_beside_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "en", "play", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
