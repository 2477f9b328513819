"""Coverage and the station's send window: nothing is lost, nothing leads the truth, a refused batch blocks no other."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.mqtt.coverage import SPANS_MAX, Coverage
from protocols.mqtt.messages import Ack
from protocols.mqtt.window import (
    ASIDE_S,
    BATCHES_MAX,
    DENIED_S,
    MISSING_GRACE_S,
    OPEN,
    PROBE_S,
    RESEND_S,
    UNHEARD_BATCHES,
    Batch,
    SendWindow,
)

steps = st.lists(st.tuples(st.integers(-1, 60), st.integers(0, 12)), max_size=40)


def numbers(coverage: Coverage) -> set[int]:
    return {seq for first, last in coverage.spans for seq in range(first, last + 1)}


@settings(deadline=None)
@given(steps, st.integers(-1, 80))
def test_coverage_is_the_set_of_what_was_added(added: list[tuple[int, int]], end: int) -> None:
    coverage, model = Coverage(), set[int]()
    for prev, length in added:
        coverage = coverage.add(prev, prev + length)
        model |= set(range(prev + 1, prev + length + 1))
        assert numbers(coverage) == model
    assert coverage == Coverage.of([(prev + 1, prev + length) for prev, length in added])
    assert coverage.highest == max(model, default=-1)
    assert coverage.through == next(seq for seq in range(-1, 200) if seq + 1 not in model)
    holes = {seq for first, last in coverage.holes(end) for seq in range(first, last + 1)}
    assert holes == set(range(end + 1)) - model
    for prev, length in added:
        assert coverage.covers(prev, prev + length)
    assert coverage.covers(end, end + 2) == ({end + 1, end + 2} <= model)


def test_coverage_is_bounded_and_still_closes_holes() -> None:
    scattered = Coverage(tuple((2 * i, 2 * i) for i in range(SPANS_MAX)))
    assert scattered.add(10**6, 10**6 + 1) == scattered
    assert len(scattered.add(0, 1).spans) == SPANS_MAX - 1


def heard(window: SendWindow, now: float) -> None:
    """A first acknowledgement, so that the full window opens."""
    window.acknowledge(Ack(epoch=1, through=-1), now)


def test_what_is_sent_and_acknowledged_is_done() -> None:
    window = SendWindow(Coverage(), -1)
    heard(window, 0.0)
    window.sent(Batch(-1, 4, 5), 1.0)
    window.sent(Batch(4, 9, 3), 1.0)
    assert list(window.gaps()) == []
    assert not window.done
    assert window.unacknowledged == 8
    window.acknowledge(Ack(epoch=1, through=4), 1.5)
    assert window.unacknowledged == 3
    window.acknowledge(Ack(epoch=1, through=9), 2.0)
    assert window.done
    assert window.coverage.spans == ((0, 9),)


def test_what_is_not_acknowledged_in_time_is_a_gap_again() -> None:
    window = SendWindow(Coverage(), -1)
    heard(window, 0.0)
    window.sent(Batch(-1, 4, 5), 1.0)
    assert not window.expire(1.0 + RESEND_S - 0.1)
    assert window.expire(1.0 + RESEND_S)
    assert list(window.gaps()) == [(-1, 4)]


def test_what_the_centre_names_as_missing_is_soon_a_gap_again() -> None:
    window = SendWindow(Coverage(), -1)
    heard(window, 0.0)
    window.sent(Batch(-1, 4, 5), 1.0)
    window.sent(Batch(4, 9, 5), 1.0)
    window.acknowledge(Ack(epoch=1, through=-1, missing=((0, 4),), upto=9), 1.1)
    assert not window.expire(1.2)
    assert list(window.gaps()) == []
    assert window.expire(1.0 + MISSING_GRACE_S)
    assert list(window.gaps()) == [(-1, 4)]


def test_a_batch_that_is_refused_again_and_again_waits_longer_and_blocks_no_other() -> None:
    window = SendWindow(Coverage(), -1)
    now, tries, last = 0.0, [], 0
    heard(window, now)
    window.end = 0
    while now < 60:
        for prev, end in window.gaps():
            tries.append(now)
            window.sent(Batch(prev, end, 1), now)
        window.sent(Batch(last, last + 1, 1), now)
        last += 1
        now += 0.5
        window.acknowledge(Ack(epoch=1, through=-1, missing=((0, 0),), upto=last), now)
        window.expire(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert waits == sorted(waits)
    assert waits[-1] >= 8 * waits[0]
    assert window.coverage.spans == ((1, last),)
    assert window.refused == 1


def test_a_silent_centre_is_probed_less_and_less_and_then_gets_the_full_line() -> None:
    window = SendWindow(Coverage(), 499)
    window.restart()
    sent = 0
    while window.room(backfill=False):
        window.sent(Batch(sent - 1, sent, 1), 0.0)
        sent += 1
    assert sent == UNHEARD_BATCHES
    assert window.expire(PROBE_S)
    assert window.quiet
    now, probes = PROBE_S, []
    while now < 100:
        if window.room(backfill=True):
            prev, _ = next(window.gaps())
            window.sent(Batch(prev, prev + 1, 1), now)
            probes.append(now)
            assert not window.room(backfill=False)
        now += 0.5
        window.expire(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2 * PROBE_S, RESEND_S)
    window.acknowledge(Ack(epoch=1, through=0), now)
    assert not window.quiet
    assert window.refused == 0
    count = sum(1 for i in range(2 * BATCHES_MAX) if _send_if_room(window, 1000 + i, now))
    assert BATCHES_MAX - 2 <= count <= BATCHES_MAX


def _send_if_room(window: SendWindow, prev: int, now: float) -> bool:
    if not window.room(backfill=False):
        return False
    window.sent(Batch(prev, prev + 1, 1), now)
    return True


def test_backfill_never_takes_more_than_half_of_the_window() -> None:
    window = SendWindow(Coverage(), 10**6)
    heard(window, 0.0)
    prev = -1
    while window.room(backfill=True):
        window.sent(Batch(prev, prev + 1, 1), 0.0)
        prev += 1
    assert prev + 1 == BATCHES_MAX // 2
    assert window.room(backfill=False)


def test_a_place_never_leads_what_was_sent_of_an_epoch_without_known_end() -> None:
    window = SendWindow(Coverage.of([(0, 9)]), OPEN)
    window.sent(Batch(9, 14, 5), 0.0)
    window.acknowledge(Ack(epoch=1, through=1000), 1.0)
    assert window.coverage.through == 14
    assert list(window.gaps()) == [(14, OPEN)]
    window.end = 14
    assert window.done


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(0, 30))
def test_whatever_gets_lost_everything_arrives_in_the_end(data: st.DataObject, total: int, backlog: int) -> None:
    """Messages and acknowledgements are lost, connections break; the place never leads the centre's truth."""
    window, centre, now = SendWindow(Coverage(), backlog - 1), Coverage(), 0.0
    total = max(total, backlog)
    fates = st.sampled_from(["arrive", "arrive", "lose message", "lose ack", "reconnect"])
    for turn in range(400):
        fate = data.draw(fates) if turn < 60 else "arrive"
        now += 0.5
        window.expire(now)
        batches = [(prev, min(last, prev + 7)) for prev, last in window.gaps()]
        if window.end < total - 1:
            batches.append((window.end, min(window.end + 3, total - 1)))
        for prev, last in batches:
            if window.room(backfill=prev < window.end):
                window.sent(Batch(prev, last, last - prev), now)
                if fate != "lose message":
                    centre = centre.add(prev, last)
        if fate == "reconnect":
            window.restart()
        elif fate == "arrive" and centre.spans:
            window.acknowledge(Ack.of(1, centre), now)
        assert numbers(window.coverage) <= numbers(centre)
        if window.done and window.end == total - 1:
            break
    assert window.coverage.spans == ((0, total - 1),)


