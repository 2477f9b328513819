"""Steps of the ladder, the gate before the log, the ballast."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.space.ballast import Ballast
from agent.space.gate import Gate
from agent.space.ladder import LEAVE_ABOVE_PERCENT, Step, measured, step_of

THRESHOLDS = {Step.WARNING: 15.0, Step.ALARM: 10.0, Step.OPTIONAL_STOPPED: 5.0, Step.RESERVE_ONLY: 2.0}
AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_steps_are_entered_at_their_limit_and_left_above_it() -> None:
    step, seen = Step.WELL, []
    for percent in (20, 15, 15.9, 16.1, 12, 9.9, 10.5, 11.1, 4, 1.9, 2.9, 3.1, -4, 50):
        step = step_of(percent, THRESHOLDS, step)
        seen.append(int(step))
    assert seen == [0, 1, 1, 0, 1, 2, 2, 1, 3, 4, 4, 3, 4, 0]


@given(st.floats(-50, 100), st.sampled_from(list(Step)))
def test_a_step_is_never_better_than_its_limits_nor_worse_than_the_one_before_needs(
    percent: float, before: Step
) -> None:
    step = step_of(percent, THRESHOLDS, before)
    bare = step_of(percent, THRESHOLDS, Step.WELL)
    assert bare <= step <= max(bare, before)
    if step > bare:
        assert percent <= THRESHOLDS[step] + LEAVE_ABOVE_PERCENT
    assert step_of(percent, THRESHOLDS, step) == step


def test_quota_or_disk_whichever_is_worse_and_the_ballast_is_always_taken(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "log").write_bytes(bytes(100_000))
    ballast = Ballast(tmp_path, 200_000)
    without = measured(tmp_path, 1_000_000, ballast.size, ballast.on_disk)
    assert 100_000 <= without.used < 120_000
    assert without.free == 1_000_000 - without.used - 200_000
    assert ballast.make()
    assert ballast.make()
    with_it = measured(tmp_path, 1_000_000, ballast.size, ballast.on_disk)
    assert abs(with_it.free - without.free) < 20_000
    assert ballast.on_disk >= 200_000
    assert ballast.release()
    assert not ballast.release()
    # A quota beyond the disk: the disk counts.
    huge = measured(tmp_path, 10**18, ballast.size, 0)
    assert huge.free < 10**17
    assert huge.limit < 10**18


def test_what_is_not_written_is_told_once_and_by_name() -> None:
    crowded = [False]
    gate = Gate(["a", "b", "c"], ["c"], lambda: crowded[0])
    second = timedelta(seconds=1)
    assert all(gate.takes(name, AT) for name in "abc")
    gate.stop(everything=False, optional=True)
    assert [gate.takes(name, AT + i * second) for i, name in enumerate("abcc")] == [True, True, False, False]
    [gap] = gate.told()
    assert gap == {
        "from": "2026-01-01T00:00:02.000Z", "to": "2026-01-01T00:00:03.000Z", "reason": "disk full", "scans": 2,
        "instrument": "c",
    }  # fmt: skip
    assert gate.told() == []
    gate.stop(everything=True, optional=True)
    assert not any(gate.takes(name, AT) for name in "abca")
    [everything] = gate.told()
    assert (everything["scans"], "instrument" in everything) == (4, False)
    gate.stop(everything=False, optional=False)
    crowded[0] = True
    assert not gate.takes("a", AT)
    assert [(gap["reason"], gap["instrument"]) for gap in gate.told()] == [("disk failing", "a")]
