"""What schedules will do in the time to come: who begins when, who waits for whom, and who is dropped.

Every run is taken as long as it may be, so that what is promised holds. Pure: nothing is started.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agent.config import Config
from agent.gas.plan import due_after, sequence_of, share

# Turns that are looked at, at most: those of a year that begins every two hours.
TURNS_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class Turn:
    """One run to come, due at `due` (UTC); `begins` is None where it would wait too long and is dropped.

    `behind` names the sequence it waits for.
    """

    name: str
    due: datetime
    begins: datetime | None
    ends: datetime | None
    behind: str | None


def agenda(config: Config, since: datetime, until: datetime, by_hand: str | None = None) -> Iterator[Turn]:
    """Turns of all schedules after `since`, and of one started by hand at `since`, in the order they are due."""
    offset_h = config.station.day_start_utc_offset_h
    lengths = {name: timedelta(seconds=sequence_of(config, name).seconds) for name in config.sequences}
    heap: list[tuple[datetime, int, str, bool]] = [] if by_hand is None else [(since, -101, by_hand, False)]
    for name, sequence in config.sequences.items():
        if sequence.schedule and sequence.valve is not None:
            at = due_after(sequence.schedule, since, offset_h)
            heap.append((at, -sequence.priority, name, True))
    heapq.heapify(heap)
    taken: dict[str, datetime] = {}
    for _ in range(TURNS_MAX):
        if not heap or heap[0][0] > until:
            return
        at, order, name, again = heapq.heappop(heap)
        turn = _turn(config, name, at, lengths[name], taken)
        if turn.ends is not None:
            taken[name] = turn.ends
        yield turn
        schedule = config.sequences[name].schedule
        if again and schedule:
            heapq.heappush(heap, (due_after(schedule, at, offset_h), order, name, True))


def _turn(config: Config, name: str, at: datetime, length: timedelta, taken: dict[str, datetime]) -> Turn:
    """`taken`: until when each sequence that began last keeps its valve and instrument."""
    own = config.sequences[name]
    shared = {other: end for other, end in taken.items() if share(own, config.sequences[other]) and end > at}
    if not shared:
        return Turn(name, at, at, at + length, None)
    behind = max(shared, key=lambda other: shared[other])
    begins = shared[behind]
    # Two turns of one sequence never wait for each other: the second is refused.
    if name in shared or begins - at > timedelta(seconds=own.wait_max_s):
        return Turn(name, at, None, None, behind)
    return Turn(name, at, begins, begins + length, behind)


def crowded_out(config: Config, since: datetime, days: float = 370.0) -> dict[str, str]:
    """Scheduled sequences of which no turn would ever begin, and what is always in the way."""
    began: set[str] = set()
    behind: dict[str, str] = {}
    for turn in agenda(config, since, since + timedelta(days=days)):
        if turn.begins is not None:
            began.add(turn.name)
        elif turn.behind is not None and turn.behind != turn.name:
            behind[turn.name] = turn.behind
    return {name: other for name, other in behind.items() if name not in began}
