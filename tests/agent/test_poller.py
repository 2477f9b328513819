"""Polls on whole periods, missed polls as flagged scans, listeners that notice silence."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agent.config import Instrument
from agent.wires.bus import AskedBus
from agent.wires.listener import Listener
from agent.wires.poller import Poller
from agent.wires.sources import offsets_s
from drivers.base import BadAnswer, Poll, ReadRegisters, Registers, StreamFault
from host.clock import ManualClock
from metrology.quality import Cause
from metrology.reading import Reading, Scan

START = datetime(2026, 1, 1, 0, 0, 3, 400_000, tzinfo=UTC)


class Driver:
    """Reads one register; the test says what goes wrong."""

    measurands = {"co2": "umol/mol", "cell_temperature": "degC"}  # noqa: RUF012  the face of a driver wants a dict

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.empty = False

    def poll(self) -> Poll:
        answer = yield ReadRegisters("holding", 7, 1)
        assert isinstance(answer, Registers)
        if self.fault:
            raise self.fault
        readings = (Reading("i", "co2", float(answer.values[0]), "umol/mol", answer.at),)
        return [] if self.empty else [Scan("i", answer.at, readings)]


def instrument(**members: object) -> Instrument:
    return Instrument.model_validate(
        {"driver": "d", "bus": "b", "unit": 1, "poll_s": 2, "kind": "research", "rule": "ghg", **members}
    )


class Station:
    """A poller on a real Modbus TCP peer."""

    def __init__(self, peer, events, poll_s: float = 2, offset_s: float = 0.0) -> None:
        self.clock = ManualClock(START)
        self.scans: list[Scan] = []
        self.hold: asyncio.Event | None = None
        self.driver = Driver()
        self.bus = AskedBus("b", peer.bus, self.clock, events)
        config = instrument(poll_s=poll_s)
        self.poller = Poller("i", config, self.driver, self.bus, self.take, self.clock, offset_s)
        self.task = asyncio.create_task(self.poller.run())

    async def take(self, scan: Scan) -> None:
        self.scans.append(scan)
        if self.hold:
            await self.hold.wait()

    async def second(self, count: int = 1) -> None:
        """Advance by whole seconds, each poll answered before the next."""
        for _ in range(count):
            before = self.poller.polls
            requests = self.requests
            await self.clock.advance(1)
            async with asyncio.timeout(5):
                while self.requests != requests and self.poller.polls == before and not self.task.done():
                    await asyncio.sleep(0.001)

    @property
    def requests(self) -> int:
        unit = self.bus.status()["units"].get("1")
        return int(unit["requests"]) if unit else 0

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
        self.bus.close()


@pytest.fixture
async def station(serve_modbus, events):
    peer = await serve_modbus(1)
    one = Station(peer, events)
    one.peer = peer
    yield one
    await one.end()


async def test_polls_fall_on_whole_multiples_of_the_period(station) -> None:
    await station.second(12)
    seconds = [(scan.at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() for scan in station.scans]
    assert len(seconds) == 6
    # The answer is stamped after the poll began, never before; hand-moved time stands still meanwhile.
    assert seconds == pytest.approx([4, 6, 8, 10, 12, 14])
    assert station.poller.status()["skipped_slots"] == 0


async def test_polls_of_one_period_begin_one_after_the_other(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    station = Station(peer, events, offset_s=0.25)
    await station.second(5)
    seconds = [(scan.at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() % 2 for scan in station.scans]
    # Hand-moved time stands still at whole seconds behind 3.4 while an answer is on its way.
    assert len(seconds) >= 2
    assert station.poller.status()["offset_s"] == 0.25
    late = station.poller.status()["late_ms"]
    assert 0 <= late["p50"] <= late["p95"] <= late["max"]
    await station.end()


def test_instruments_of_one_instant_are_spread_over_a_quarter_of_a_second(tmp_path, config_for) -> None:
    config = config_for(tmp_path, 502)
    block = config.instruments["ndir"]
    slow, quick = block.model_copy(update={"poll_s": 60.0}), block.model_copy(update={"poll_s": 0.4})
    many = config.model_copy(update={"instruments": {"a": block, "b": slow, "c": block, "d": quick}})
    assert offsets_s(many) == pytest.approx([0.0, 0.0625, 0.125, 0.075])
    assert offsets_s(config) == [0.0]


async def test_a_step_of_the_wall_clock_does_not_move_the_polls(station) -> None:
    await station.second(4)
    station.clock.step(0.7)
    before = station.clock.monotonic()
    await station.second(4)
    assert station.poller.polls == 4
    assert station.clock.monotonic() == before + 4


async def test_an_overrun_skips_and_counts_its_slots_and_never_bursts(station) -> None:
    station.hold = asyncio.Event()
    await station.clock.advance(1)
    async with asyncio.timeout(5):
        while not station.scans:
            await asyncio.sleep(0.001)
    await station.clock.advance(7)
    assert len(station.scans) == 1
    station.hold.set()
    station.hold = None
    async with asyncio.timeout(5):
        while station.poller.polls < 1:
            await asyncio.sleep(0.001)
    await station.second(4)
    assert len(station.scans) == 3
    assert station.poller.skipped_slots == 3


async def test_a_silent_instrument_is_a_flagged_scan_for_each_missed_poll(station) -> None:
    await station.second(2)
    station.peer.units.clear()
    await station.second(8)
    station.peer.units.add(1)
    await station.second(8)
    good = [scan for scan in station.scans if scan.readings[0].value is not None]
    flagged = [scan for scan in station.scans if scan.readings[0].value is None]
    assert len(station.scans) == 9
    assert station.poller.missed == len(flagged) >= 4
    assert station.scans[0] in good
    assert station.scans[-1] in good
    for scan in flagged:
        assert [(r.measurand, r.unit, r.value) for r in scan.readings] == [
            ("co2", "umol/mol", None), ("cell_temperature", "degC", None),
        ]  # fmt: skip
        (mark,) = scan.readings[0].quality.marks
        assert mark.cause == Cause.COMMUNICATION
        assert mark.since == flagged[0].at
        assert "no answer within" in mark.origin


async def test_nonsense_is_a_fault_with_its_text_and_the_start_of_it(station) -> None:
    await station.second(1)
    station.driver.fault = BadAnswer("checksum 3F instead of 40")
    await station.second(6)
    station.driver.fault = None
    await station.second(2)
    marks = [mark for scan in station.scans for mark in scan.readings[0].quality.marks]
    assert [(m.cause, m.origin) for m in marks] == [(Cause.FAULT, "checksum 3F instead of 40")] * 3
    assert len({mark.since for mark in marks}) == 1
    assert station.bus.status()["units"]["1"]["bad_answers"] == 3
    assert station.scans[-1].readings[0].value == 7


async def test_an_instrument_with_nothing_new_gives_nothing(station) -> None:
    station.driver.empty = True
    await station.second(6)
    assert station.scans == []
    assert station.poller.polls == 3
    assert station.poller.missed == 0


async def test_a_fault_of_ours_is_raised(station) -> None:
    station.driver.fault = ZeroDivisionError("our bug")
    await station.second(2)
    async with asyncio.timeout(5):
        await asyncio.wait({station.task})
    assert isinstance(station.task.exception(), ZeroDivisionError)


async def test_an_instrument_without_a_period_is_refused(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    bus = AskedBus("b", peer.bus, ManualClock(START), events)
    with pytest.raises(ValueError, match="poll_s"):
        Poller("i", instrument(poll_s=None), Driver(), bus, lambda scan: asyncio.sleep(0), ManualClock(START))


class Lines:
    """A stream driver: `1` and `2` are readings of two boards, `?` is rubbish that cost three frames."""

    measurands = {"pm2_5": "ug/m3"}  # noqa: RUF012  the face of a driver wants a dict

    def feed(self, data: bytes, at: datetime) -> list[Scan | StreamFault]:
        return [
            StreamFault("no frame", at, 3)
            if byte == ord("?")
            else Scan(f"board-{chr(byte)}", at, (Reading(f"board-{chr(byte)}", "pm2_5", 1.0, "ug/m3", at),))
            for byte in data
        ]


async def test_a_board_that_says_nothing_is_flagged_while_its_neighbour_speaks() -> None:
    clock = ManualClock(START)
    scans: list[Scan] = []

    async def take(scan: Scan) -> None:
        scans.append(scan)

    boards = {f"board-{n}": instrument(poll_s=None, expected_per_minute=6) for n in (1, 2)}
    listener = Listener(boards, Lines(), take, clock)
    task = asyncio.create_task(listener.run())
    await listener.feed(b"12?", clock.now())
    for _ in range(12):
        await clock.advance(5)
        await clock.advance(5)
        await listener.feed(b"1", clock.now())
    flagged = [scan for scan in scans if scan.readings[0].value is None]
    assert {scan.instrument for scan in flagged} == {"board-2"}
    assert len(flagged) == 9
    (mark,) = flagged[0].readings[0].quality.marks
    assert (mark.cause, mark.since) == (Cause.COMMUNICATION, START)
    assert flagged[0].at == START + timedelta(seconds=40)
    status = listener.status()
    assert (status["faults"], status["lost_frames"], status["missed"]) == (1, 3, {"board-1": 0, "board-2": 9})
    await listener.feed(b"2", clock.now())
    await clock.advance(20)
    assert len([scan for scan in scans if scan.readings[0].value is None]) == 9
    task.cancel()
    await asyncio.wait({task})
