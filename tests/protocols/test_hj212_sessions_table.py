"""The table of transitions is what the sessions do: every row is reached, and none that is not in it."""

from collections.abc import Callable
from typing import Any

import pytest

from protocols.hj212 import transitions
from protocols.hj212.commands import ExeRtn
from protocols.hj212.message import Area, Message, encode
from protocols.hj212.service import OPEN_MAX, StationState
from protocols.hj212.session import Requested, Timing
from protocols.hj212.transitions import TABLE, Event, Machine, State, Transition, ends, mermaid

POLLUTANT: Area = ((("PolId", "a05001"),),)
RANGE: Area = ((("BeginTime", "20260115090000"),), (("EndTime", "20260115100000"),))
Make = Callable[..., Any]
Rows = set[tuple[Machine, State, Event]]


class Recorder(dict[tuple[Machine, State, Event], State]):
    """The table as the sessions look it up, with a memory of the rows that were found."""

    def __init__(self, rows: Any, reached: Rows) -> None:
        super().__init__(rows)
        self._reached = reached

    def get(self, key: Any, default: Any = None) -> Any:
        if key in self:
            self._reached.add(key)
        return super().get(key, default)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Rows:
    found: Rows = set()
    monkeypatch.setattr(transitions, "_NEXT", Recorder(transitions._NEXT, found))
    return found


def quick(make: Make, **how: Any) -> Any:
    run = make(state=StationState(Timing(1.0, 1)), platform={"timing": Timing(1.0, 1), "execution_s": 5.0}, **how)
    return run


def to_the_end(run: Any) -> None:
    while run.wait():
        pass


def uploads(make: Make) -> None:
    run = quick(make)
    run.submit(items=tuple(((f"a{i:05d}-Avg", "1234.567"),) for i in range(60)))
    run.submit(acknowledge=False)
    run.lose = lambda _: True
    run.submit()
    to_the_end(run)
    run.submit()
    run.station.disconnected()
    run.lose = lambda _: False
    del run.stations[run.station.identity.mn]
    run.submit()


def notices(make: Make) -> None:
    run = quick(make)
    run.notify("1013")
    run.lose = lambda _: True
    run.notify("1013")
    to_the_end(run)
    run.notify("1013")
    run.station.disconnected()
    run.lose = lambda _: False
    del run.stations[run.station.identity.mn]
    run.notify("1013")
    quick(make, ack=False).notify("1013")


def serving(make: Make) -> None:
    run = quick(make, handled=frozenset({"3011", "3018", "3019"}), allowed=frozenset({"3011"}))
    run.asked("1061")
    run.asked("2012")
    run.asked("3012", POLLUTANT)
    run.ask("3019", POLLUTANT)
    wish = run.requested()
    again = run.down[-1]
    run.station.receive(again, 0.0)
    run.finish(wish, ExeRtn.DONE)
    run.station.receive(again, 0.0)
    run.ask("3011", POLLUTANT)
    run.finish(run.requested(), ExeRtn.BUSY)
    run.station.receive(run.down[-1], 0.0)
    me = run.station.identity
    run.station.receive(encode(Message("20260115093100007", me.st, "1062", me.pw, me.mn, 5)), 0.0)
    for number in range(OPEN_MAX + 1):
        run.station.receive(
            encode(Message(f"2026011509310{number:04d}", me.st, "3018", me.pw, me.mn, 5, POLLUTANT)), 0.0
        )


def asking(make: Make) -> None:
    handled = frozenset({"2061", "3019", "3011"})
    run = quick(make, handled=handled)
    for lost in (b"QnRtn=1&", b"never"):
        run.lose = lambda data, lost=lost: lost in data
        run.ask("1061")
        run.ask("1062", ((("RtdInterval", "60"),),))
        to_the_end(run)
    run.asked("3012", POLLUTANT)
    run.asked("2012")
    run.lose = lambda data: b"QnRtn" in data
    run.ask("3019", POLLUTANT)
    run.finish(run.requested(), ExeRtn.FAILED)
    run.lose = lambda _: False
    run.ask("3019", POLLUTANT)
    run.finish(run.requested(), ExeRtn.NO_DATA)
    run.ask("2061", RANGE)
    run.submit(cn="2061")
    to_the_end(run)
    run.lose = lambda data: b"9011" in data
    run.ask("3019", POLLUTANT)
    run.lose = lambda _: False
    run.wait()
    run.station.receive(run.down[-1], run.now)
    run.platform.receive(run.up[-1], run.now)
    run.lose = lambda data: b"9012" in data
    run.ask("1061")
    run.platform.receive(next(data for data in reversed(run.up) if b"9011" in data), run.now)
    run.platform.end(run.now)
    run.lose = lambda _: True
    run.ask("1061")
    to_the_end(run)
    run.ask("1061")
    run.platform.end(run.now)


def test_every_row_of_the_table_is_reached(line: Make, reached: Rows) -> None:
    for scenario in (uploads, notices, serving, asking):
        scenario(line)
    assert {(row.machine, row.state, row.event) for row in TABLE} - reached == set()


def test_the_table_says_one_thing_of_each_state_and_event_and_every_state_is_reached() -> None:
    assert len({(row.machine, row.state, row.event) for row in TABLE}) == len(TABLE)
    for machine in Machine:
        rows = [row for row in TABLE if row.machine is machine]
        known, grown = {rows[0].state}, True
        while grown:
            more = known | {row.next for row in rows if row.state in known}
            known, grown = more, more != known
        assert {row.state for row in rows} | {row.next for row in rows} == known
        assert ends(machine)


def test_the_diagrams_show_every_row() -> None:
    drawn = mermaid()
    assert set(drawn) == set(Machine)
    for row in TABLE:
        assert arrow(row) in drawn[row.machine]
    assert all(text.startswith("stateDiagram-v2\n    [*] --> ") for text in drawn.values())


def arrow(row: Transition) -> str:
    return f"    {row.state} --> {row.next}: {row.event}"


def test_a_request_that_is_over_is_not_begun_again_by_a_late_answer(line: Make) -> None:
    run = quick(line, handled=frozenset({"3019"}))
    run.ask("3019", POLLUTANT)
    to_the_end(run)
    assert [one.outcome for one in run.ended] == ["failed"]
    wish = next(one for one in run.at_station if isinstance(one, Requested))
    run.finish(wish, ExeRtn.DONE)
    assert len(run.ended) == 1
