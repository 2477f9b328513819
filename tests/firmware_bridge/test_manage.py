"""Frames of version 2: questions, answers, and frames asked again from the boards' memory."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge import manage
from firmware_bridge.board import Boards
from firmware_bridge.frame import Frame, FrameError, encode_frame, unstuffed
from firmware_bridge.manage import Kind, Letter, decode_letter, encode_letter
from firmware_bridge.missing import TRIES_MAX
from metrology.reading import Scan, StreamFault
from simulation.board_desk import Gateway

AT = datetime(2026, 1, 2, tzinfo=UTC)


class Desk:
    """A board behind a gateway, as the simulation has it."""

    def __init__(self, number: int = 1) -> None:
        self.number, self.boot, self.sequence = number, 9, 0
        self.chip = 0x5EED_0000_0000 + number
        self.memory: dict[int, bytes] = {}
        self.settings = {"interval_s": "30"}
        self.clock_ms = 0
        self.management = None

    def uptime_s(self) -> int:
        return 77

    def frame(self) -> bytes:
        """The next frame, on the line and in the memory."""
        line = encode_frame(Frame(self.number, self.boot, self.sequence, self.sequence * 30_000, ((1, 2.0),)))
        body = unstuffed(line[:-1])
        self.memory[self.sequence] = body + _crc(body)
        self.sequence += 1
        return line


def _crc(body: bytes) -> bytes:
    import binascii

    return binascii.crc_hqx(body, 0).to_bytes(2, "little")


def heard(boards: Boards, data: bytes, at: datetime) -> list[Scan]:
    return [one for one in boards.feed(data, at) if isinstance(one, Scan)]


def asked(boards: Boards, gateway: Gateway, at: datetime) -> list[Scan]:
    """Write what the driver wants to ask, give it what comes."""
    found = []
    while boards.questions:
        found += heard(boards, gateway.hear(boards.questions.popleft()), at)
    return found


def rig(ask_again: int = 100) -> tuple[Boards, Desk, Gateway]:
    desk, gateway = Desk(), Gateway()
    gateway.boards.append(desk)
    return Boards({1: "one"}, ask_again), desk, gateway


@given(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 0xFFFF), st.binary(max_size=1200))
def test_a_letter_comes_out_as_it_was_sent(board: int, kind: int, tag: int, payload: bytes) -> None:
    letter = Letter(board, kind, tag, payload)
    line = encode_letter(letter)
    assert line.index(0) == len(line) - 1
    assert decode_letter(unstuffed(line[:-1])) == letter


@pytest.mark.parametrize("length", [0, 5, 2000])
def test_a_letter_of_no_length_a_board_may_send_is_a_bad_frame(length: int) -> None:
    with pytest.raises(FrameError, match="too"):
        decode_letter(bytes(length))


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(1, 28), max_size=20))
def test_every_lost_frame_comes_from_the_memory_with_its_own_time(lost: set[int]) -> None:
    boards, desk, gateway = rig()
    scans: list[Scan] = []
    for number in range(30):
        at = AT + timedelta(seconds=30 * number)
        line = desk.frame()
        if number not in lost:
            scans += heard(boards, line, at)
            scans += asked(boards, gateway, at)
    while boards.lost[1] > boards.recovered[1]:
        at += timedelta(seconds=30)
        scans += heard(boards, desk.frame(), at) + asked(boards, gateway, at)
    times = {scan.status["sequence"]: scan.at for scan in scans}
    assert [times[number] for number in range(30)] == [AT + timedelta(seconds=30 * number) for number in range(30)]
    assert {scan.status["sequence"] for scan in scans if scan.status.get("kept")} == lost
    assert len(times) == len(scans)


def test_what_a_board_sent_while_the_station_was_off_comes_from_its_memory() -> None:
    boards, desk, gateway = rig()
    heard(boards, desk.frame(), AT)
    for _ in range(40):
        desk.frame()
    for number in range(15):
        del desk.memory[number]
    again = Boards({1: "one"}, 100)
    again.resume(1, 9, 0)
    found: list[Scan] = []
    for _ in range(20):
        found += heard(again, desk.frame(), AT) + asked(again, gateway, AT)
    assert {scan.status["sequence"] for scan in found if scan.status.get("kept")} == set(range(15, 41))
    assert again.recovered[1] == 26


def test_a_board_that_does_not_answer_is_asked_a_bounded_number_of_times() -> None:
    boards, desk, gateway = rig()
    heard(boards, desk.frame(), AT)
    desk.frame()
    for _ in range(10):
        heard(boards, desk.frame(), AT)
    assert len(boards.questions) == TRIES_MAX
    assert gateway.questions == 0


def test_nothing_is_asked_unless_wished_nor_of_another_run() -> None:
    silent, desk, _ = rig(0)
    heard(silent, desk.frame(), AT)
    desk.frame()
    heard(silent, desk.frame(), AT)
    assert not silent.questions
    boards, desk, _ = rig()
    heard(boards, desk.frame(), AT)
    desk.frame()
    heard(boards, desk.frame(), AT)
    boards.questions.clear()
    desk.boot = 10
    heard(boards, desk.frame(), AT)
    assert not boards.questions


def test_a_frame_nobody_asked_for_is_no_reading() -> None:
    boards, desk, _ = rig()
    heard(boards, desk.frame(), AT)
    letter = Letter(1, Kind.KEPT | manage.ANSWER, 0, desk.memory[0])
    assert heard(boards, encode_letter(letter), AT) == []
    damaged = Letter(1, Kind.KEPT | manage.ANSWER, 0, b"\1" + desk.memory[0])
    assert any(isinstance(one, StreamFault) for one in boards.feed(encode_letter(damaged), AT))


def test_a_board_says_who_and_how_it_is_takes_the_time_and_settings() -> None:
    boards, desk, gateway = rig()
    desk.frame()

    def answer(kind: Kind, payload: bytes) -> Letter:
        question = Letter(1, kind, 7, payload)
        boards.feed(gateway.hear(encode_letter(question)), AT)
        letter = boards.answers.popleft()
        assert letter.answers(question)
        assert not letter.answers(Letter(1, kind, 8, payload))
        return letter

    who = manage.identity(answer(Kind.WHO, manage.who(1, 5, 10)))
    assert (who.version, who.boot, who.kept_from, who.next) == ("1.0.3", 9, 0, 1)
    assert manage.health(answer(Kind.HEALTH, b"")).uptime_s == 77
    assert manage.time_of(answer(Kind.TIME, manage.time_payload(AT))) == AT
    assert manage.setting_of(answer(Kind.WRITE, manage.setting("interval_s", "5"))) == ("interval_s", "10")
    assert manage.setting_of(answer(Kind.READ, manage.setting("interval_s"))) == ("interval_s", "10")
    assert answer(Kind.READ, manage.setting("no such")).refusal == "unknown (1)"
    with pytest.raises(FrameError):
        manage.identity(answer(Kind.HEALTH, b""))


@given(st.binary(max_size=80), st.integers(0, 255))
def test_no_answer_of_any_bytes_raises_anything_else(payload: bytes, kind: int) -> None:
    boards, _, gateway = rig()
    assert heard(boards, encode_letter(Letter(1, kind, 0, payload)), AT) == []
    gateway.hear(encode_letter(Letter(1, kind, 0, payload)))
    letter = Letter(1, kind, 0, payload)
    for read in (manage.identity, manage.health, manage.time_of, manage.setting_of):
        try:
            read(letter)
        except FrameError:
            continue
