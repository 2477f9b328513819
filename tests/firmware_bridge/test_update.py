"""The update of one board against a simulated MCUmgr: taken up after cuts, confirmed when proven, else reverted."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smp.image_management import ImageStatesReadResponse, ImageUploadWriteResponse
from smp.os_management import EchoWriteRequest

from firmware_bridge.image import Image, read_image
from firmware_bridge.smp_line import Console, lines
from firmware_bridge.smp_talk import Refusal, Send, answers, understood
from firmware_bridge.update import RESUMES_MAX, Outcome, Pause, Progress, Update, Watch, update
from host.clock import ManualClock
from simulation import smp_wires
from simulation.smp import ManagedBoard, Trouble

Signer = Callable[..., tuple[bytes, bytes]]
OLD, NEW = "1.0.0", "1.1.0"


class Bench:
    """A board, and everything its update did."""

    def __init__(self, signer: Signer, trouble: Trouble | None = None, delivers: bool = True) -> None:
        self.images: dict[str, Image] = {v: read_image(signer(v)[0]) for v in (OLD, NEW)}
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.wall = 0.0
        self.board = ManagedBoard(self, self.images[OLD].data, trouble=trouble)  # type: ignore[arg-type]
        self.delivers = delivers
        self.on_watch: Callable[[], None] = lambda: None
        self.told: list[Progress] = []
        self.sends = 0

    def wall_monotonic(self) -> float:
        return self.wall

    def run(self, steps: Update, power_fails_after: int | None = None) -> Outcome | None:
        """Walk an update; None where the station's power fails after so many messages."""
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = None
            match step:
                case Send(message, timeout_s):
                    if power_fails_after == self.sends:
                        return None
                    self.sends += 1
                    answer = self.board.answer(message) or None
                    assert answer is None or answers(message, answer)
                    self.wall += 0.001 if answer else timeout_s
                case Pause(seconds):
                    self.wall += seconds
                case Watch():
                    self.on_watch()
                    answer = self.delivers
                case Progress():
                    self.told.append(step)

    def update(self, version: str = NEW, **more: Any) -> Outcome | None:
        return self.run(update(self.images[version], 1024, **more))

    def whats(self) -> list[str]:
        return [one.what for one in self.told if one.what != "uploaded"]


def test_an_update_is_uploaded_tested_watched_and_confirmed(signer: Signer) -> None:
    bench = Bench(signer)
    bench.on_watch = lambda: states.append((bench.board.version, bench.board.confirmed))
    states: list[tuple[str, bool]] = []
    assert bench.update() == Outcome("updated")
    assert states == [(NEW, False)], "not confirmed before it was watched"
    assert (bench.board.version, bench.board.confirmed, bench.board.starts) == (NEW, True, 1)
    assert bench.whats() == ["upload-started", "test-marked", "reset", "started", "confirmed"]
    assert bench.update() == Outcome("already")
    assert bench.board.starts == 1


def test_no_message_is_longer_than_the_board_takes(signer: Signer) -> None:
    bench = Bench(signer)
    longest = 0
    answer = bench.board.answer

    def measured(message: bytes) -> bytes:
        nonlocal longest
        longest = max(longest, len(message))
        return answer(message)

    bench.board.answer = measured  # type: ignore[method-assign]
    assert bench.update() == Outcome("updated")
    assert 370 < longest <= 384


@pytest.mark.parametrize("cut", [1, 700, 2500])
def test_an_upload_goes_on_where_power_was_cut(signer: Signer, cut: int) -> None:
    bench = Bench(signer, Trouble(cut_at=[cut]))
    assert bench.update() == Outcome("updated")
    assert bench.board.uploaded_bytes == len(bench.images[NEW].data), "no byte went twice"
    assert "upload-cut" in bench.whats()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_an_update_cut_anywhere_is_taken_up_by_running_it_again(signer: Signer, data: st.DataObject) -> None:
    bench = Bench(signer)
    after = data.draw(st.lists(st.integers(0, 20), max_size=5))
    for messages in after:
        if bench.run(update(bench.images[NEW], 1024), power_fails_after=bench.sends + messages) is not None:
            break
        bench.wall += 1
    assert bench.update() in (Outcome("updated"), Outcome("already"))
    assert (bench.board.version, bench.board.confirmed) == (NEW, True)
    assert bench.board.uploaded_bytes == len(bench.images[NEW].data)


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(silent={2, 5, 6, 9}),
        Trouble(busy_at=[0, 1200]),
        Trouble(wrong_offset_at=[900, 2000]),
        Trouble(old_errors=True, busy_at=[400]),
    ],
    ids=["lost answers", "busy", "goes back", "old errors"],
)
def test_a_troubled_upload_ends_well(signer: Signer, trouble: Trouble) -> None:
    bench = Bench(signer, trouble)
    assert bench.update() == Outcome("updated")
    assert bench.board.version == NEW


def test_an_image_without_readings_is_brought_back(signer: Signer) -> None:
    bench = Bench(signer, delivers=False)
    outcome = bench.update()
    assert outcome is not None
    assert outcome.result == "reverted"
    assert (bench.board.version, bench.board.confirmed) == (OLD, True)
    assert bench.whats()[-2:] == ["reverting", "reset"]