def send_gaps(window: SendWindow, now: float) -> list[Batch]:
    """What the sender would send of the gaps: records 1 apart, at most 8 a message or as many as may be."""
    sent = []
    while gap := next(window.gaps(), None):
        prev, last = gap
        count = min(window.count_max(prev) or 8, last - prev)
        sent.append(Batch(prev, prev + count, count))
        window.sent(sent[-1], now)
    return sent


@settings(deadline=None)
@given(st.sets(st.integers(0, 63), max_size=6), st.booleans())
def test_records_the_centre_keeps_refusing_end_alone_and_aside(poison: set[int], told: bool) -> None:
    """All others arrive, whether the centre says what it refuses or only leaves it out."""
    window, stored, now, aside = SendWindow(Coverage(), 63), Coverage(), 0.0, []
    while now < 500:
        now += 1
        window.expire(now)
        refused = {}
        for batch in send_gaps(window, now):
            if poison & set(range(batch.prev + 1, batch.last + 1)):
                refused[batch.prev] = "no number"
            else:
                stored = stored.add(batch.prev, batch.last)
        # New records arrive all the time: the centre takes others.
        window.sent(Batch(window.end, window.end + 1, 1), now)
        stored = stored.add(window.end - 1, window.end)
        window.acknowledge(Ack.of(1, stored, refused if told else None), now + 0.5)
        aside += window.news
        window.news = []
    assert numbers(stored) | poison == set(range(window.end + 1))
    assert sorted(one.batch.last for one in aside) == sorted(poison)
    assert all(one.batch.count == 1 for one in aside)
    assert window.settled(window.end)
    assert window.aside == len(poison)
    # Long after, they are offered again, and whatever is taken then is done.
    window.expire(now + ASIDE_S)
    offered = {seq for batch in send_gaps(window, now + ASIDE_S) for seq in range(batch.prev + 1, batch.last + 1)}
    assert offered == poison
    window.acknowledge(Ack.of(1, stored.add(-1, window.end)), now + ASIDE_S + 1)
    assert window.done
    assert (window.aside, window.news) == (0, [])


