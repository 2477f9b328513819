"""Order and places of an HJ 212 uplink, without I/O."""

from datetime import UTC, datetime

import pytest

from agent.store.log import Place
from agent.uplinks.hj212_entries import Entry, Progress
from agent.uplinks.hj212_outbox import ASIDE_MAX, ASIDE_RETRY_S, Asked, Fleeting, Outbox

AT = datetime(2026, 1, 15, tzinfo=UTC)


def entry(seq: int, part: int = 0, parts: int = 1) -> Entry:
    return Entry(1, seq, seq, "2051", AT, (), part, parts)


def outbox_with(count: int) -> tuple[Outbox, list[Entry]]:
    return Outbox(Place(1, -1)), [entry(seq) for seq in range(count)]


def test_old_periods_take_at_most_half_of_the_window_and_ten_each_second() -> None:
    outbox, entries = outbox_with(12)
    for one in entries:
        outbox.put_old(one)
    assert outbox.take(0.0) is entries[0]
    assert outbox.take(0.0) is None
    assert outbox.wake_at(0.0) == pytest.approx(0.1)
    assert outbox.take(0.1) is entries[1]
    assert outbox.take(0.2) is None
    outbox.delivered(entries[1])
    assert outbox.take(0.2) is entries[2]
    assert outbox.place() == Place(1, -1, ((1, 1),))
    outbox.delivered(entries[0])
    assert outbox.place() == Place(1, 1, ())


def test_what_is_true_now_goes_first_then_the_newest_then_what_was_asked_then_the_old() -> None:
    outbox, (old, older_fresh, fresh) = outbox_with(3)
    asked = Asked(1, "2061", AT, ())
    outbox.put_old(old)
    outbox.asked = asked
    outbox.put_fresh(older_fresh)
    outbox.put_fresh(fresh)
    now = [Fleeting(slot, "2011", AT, ()) for slot in ("2011", "2021", "3020")]
    for one in (Fleeting("2011", "2011", AT, ((("a", "0"),),)), *now):
        outbox.put_fleeting(one)
    # The latest of a slot replaces one not yet sent; two of them may be unanswered at once.
    taken = [outbox.take(0.0) for _ in range(6)]
    assert taken == [now[0], now[1], fresh, older_fresh, asked, old]
    outbox.landed(now[0], taken=False)
    assert outbox.take(0.0) == now[2]


def test_what_must_be_told_once_is_offered_with_every_connection_until_it_is_taken() -> None:
    outbox, _ = outbox_with(0)
    start = Fleeting("2081", "2081", AT, (), until_taken=True)
    for one in (start, Fleeting("2011", "2011", AT, ())):
        outbox.put_fleeting(one)
    assert outbox.take(0.0) == start
    outbox.landed(start, taken=False)
    outbox.disconnected()
    assert [outbox.take(0.0), outbox.take(0.0)] == [start, None]
    outbox.landed(start, taken=True)
    outbox.disconnected()
    assert outbox.take(0.0) is None


def test_a_record_is_done_when_all_its_parts_are() -> None:
    outbox, _ = outbox_with(0)
    outbox.delivered(entry(0, 1, 2))
    assert outbox.place() == Place(1, -1)
    assert [outbox.open(entry(0, part, 2)) for part in (0, 1)] == [True, False]
    outbox.delivered(entry(0, 0, 2))
    assert outbox.place() == Place(1, 0)
    assert not outbox.wanted(1, 0)


def test_frames_set_aside_come_again_slowly_as_late_ones_and_are_bounded() -> None:
    outbox, entries = outbox_with(ASIDE_MAX + 1)
    told = [outbox.set_aside(one, 0.0) for one in entries]
    assert [news for news, _ in told] == [True] * (ASIDE_MAX + 1)
    assert [given_up for _, given_up in told if given_up] == [entries[0]]
    assert outbox.aside == ASIDE_MAX
    assert outbox.take(ASIDE_RETRY_S - 1) is None
    again = outbox.take(ASIDE_RETRY_S)
    assert isinstance(again, Entry)
    assert (again.key, again.late) == (entries[1].key, True)
    assert outbox.set_aside(again, ASIDE_RETRY_S) == (False, None)
    outbox.delivered(again)
    assert outbox.aside == ASIDE_MAX - 1
    assert outbox.place().through == 1


def test_progress_joins_what_touches() -> None:
    progress = Progress(Place(1, 4, ((8, 9),)))
    progress.add(12, 12)
    progress.add(7, 7)
    assert progress.place(1) == Place(1, 4, ((7, 9), (12, 12)))
    assert progress.open_below(14) == 5
    progress.add(5, 11)
    assert progress.place(1) == Place(1, 12, ())
    assert progress.open_below(13) == 0
    assert [progress.covers(seq) for seq in (0, 12, 13)] == [True, True, False]
