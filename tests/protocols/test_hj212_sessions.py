"""Both ends of an HJ 212 link against each other, through a line that loses and repeats; time is a number."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.quality import Cause, Mark, Quality
from metrology.reading import Average, Measurement, Reading
from metrology.units import UnitError
from protocols.hj212.decoder import Decoder
from protocols.hj212.factors import decimal, factor
from protocols.hj212.message import Area, EncodeError, Item, Message, encode
from protocols.hj212.platform import OPEN, TRANSITIONS, PlatformSession, Request
from protocols.hj212.service import StationState
from protocols.hj212.session import (
    BadBytes,
    Commanded,
    Delivered,
    Failed,
    Identity,
    Output,
    Rejected,
    Requested,
    RequestEnded,
    Send,
    Timing,
    Unexpected,
    Uploaded,
)
from protocols.hj212.split import split
from protocols.hj212.station import StationSession
from protocols.hj212.times import QnSource, parse_time, render_time
from protocols.hj212.uploads import average_items, read_upload, realtime_item, time_item

ME = Identity("0100B1F2A00002A00000007B", "123456", "31")
T0 = datetime(2026, 1, 15, 1, 30, tzinfo=UTC)
ITEMS: tuple[Item, ...] = ((("a05001-Avg", "181500.0"), ("a05001-Flag", "N")),)


@dataclass
class Line:
    """Both sessions, the outputs of each, and a line between them that `lose` may cut."""

    station: StationSession
    platform: PlatformSession
    lose: Callable[[], bool] = lambda: False
    commit: bool = True
    now: float = 0.0
    at_station: list[Output] = field(default_factory=list)
    at_platform: list[Output] = field(default_factory=list)
    wire: list[bytes] = field(default_factory=list)

    def from_station(self, outputs: list[Output]) -> None:
        for output in outputs:
            if not isinstance(output, Send):
                self.at_station.append(output)
                continue
            self.wire.append(output.data)
            if not self.lose():
                self.from_platform(self.platform.receive(output.data, self.now))

    def from_platform(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Uploaded) and self.commit:
                self.at_platform.append(output)
                self.from_platform(self.platform.accepted(output.message))
            elif not isinstance(output, Send):
                self.at_platform.append(output)
            elif not self.lose():
                self.from_station(self.station.receive(output.data, self.now))

    def wait(self) -> bool:
        """Let time pass to the next deadline; False where nobody waits."""
        deadlines = [d for d in (self.station.deadline, self.platform.deadline) if d is not None]
        if not deadlines:
            return False
        self.now = min(deadlines)
        self.from_station(self.station.tick(self.now))
        self.from_platform(self.platform.tick(self.now))
        return True


def line(*, allowed: frozenset[str] = frozenset(), ack: bool = True, state: StationState | None = None) -> Line:
    station = StationSession(
        ME, state or StationState(), lambda: T0, ack=ack, allowed=allowed, handled=frozenset({"1012"})
    )
    return Line(station, PlatformSession({ME.mn: ME}, lambda: T0))


def submit(run: Line, key: object = "k", cn: str = "2051", items: tuple[Item, ...] = ITEMS) -> None:
    run.from_station(run.station.submit(key, cn, T0, items, run.now))


def of(kind: type[Output], outputs: list[Output]) -> list[Output]:
    return [output for output in outputs if isinstance(output, kind)]


def test_an_upload_is_delivered_when_the_platform_has_committed_it() -> None:
    run = line()
    run.commit = False
    submit(run)
    assert run.at_station == []
    (uploaded,) = run.at_platform
    assert isinstance(uploaded, Uploaded)
    assert (uploaded.upload.period_s, uploaded.upload.data_time) == (60, T0)
    assert uploaded.upload.rows[0].values == {"Avg": 181500.0}
    run.from_platform(run.platform.accepted(uploaded.message))
    assert run.at_station == [Delivered("k", confirmed=True)]
    assert run.station.deadline is None


def test_the_same_bytes_go_again_until_the_resends_are_used_up() -> None:
    run = line(state=StationState(Timing(5.0, 2)))
    run.lose = lambda: True
    submit(run)
    while run.wait():
        pass
    assert len(run.wire) == 3
    assert len(set(run.wire)) == 1
    assert run.now == 15.0
    assert run.at_station == [Failed("k", others_answered=False, reason="no answer")]


def test_a_resent_upload_is_answered_again_but_committed_once() -> None:
    run = line()
    submit(run)
    run.from_platform(run.platform.receive(run.wire[0], 1.0))
    assert len(of(Uploaded, run.at_platform)) == 1
    # The second 9014 answers nothing that is still open.
    assert [type(one) for one in run.at_station] == [Delivered, Unexpected]


def test_a_frame_refused_while_others_are_taken_is_told_apart_from_a_dead_link() -> None:
    run = line(state=StationState(Timing(5.0, 1)))
    run.lose = lambda: b"2031" in run.wire[-1]
    submit(run, "day", "2031")
    submit(run, "minute")
    run.wait()
    run.lose = lambda: True
    while run.wait():
        pass
    assert run.at_station == [
        Delivered("minute", confirmed=True),
        Failed("day", others_answered=True, reason="no answer"),
    ]


def test_without_acknowledgements_an_upload_is_sent_and_unconfirmed() -> None:
    run = line(ack=False)
    submit(run)
    assert run.at_station == [Delivered("k", confirmed=False)]
    assert b";Flag=4;" in run.wire[0]
    assert len(of(Uploaded, run.at_platform)) == 1


def many_items(count: int) -> tuple[Item, ...]:
    return tuple(((f"a{i:05d}-Avg", "1234.567"), (f"a{i:05d}-Flag", "N")) for i in range(count))


def test_many_factors_go_in_parts_each_useful_alone_and_acknowledged_in_turn() -> None:
    run = line()
    submit(run, items=many_items(60))
    uploads = [one for one in run.at_platform if isinstance(one, Uploaded)]
    assert len(uploads) == len(run.wire) > 2
    assert [(u.message.pnum, u.message.pno) for u in uploads] == [(len(uploads), i + 1) for i in range(len(uploads))]
    assert {u.upload.data_time for u in uploads} == {T0}
    assert [row.code for u in uploads for row in u.upload.rows] == [f"a{i:05d}" for i in range(60)]
    assert len({u.message.qn for u in uploads}) == len(uploads)
    assert all(u.message.flag == 7 for u in uploads)
    assert run.at_station == [Delivered("k", confirmed=True)]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_parts_keep_every_item_once_in_order_and_fit(widths: list[int]) -> None:
    items = tuple((((f"a{i:05d}-Avg", "1" * width),)) for i, width in enumerate(widths))
    parts = split((time_item(T0), *items), 80, 101)
    assert tuple(item for part in parts for item in part[1:]) == items
    assert all(part[0] == time_item(T0) and len(part) > 1 for part in parts)
    for pno, part in enumerate(parts, 1):
        whole = len(parts) == 1
        flag = 5 if whole else 7
        encode(
            Message(
                "2" * 17, "31", "2051", "123456", "A" * 24, flag, part, *((None, None) if whole else (len(parts), pno))
            )
        )


def test_a_factor_too_long_for_any_frame_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        split((time_item(T0), (("a", "1" * 950),)), 80, 101)


def test_no_more_uploads_than_the_window() -> None:
    run = line()
    run.lose = lambda: True
    for key in range(4):
        submit(run, key)
    assert run.station.free == 0
    with pytest.raises(RuntimeError):
        submit(run)
    run.station.disconnected()
    assert run.station.free == 4


def ask(run: Line, cn: str, area: Area = ()) -> RequestEnded:
    _, outputs = run.platform.request(ME.mn, cn, area, run.now)
    run.from_platform(outputs)
    while not of(RequestEnded, run.at_platform) and run.wait():
        pass
    ended = run.at_platform.pop()
    assert isinstance(ended, RequestEnded)
    return ended


def test_the_real_time_interval_is_set_and_read_back() -> None:
    state = StationState()
    run = line(state=state)
    ended = ask(run, "1062", ((("RtdInterval", "60"),),))
    assert (ended.outcome, ended.code) == ("done", 1)
    assert state.realtime_s == 60
    (act,) = run.at_station
    assert isinstance(act, Commanded)
    assert (act.cn, act.fields, act.result) == ("1062", {"RtdInterval": "60"}, "done")
    ended = ask(run, "1061")
    assert ended.data == (((("RtdInterval", "60"),),),)


def test_time_outs_real_time_upload_and_time() -> None:
    state = StationState()
    run = line(state=state)
    assert ask(run, "1000", ((("OverTime", "7"),), (("ReCount", "5"),))).outcome == "done"
    assert state.timing == Timing(7.0, 5)
    assert ask(run, "2012").outcome == "done"
    assert not state.realtime_on
    assert ask(run, "2011").outcome == "done"
    assert state.realtime_on
    assert ask(run, "1011").data == (((("SystemTime", "20260115093000"),),),)


def test_setting_the_time_is_refused_unless_the_owner_allows_it() -> None:
    area: Area = ((("SystemTime", "20260115093501"),),)
    run = line()
    ended = ask(run, "1012", area)
    assert (ended.outcome, ended.code) == ("refused", 2)
    assert [type(one) for one in run.at_station] == [Commanded]

    allowed = line(allowed=frozenset({"1012"}))
    _, outputs = allowed.platform.request(ME.mn, "1012", area, 0.0)
    allowed.from_platform(outputs)
    (wish,) = allowed.at_station
    assert wish == Requested(wish.qn, datetime(2026, 1, 15, 1, 35, 1, tzinfo=UTC))  # type: ignore[union-attr]
    allowed.from_station(allowed.station.executed(wish.qn, done=False))  # type: ignore[union-attr]
    (ended,) = allowed.at_platform  # type: ignore[assignment]
    assert (ended.outcome, ended.code) == ("failed", 2)


def replies(run: Line, **changes: object) -> list[tuple[str, str | None]]:
    fields_of: dict[str, object] = {
        "qn": "20260115093100007", "st": ME.st, "cn": "1062", "pw": ME.pw, "mn": ME.mn, "flag": 5,
        "area": ((("RtdInterval", "60"),),),
    }  # fmt: skip
    wire = encode(Message(**(fields_of | changes)))  # type: ignore[arg-type]
    sent = [one.data for one in run.station.receive(wire, 0.0) if isinstance(one, Send)]
    frames = [message for message in Decoder().feed(b"".join(sent)) if isinstance(message, Message)]
    return [(message.cn, message.value("QnRtn") or message.value("ExeRtn")) for message in frames]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pw": "000000"}, [("9011", "3")]),
        ({"mn": "A" * 24}, [("9011", "4")]),
        ({"st": "32"}, [("9011", "5")]),
        ({"flag": 9}, [("9011", "6")]),
        ({"qn": "9" * 17}, [("9011", "7")]),
        ({"cn": "1072", "area": ((("NewPW", "abc"),),)}, [("9011", "8")]),
        ({"cn": "2051"}, [("9011", "8")]),
        ({"cn": "1012", "area": ((("SystemTime", "20260115093501"),),)}, [("9011", "2")]),
        ({"area": ((("RtdInterval", "29"),),)}, [("9011", "1"), ("9012", "3")]),
        ({"area": ()}, [("9011", "1"), ("9012", "3")]),
        ({"area": ((("RtdInterval", "60"),), (("RtdInterval", "90"),))}, [("9011", "1"), ("9012", "3")]),
        ({}, [("9011", "1"), ("9012", "1")]),
    ],
)
def test_a_wrong_request_is_refused_with_its_code(changes: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert replies(line(), **changes) == expected


def test_a_refused_password_change_leaves_no_trace_of_the_password() -> None:
    run = line()
    wire = encode(Message("20260115093100007", "31", "1072", ME.pw, ME.mn, 5, ((("NewPW", "secret"),),)))
    assert "secret" not in repr(run.station.receive(wire, 0.0))


# dialogues.md 1 of the fact tables: composed frames of an outside source, byte by byte.
def test_refusal_and_execution_look_on_the_wire_as_printed() -> None:
    run = line()
    ask_wrong = (
        b"##0101QN=20260115093100007;ST=31;CN=1062;PW=000000;MN=0100B1F2A00002A00000007B;Flag=5;"
        b"CP=&&RtdInterval=60&&AA01\r\n"
    )
    assert Send(
        b"##0094QN=20260115093100007;ST=91;CN=9011;PW=000000;MN=0100B1F2A00002A00000007B;Flag=4;CP=&&QnRtn=3&&1680\r\n"
    ) in run.station.receive(ask_wrong, 0.0)
    ask_right = (
        b"##0101QN=20260115093000120;ST=31;CN=1062;PW=123456;MN=0100B1F2A00002A00000007B;Flag=5;"
        b"CP=&&RtdInterval=60&&1E00\r\n"
    )
    assert [one.data[-12:-6] for one in run.station.receive(ask_right, 0.0) if isinstance(one, Send)] == [
        b"tn=1&&",
        b"tn=1&&",
    ]


def test_a_request_seen_before_is_answered_again_and_not_executed_again() -> None:
    state = StationState()
    run = line(state=state)
    first = replies(run)
    state.realtime_s = 30
    assert replies(run) == first == [("9011", "1"), ("9012", "1")]
    assert state.realtime_s == 30


def test_a_station_that_never_answers_is_asked_as_often_as_agreed() -> None:
    run = line()
    run.lose = lambda: True
    ended = ask(run, "1061")
    assert (ended.outcome, run.now) == ("unanswered", 40.0)


def test_a_platform_takes_nothing_of_strangers_and_says_why() -> None:
    run = line()
    for identity, reason in (
        (Identity("F" * 24, "123456"), "unknown MN"),
        (Identity(ME.mn, "654321"), "wrong PW"),
        (Identity(ME.mn, "123456", "22"), "wrong ST"),
    ):
        stranger = StationSession(identity, StationState(), lambda: T0)
        (send,) = stranger.submit("k", "2051", T0, ITEMS, 0.0)
        assert isinstance(send, Send)
        answer = run.platform.receive(send.data, 0.0)
        assert [one.reason for one in answer if isinstance(one, Rejected)] == [reason]
        (refusal,) = [one for one in answer if isinstance(one, Send)]
        (failed,) = stranger.receive(refusal.data, 0.0)
        assert isinstance(failed, Failed)
        assert failed.reason.startswith("refused with QnRtn")


def test_an_upload_without_time_is_not_taken_and_bad_bytes_are_a_value() -> None:
    run = line()
    message = Message("20260115093100007", ME.st, "2051", ME.pw, ME.mn, 5, ITEMS)
    assert of(Rejected, run.platform.receive(encode(message), 0.0))
    assert of(BadBytes, run.platform.receive(b"##00x0", 0.0))
    assert of(BadBytes, run.station.receive(b"##00x0", 0.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 0.6))
def test_over_a_lossy_line_every_upload_and_request_comes_to_an_end(seed: int, loss: float) -> None:
    dice = random.Random(seed)
    run = line(state=StationState(Timing(10.0, 3)))
    run.lose = lambda: dice.random() < loss
    waiting = list(range(12))
    committed: set[str] = set()
    asked = 0
    while waiting or asked < 3 or run.station.free < 4 or run.platform.deadline is not None:
        while waiting and run.station.free:
            key = waiting.pop(0)
            submit(run, key, items=(((f"a{key:05d}-Avg", "1"),),))
        if asked < 3:
            asked += 1
            run.from_platform(run.platform.request(ME.mn, "1061", (), run.now)[1])
        run.wait()
    done = {one.key for one in run.at_station if isinstance(one, Delivered)}
    failed = {one.key for one in run.at_station if isinstance(one, Failed)}
    uploads = [one.upload.rows[0].code for one in run.at_platform if isinstance(one, Uploaded)]
    committed.update(uploads)
    assert done | failed == set(range(12))
    assert not done & failed
    assert len(uploads) == len(committed)  # a resend is never committed twice on one link
    assert {f"a{key:05d}" for key in done} <= committed  # delivered means committed
    assert len(of(RequestEnded, run.at_platform)) == 3


def test_every_state_that_is_left_is_in_the_table_and_every_end_is_an_end() -> None:
    assert {state for state, _ in TRANSITIONS} == OPEN
    assert set(TRANSITIONS.values()) == set(Request) - {Request.ASKED}


# -- values


def average(mean: float | None, quality: Quality | None = None, **changes: object) -> Average:
    at = T0
    fields_of: dict[str, object] = {
        "series": "stack.so2", "unit": "mg/m3", "start": at, "period_s": 60, "n": 60, "valid_fraction": 1.0,
        "mean": mean, "minimum": mean, "maximum": mean, "sd": 0.0, "rule": "hj-stack", "quality": quality or Quality(),
    }  # fmt: skip
    return Average(**(fields_of | changes))  # type: ignore[arg-type]


def test_averages_travel_with_letter_and_decimals_and_without_a_mean_the_letter_alone() -> None:
    so2 = factor("a21026", "stack.so2")
    items, problems = average_items([so2], {"stack.so2": average(35.0049)})
    assert items == ((("a21026-Min", "35.00"), ("a21026-Avg", "35.00"), ("a21026-Max", "35.00"), ("a21026-Flag", "N")),)
    assert problems == []
    fault = Quality.of(Mark(Cause.FAULT, "stack", T0))
    (item,), _ = average_items([so2], {"stack.so2": average(None, fault)})
    assert item == (("a21026-Flag", "D"),)
    (item,), _ = average_items([so2], {"stack.so2": average(1.0, sum=12.5)})
    assert item[0] == ("a21026-Cou", "12.50")
    assert average_items([so2], {"other.so2": average(1.0)}) == ((), [])
    items, problems = average_items([so2], {"stack.so2": average(1.0, unit="degC")})
    assert items == ()
    assert "degC" in problems[0]


@pytest.mark.parametrize(
    ("rule", "fraction", "mean", "causes", "letter"),
    [
        # C.16 to C.18: only the share of normal inputs counts, also for a day of 18 hours that is no valid mean.
        ("hj-stack", 0.75, 35.0, [], "N"),
        ("hj-stack", 0.75, 35.0, [Cause.INCOMPLETE], "N"),
        ("hj-stack", 0.74, 35.0, [], "D"),
        ("hj-stack", 0.5, 35.0, [Cause.CALIBRATION, Cause.INCOMPLETE], "D"),
        ("hj-stack", 0.0, None, [Cause.STOPPED, Cause.INCOMPLETE], "D"),
        ("hj-ambient", 0.74, 35.0, [Cause.INCOMPLETE], "D"),
        ("hj-ambient", 0.1, 35.0, [Cause.CALIBRATION], "C"),
        ("hj-ambient", 0.1, 35.0, [], "N"),
        ("ghg", 0.0, None, [Cause.STOPPED, Cause.INCOMPLETE], "F"),
        ("ghg", 0.0, None, [], "D"),
    ],
)
def test_the_letter_of_a_mean_follows_its_rule(
    rule: str, fraction: float, mean: float | None, causes: list[Cause], letter: str
) -> None:
    quality = Quality.of(*(Mark(cause, "test", T0) for cause in causes))
    made = average(mean, quality, rule=rule, valid_fraction=fraction)
    (item,), _ = average_items([factor("a21026", "stack.so2")], {"stack.so2": made})
    assert item[-1] == ("a21026-Flag", letter)


def test_a_mole_fraction_becomes_mass_only_with_a_stated_state() -> None:
    with pytest.raises(UnitError, match=r"a05001.*state"):
        factor("a05001", "tower.co2_dry")
    co2 = factor("a05001", "tower.co2_dry", state="stack-dry")
    # HJ 212-2017 formula 20: C = x M / 22.4
    assert co2.render(400.0, "umol/mol") == f"{400.0 * 44.01 / 22.4:.3f}"
    assert factor("a05001", "tower.co2_dry", unit="umol/mol", decimals=2).render(412.345, "umol/mol") == "412.35"


def test_rounding_is_half_to_even_without_exponent_or_negative_zero() -> None:
    assert [decimal(x, 0) for x in (0.5, 1.5, 2.5)] == ["0", "2", "2"]
    assert decimal(-0.004, 2) == "0.00"
    assert decimal(1e15, 1) == "1000000000000000.0"
    with pytest.raises(ValueError, match="decimal"):
        decimal(float("nan"), 1)


def test_real_time_values() -> None:
    so2 = factor("a21026", "stack.so2")
    good = Measurement(Reading("stack", "so2", 12.0, "mg/m3", T0), 12.345)
    assert realtime_item(so2, good, silent=False) == (("a21026-Rtd", "12.35"), ("a21026-Flag", "N"))
    assert realtime_item(so2, good, silent=True) == (("a21026-Flag", "B"),)
    lost = Measurement(Reading("stack", "so2", None, "mg/m3", T0), None)
    assert realtime_item(so2, lost, silent=False) == (("a21026-Flag", "D"),)


def test_rows_of_a_foreign_upload_are_read_as_far_as_they_are_numbers() -> None:
    area: Area = (
        (("DataTime", "20260115093400"),),
        (("a1-Rtd", "-.5"), ("a1-Flag", "N")),
        (("a2-Rtd", "n/a"), ("a2-Flag", "D")),
        (("LA-Rtd", "49."),),
    )
    upload = read_upload(Message("2" * 17, "31", "2011", "1", "M", 4, area))
    assert upload.period_s is None
    assert [(row.code, dict(row.values), row.flag) for row in upload.rows] == [
        ("a1", {"Rtd": -0.5}, "N"),
        ("a2", {}, "D"),
        ("LA", {"Rtd": 49.0}, None),
    ]


def test_times_are_utc_plus_8_and_request_numbers_never_repeat() -> None:
    assert render_time(T0) == "20260115093000"
    assert parse_time("20260115093000") == T0
    qns = QnSource()
    stamps = [qns.next(T0 + timedelta(milliseconds=ms)) for ms in (0, 0, 1, 5, 4)]
    assert stamps == [f"20260115093000{ms:03d}" for ms in (0, 1, 2, 5, 6)]


@pytest.mark.parametrize(
    ("mn", "pw", "st_code"), [("short", "1", "31"), ("A" * 24, "1234567", "31"), ("A" * 24, "1", "3")]
)
def test_an_identity_the_standard_cannot_write_is_refused_without_showing_the_password(
    mn: str, pw: str, st_code: str
) -> None:
    with pytest.raises(ValueError, match=r"MN|PW|ST") as raised:
        Identity(mn, pw, st_code)
    assert "1234567" not in str(raised.value)