def test_a_board_that_starts_again_while_watched_is_not_confirmed(signer: Signer) -> None:
    bench = Bench(signer)
    bench.on_watch = bench.board.start
    outcome = bench.update()
    assert outcome is not None
    assert outcome.result == "reverted"
    assert (bench.board.version, bench.board.confirmed) == (OLD, True)


def test_what_the_boot_loader_refuses_and_what_never_comes_back_are_told_apart(signer: Signer) -> None:
    refused = Bench(signer, Trouble(refuses_to_start=True)).update()
    dead = Bench(signer, Trouble(dead_after_start=True)).update()
    assert refused is not None
    assert dead is not None
    assert (refused.result, dead.result) == ("reverted", "lost")
    assert "boot loader" in refused.reason


def test_a_silent_board_is_lost_and_costs_a_bounded_number_of_messages(signer: Signer) -> None:
    bench = Bench(signer, Trouble(silent=set(range(10_000))))
    outcome = bench.update()
    assert outcome is not None
    assert outcome.result == "lost"
    assert bench.sends < 10
    late = Bench(signer, Trouble(silent=set(range(6, 10_000))))
    assert (ended := late.update()) is not None
    assert ended.result == "lost"
    assert late.sends < 10 * (RESUMES_MAX + 2)


def test_an_older_image_needs_to_be_wished(signer: Signer) -> None:
    bench = Bench(signer)
    assert bench.update() == Outcome("updated")
    refused = bench.update(OLD)
    assert refused is not None
    assert (refused.result, bench.board.version) == ("failed", NEW)
    assert bench.update(OLD, downgrade=True) == Outcome("updated")
    assert bench.board.version == OLD


@given(st.binary(max_size=60))
def test_whatever_a_board_answers_is_understood_or_a_refusal(body: bytes) -> None:
    message = bytes.fromhex("0B 00 00 00 00 01 00 01") + body
    found = understood(message, ImageUploadWriteResponse)
    assert isinstance(found, ImageUploadWriteResponse | Refusal)


@pytest.mark.parametrize(
    "fields",
    [
        {"rc": 10**6000},
        {"err": {"group": 1, "rc": -(10**6000)}},
        {"images": [{"slot": 0, "version": "1", cbor2.CBORTag(11, tuple(range(300))): 1}]},
        {"images": [{"x" * 5000: 1}]},
    ],
    ids=["long code", "long code of a group", "long key", "long name"],
)
def test_a_refusal_is_short_whatever_an_answer_holds(fields: dict[str, Any]) -> None:
    header = bytes.fromhex("0300000600010000")
    found = understood(header + cbor2.dumps(fields), ImageStatesReadResponse)
    assert isinstance(found, Refusal)
    assert 0 < len(found.text) < 200


def test_errors_of_both_versions_are_told() -> None:
    old = understood(bytes.fromhex("0300000600010000 A1 62 72 63 0A"), ImageStatesReadResponse)
    new = understood(bytes.fromhex("0B00001000010000 A1 63 65 72 72 A2 65 67 72 6F 75 70 01 62 72 63 18 18"),
                     ImageStatesReadResponse)  # fmt: skip
    assert old == Refusal("busy (10)", 0, 10)
    assert new == Refusal("invalid hash (24 of group 1)", 1, 24)
    assert not Refusal("flash open failed", 1, 10).busy


def test_a_console_carries_the_published_vectors() -> None:
    echo = bytes(EchoWriteRequest(d="hi", sequence=1))
    assert lines(echo) == b"\x06\x09ABAKAAAGAAABAKFhZGJoaaWv\n"
    assert lines(b"Hello, world!", 8).count(b"\n") == 6
    reply = Console().feed(b"\x06\x09ABALAAAGAAABAKFhcmJoaeLw\n")
    assert answers(echo, reply[0])
    assert not answers(echo, reply[0][:6] + b"\x02" + reply[0][7:])


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    yield from (data[a:b] for a, b in pairwise(edges))


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4), st.lists(st.integers(0, 5000)))
def test_messages_survive_any_cutting_between_lines_for_people(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"boot: jumping\r\n".join(lines(message) for message in messages) + b"uart:~$ \r\n"
    console = Console()
    assert [found for piece in pieces(stream, cuts) for found in console.feed(piece)] == messages
    assert console.damaged == 0


@given(st.binary(max_size=400))
def test_rubbish_on_a_console_costs_no_message_behind_it(rubbish: bytes) -> None:
    console = Console()
    assert console.feed(rubbish + b"\n" + lines(b"behind"))[-1:] == [b"behind"]


def test_the_simulated_console_and_ours_fit(signer: Signer) -> None:
    bench = Bench(signer, Trouble(log_lines=True))
    console, far = Console(), smp_wires.Console(bench.board)
    echo = bytes(EchoWriteRequest(d="x" * 200, sequence=9))
    came = console.feed(b"".join(far.hear(piece) for piece in pieces(lines(echo), [7, 50])))
    assert len(came) == 1
    assert answers(echo, came[0])
