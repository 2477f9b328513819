"""The fuzzer's targets without libFuzzer: a few thousand inputs hold, and each planted bug is found."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "tools" / "fuzzing"
sys.path.insert(0, str(FOLDER))

from bugs import planted  # noqa: E402
from subjects import SUBJECTS, target_of  # noqa: E402

TARGETS = [(subject, target) for subject, found in SUBJECTS.items() for target in found.targets]
BUGS = [(subject, name) for subject in SUBJECTS for name in importlib.import_module(f"{subject}_bugs").BUGS]
INPUTS = 3000


def hunt(root: Path, subject: str, target: str, inputs: int) -> dict[str, Any]:
    """What a short hunt says, in a process of its own: another copy of the packages may be tested."""
    command = [sys.executable, FOLDER / "quick.py", root, subject, target, str(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("subject", "target"), TARGETS)
def test_nothing_breaks_what_must_hold(root: Path, subject: str, target: str) -> None:
    assert hunt(root, subject, target, INPUTS) == {"inputs": INPUTS, "broken": None}


@pytest.mark.parametrize(("subject", "name"), BUGS)
def test_a_planted_bug_is_found(tmp_path: Path, subject: str, name: str) -> None:
    bug = importlib.import_module(f"{subject}_bugs").BUGS[name]
    with planted(bug, tmp_path) as root:
        found = hunt(root, subject, bug.target, 10 * INPUTS)
    assert found["broken"], found


@pytest.mark.parametrize(("subject", "target"), TARGETS)
def test_a_repaired_input_is_one_the_target_takes(subject: str, target: str) -> None:
    module = target_of(subject, target)
    for number, one in enumerate(module.seeds()[:50]):
        made = module.inside(one, 4000, number, lambda data, room: data[:room])
        assert isinstance(made, bytes)
        module.one_input(made)
    getattr(module, "end", lambda: None)()
