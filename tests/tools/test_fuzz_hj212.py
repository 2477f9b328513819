"""What the fuzzer of HJ 212 leans on, and what it found."""

import sys
from pathlib import Path

from protocols.hj212 import Decoder, Profile

FOLDER = Path(__file__).resolve().parent.parent.parent / "tools" / "fuzzing"
sys.path.insert(0, str(FOLDER))

from hj212_held import held  # noqa: E402
from hj212_seeds import frames  # noqa: E402
from hj212_wire import damage_inside, spans, wrap  # noqa: E402
from rough import rough  # noqa: E402


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
