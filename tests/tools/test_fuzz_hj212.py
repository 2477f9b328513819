"""The fuzzer's targets without libFuzzer: a few thousand inputs hold, and each planted bug is found."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocols.hj212 import Decoder, Profile

FOLDER = Path(__file__).resolve().parent.parent.parent / "tools" / "fuzzing"
sys.path.insert(0, str(FOLDER))

from hj212_bugs import BUGS, planted  # noqa: E402
from hj212_held import held  # noqa: E402
from hj212_seeds import frames  # noqa: E402
from hj212_wire import damage_inside, rough, spans, wrap  # noqa: E402

INPUTS = 4000


def hunt(root: Path, target: str, inputs: int) -> dict[str, Any]:
    """What a short hunt says, in a process of its own: another copy of the packages may be tested."""
    command = [sys.executable, FOLDER / "hj212_quick.py", root, target, str(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("target", ["decoder", "sessions"])
def test_nothing_breaks_what_must_hold(root: Path, target: str) -> None:
    assert hunt(root, target, INPUTS) == {"inputs": INPUTS, "broken": None}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(tmp_path: Path, name: str) -> None:
    bug = BUGS[name]
    with planted(bug, tmp_path) as root:
        found = hunt(root, bug.target, 5 * INPUTS)
    assert found["broken"], found


def test_a_decoder_that_waits_for_the_end_of_a_refused_frame_keeps_no_more_than_that_frame() -> None:
    decoder = Decoder(Profile.lenient())
    assert decoder.feed(b"\n" * 60_000 + b"##01xx") == []
    assert decoder.unfinished
    assert held(decoder).size < 2000


def test_the_mutator_repairs_the_outside_of_frames() -> None:
    for seed, frame in enumerate(frames()):
        made = damage_inside(b"\x00\x00\x00" + frame * 2, 2500, seed, lambda data, room: rough(data, room, 7))
        whole = [made[begin:end] for begin, end in spans(made)]
        assert whole
        assert [one for one in whole if one != wrap(one[6:-6])] == []