def test_a_centre_that_refuses_everything_refuses_no_record() -> None:
    window = SendWindow(Coverage(), 7)
    for now in range(500):
        window.expire(now)
        refused = {batch.prev: "no" for batch in send_gaps(window, now)}
        window.acknowledge(Ack.of(1, Coverage(), refused), now + 0.5)
    assert (window.aside, window.news) == (0, [])


def test_a_denied_batch_waits_without_holding_a_place_until_a_new_connection() -> None:
    window = SendWindow(Coverage(), -1)
    heard(window, 0.0)
    window.sent(Batch(-1, 4, 5), 1.0)
    window.denied(-1, 1.0)
    assert (window.unacknowledged, window.aside, list(window.gaps())) == (0, 0, [])
    window.expire(2.0)
    assert list(window.gaps()) == []
    window.expire(1.0 + DENIED_S)
    assert list(window.gaps()) == [(-1, 4)]
    window.sent(Batch(-1, 4, 5), 70.0)
    window.denied(-1, 70.0)
    window.restart()
    assert list(window.gaps()) == [(-1, 4)]


few = st.sets(st.integers(0, 40))


def coverage_of(found: set[int]) -> Coverage:
    return Coverage.of((number, number) for number in found)


@settings(deadline=None)
@given(few, few)
def test_what_an_older_copy_of_the_centre_lacks_becomes_a_gap_again(done: set[int], held: set[int]) -> None:
    assert coverage_of(done).common(coverage_of(held)) == coverage_of(done & held)
    window = SendWindow(coverage_of(done), max(done, default=-1))
    fell = window.fall_back(coverage_of(held))
    assert fell == (not done <= held)
    open_numbers = {number for prev, last in window.gaps() for number in range(prev + 1, last + 1)}
    assert open_numbers == set(range(window.end + 1)) - (done & held)
    assert not window.fall_back(coverage_of(held)), "once"


def test_silence_begins_with_the_message_that_is_not_answered() -> None:
    window = SendWindow(Coverage(), -1)
    assert window.asked is None
    window.sent(Batch(-1, 0, 1), 5.0)
    window.sent(Batch(0, 1, 1), 6.0)
    assert window.asked == 5.0
    window.acknowledge(Ack.of(1, Coverage.of([(0, 0)])), 7.0)
    assert window.asked == 7.0, "one of them is answered"
    window.acknowledge(Ack.of(1, Coverage.of([(0, 1)])), 8.0)
    assert window.asked is None
    window.sent(Batch(1, 2, 1), 300.0)
    window.expire(310.0)
    assert (window.quiet, window.asked) == (True, 300.0)
    window.restart()
    assert window.asked is None
