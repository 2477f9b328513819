"""A batch, whatever its boards do: canaries first, one at a time on each line, none after the failures it bears."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.rollout import GOOD, Rollout

RESULTS = ("updated", "already", "reverted", "failed", "lost")


@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(RESULTS)), min_size=1, max_size=30),
    st.integers(0, 4),
    st.integers(1, 4),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_a_batch_keeps_its_promises(plan, canary, failures, parallel, random) -> None:  # type: ignore[no-untyped-def]
    lines = {f"b{number}": line for number, (line, _) in enumerate(plan)}
    ends = {f"b{number}": result for number, (_, result) in enumerate(plan)}
    batch = Rollout(lines, canary, failures, parallel)
    canaries = set(list(lines)[:canary])
    while not batch.ended:
        bad = batch.failures
        for board in batch.begin():
            assert bad < failures
            assert board in canaries or all(batch.results.get(one) in GOOD for one in canaries)
        running = sorted(batch.running)
        assert 0 < len(running) <= parallel
        assert len({lines[board] for board in running}) == len(running)
        board = random.choice(running)
        batch.end(board, ends[board])
    if all(result in GOOD for result in ends.values()):
        assert batch.results == ends
    assert set(batch.results) | set(batch.left) == set(lines)


def test_a_halted_batch_begins_nothing_and_brings_to_an_end_what_runs() -> None:
    batch = Rollout({"a": "x", "b": "y", "c": "z"}, canary=0)
    assert batch.begin() == ["a", "b", "c"]
    batch.end("a", "updated")
    batch.halted = True
    assert not batch.ended
    batch.end("b", "updated")
    batch.end("c", "lost")
    assert batch.ended
    assert batch.begin() == []
