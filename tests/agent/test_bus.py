"""One owner per bus, on real TCP ports and ptys with pymodbus's servers at the other end."""

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.config import Bus, Config
from agent.wires.bus import AskedBus, BusSilentError, backoff_caps
from agent.wires.bus_stream import StreamBus
from agent.wires.bus_turns import PASSED_OVER_MAX, Priority, Turns
from agent.wires.bus_unit import FULL_PROBE_EACH, LEARNED_RESPONSES, PATIENCE_S_MIN, Unit
from agent.wires.wire import WireError
from agent.wires.wire_serial import SerialPort
from drivers.base import Ask, BadAnswer, Poll, ReadRegisters, Registers, Text, WriteCoil
from host.clock import ManualClock, RealClock
from metrology.reading import Reading, Scan

START = datetime(2026, 1, 1, tzinfo=UTC)


def read(address: int = 0, count: int = 4) -> Poll:
    answer = yield ReadRegisters("holding", address, count)
    assert isinstance(answer, Registers)
    readings = tuple(Reading("i", f"m{n}", float(v), "1", answer.at) for n, v in enumerate(answer.values))
    return [Scan("i", answer.at, readings)]


def ask(data: bytes, *ends: bytes, bytes_max: int = 1000) -> Poll:
    answer = yield Ask(data, ends, bytes_max)
    assert isinstance(answer, Text)
    return [Scan("i", answer.at, (), {"text": answer.data.decode()})]


def values(scans: list[Scan]) -> list[float | None]:
    return [reading.value for scan in scans for reading in scan.readings]


def silent(bus: AskedBus, unit: int | None) -> dict[str, object]:
    found = bus.status()["units"][str(unit)]
    assert isinstance(found, dict)
    return found


async def test_registers_over_tcp_are_stamped_when_the_answer_came(serve_modbus, events) -> None:
    peer = await serve_modbus(3)
    before = datetime.now(UTC)
    bus = AskedBus("cems", peer.bus, RealClock(), events)
    scans = await bus.run_poll(3, read(2, 3))
    assert values(scans) == [2, 3, 4]
    assert before <= scans[0].at <= datetime.now(UTC)
    assert not list(events)
    bus.close()


async def test_registers_and_coils_over_rtu_on_a_pty(serve_rtu, pty_line, events) -> None:
    peer = await serve_rtu(17)
    bus = AskedBus("line", pty_line.bus(), RealClock(), events)

    def poll() -> Poll:
        first = yield ReadRegisters("input", 5, 2)
        written = yield WriteCoil(4, True)
        back = yield ReadRegisters("coil", 3, 3)
        assert isinstance(first, Registers)
        assert isinstance(written, Registers)
        assert isinstance(back, Registers)
        return [Scan("i", back.at, (), {"all": str((first.values, written.values, back.values))})]

    scans = await bus.run_poll(17, poll())
    assert scans[0].status["all"] == "((5, 6), (1,), (0, 1, 0))"
    assert peer.coil_writes == [(4, True)]
    bus.close()


async def test_a_modbus_exception_reaches_the_driver_and_is_a_sign_of_life(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    bus = AskedBus("b", peer.bus, RealClock(), events)

    def poll() -> Poll:
        try:
            yield ReadRegisters("holding", 10, 100)
        except BadAnswer as error:
            refused = str(error)
        answer = yield ReadRegisters("holding", 10, 1)
        assert isinstance(answer, Registers)
        return [Scan("i", answer.at, (), {"refused": refused, "value": answer.values[0]})]

    scans = await bus.run_poll(1, poll())
    assert scans[0].status["value"] == 10
    assert "exception 2 (illegal data address)" in str(scans[0].status["refused"])
    with pytest.raises(BadAnswer, match="exception 2"):
        await bus.run_poll(1, read(15, 10))
    assert silent(bus, 1)["bad_answers"] == 1
    assert silent(bus, 1)["consecutive_failures"] == 0
    bus.close()


async def test_a_silent_unit_is_left_alone_ever_longer_and_told_once(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    bus = AskedBus("b", peer.bus, clock, events, {9: 15.0})
    await bus.run_poll(1, read())
    tried_at = []
    for second in range(75):
        before = bus.status()["units"]["9"]["requests"]
        with pytest.raises(BusSilentError) as caught:
            await bus.run_poll(9, read())
        if bus.status()["units"]["9"]["requests"] > before:
            tried_at.append(second)
        assert caught.value.since == START
        await bus.run_poll(1, read())
        await clock.advance(1)
    assert tried_at == [0, 2, 6, 12, 20, 30, 42, 56, 71]
    assert list(events) == ["unit-silent"]
    assert peer.reads.count(1) == 76
    bus.close()


async def test_a_silent_unit_comes_back_at_its_next_try(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    bus = AskedBus("b", peer.bus, clock, events)
    for _ in range(2):
        with pytest.raises(BusSilentError):
            await bus.run_poll(2, read())
        await clock.advance(2)
    await clock.advance(2)
    peer.units.add(2)
    assert values(await bus.run_poll(2, read(1, 1))) == [1]
    assert list(events) == ["unit-silent", "unit-back"]
    assert silent(bus, 2)["silent_since"] is None
    bus.close()


async def test_healthy_units_beside_dead_ones_lose_nothing(serve_modbus, events) -> None:
    """Three dead units among six: one probe at a time, each short once the neighbours' speed is known."""
    peer = await serve_modbus(1, 2, 3)
    clock = ManualClock(START)
    bus = AskedBus("b", peer.bus, clock, events)
    for _ in range(25):
        results = await asyncio.gather(
            *(bus.run_poll(unit, read()) for unit in (4, 1, 5, 2, 6, 3)), return_exceptions=True
        )
        assert [isinstance(one, BusSilentError) for one in results] == [True, False] * 3
        await clock.advance(1)
    assert peer.reads.count(1) == peer.reads.count(2) == peer.reads.count(3) == 25
    tries = [int(str(silent(bus, unit)["requests"])) for unit in (4, 5, 6)]
    assert all(3 <= n <= 6 for n in tries), tries
    bus.close()


async def test_one_probe_at_a_time(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    bus = AskedBus("b", peer.bus, clock, events)
    await asyncio.gather(*(bus.run_poll(unit, read()) for unit in (7, 8, 9)), return_exceptions=True)
    await clock.advance(3)
    results = await asyncio.gather(*(bus.run_poll(unit, read()) for unit in (7, 8, 9)), return_exceptions=True)
    assert all(isinstance(one, BusSilentError) for one in results)
    assert sorted(int(str(silent(bus, unit)["requests"])) for unit in (7, 8, 9)) == [1, 1, 2]
    bus.close()


async def taught(bus: AskedBus, unit: int, answers: int = LEARNED_RESPONSES) -> None:
    for _ in range(answers):
        await bus.run_poll(unit, read())


async def test_how_long_an_answer_is_waited_for_is_learned_from_the_last_ones(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    bus = AskedBus("b", peer.bus.model_copy(update={"timeout_s": 0.6}), ManualClock(START), events)
    await taught(bus, 1, LEARNED_RESPONSES - 1)
    assert silent(bus, 1)["patience_s"] == 0.6
    await taught(bus, 1, 1)
    assert silent(bus, 1)["patience_s"] == pytest.approx(PATIENCE_S_MIN, abs=0.3)
    learned_s = silent(bus, 1)["patience_s"]
    peer.units.clear()
    with pytest.raises(BusSilentError) as caught:
        await bus.run_poll(1, read())
    waited_s = float(str(caught.value).rpartition("within ")[2].removesuffix(" s"))
    assert waited_s == pytest.approx(learned_s, abs=0.001)
    bus.close()


async def test_a_valve_waits_in_full_however_quick_its_block_was(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    bus = AskedBus("b", peer.bus.model_copy(update={"timeout_s": 0.6}), ManualClock(START), events)
    await taught(bus, 1)
    peer.units.clear()
    with pytest.raises(BusSilentError, match=r"no answer within 0\.6 s"):
        await bus.run_poll(1, read(), Priority.VALVE)
    bus.close()


async def test_behind_a_silent_unit_a_quick_one_may_be_late(events) -> None:
    """A gateway that waits for a silent unit answers the next question late: that is nobody's failure, nor a lesson."""
    asked: list[int] = []
    served = []

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                question = await reader.readexactly(12)
                asked.append(question[6])
                if question[6] == 9:
                    await asyncio.sleep(1.2)
                else:
                    writer.write(question[:4] + bytes.fromhex("0005") + question[6:8] + bytes.fromhex("020007"))
        writer.close()

    server = await asyncio.start_server(gateway, "127.0.0.1", 0)
    wire = {"kind": "tcp", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    config = Bus.model_validate({"wire": wire, "protocol": "modbus-tcp", "timeout_s": 0.7})
    bus = AskedBus("b", config, ManualClock(START), events)
    for _ in range(LEARNED_RESPONSES):
        await bus.run_poll(1, read(0, 1))
    learned_s = silent(bus, 1)["patience_s"]
    assert learned_s < 0.7
    with pytest.raises(BusSilentError):
        await bus.run_poll(9, read(0, 1))
    assert values(await bus.run_poll(1, read(0, 1))) == [7]
    assert silent(bus, 1)["patience_s"] == learned_s
    assert asked == [1] * LEARNED_RESPONSES + [9, 1]
    bus.close()
    server.close()
    await asyncio.wait(served)


def test_a_probe_is_short_but_now_and_then_waits_in_full() -> None:
    unit = Unit(15.0)
    unit.failures = 1
    assert unit.probe_s(2.0, None) == 2.0
    assert unit.probe_s(2.0, 0.05) == pytest.approx(0.2)
    unit.answered(0.04)
    waits = []
    for _ in range(2 * FULL_PROBE_EACH):
        unit.failed("silent", 0.0, START)
        waits.append(unit.probe_s(2.0, 1.0))
    assert [n for n, wait in enumerate(waits, 1) if wait == 2.0] == [1, 1 + FULL_PROBE_EACH]
    assert {round(wait, 6) for wait in waits} == {2.0, 0.16}


async def test_nobody_is_passed_over_for_ever() -> None:
    turns = Turns()
    order: list[str] = []
    done = asyncio.Event()

    async def take(name: str, priority: Priority) -> None:
        async with turns.turn(priority):
            order.append(name)
            await asyncio.sleep(0)

    async def hog() -> None:
        while not done.is_set():
            await take("poll", Priority.POLL)

    async def wait() -> None:
        await take("slow", Priority.SLOW)
        done.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(hog())
        await asyncio.sleep(0)
        group.create_task(wait())
    assert PASSED_OVER_MAX <= order.index("slow") <= PASSED_OVER_MAX + 10


async def test_turns_go_by_priority_then_in_order() -> None:
    turns = Turns()
    order: list[str] = []

    async def take(name: str, priority: Priority) -> None:
        async with turns.turn(priority):
            order.append(name)

    async with asyncio.TaskGroup() as group:
        async with turns.turn(Priority.POLL):
            for name, priority in [
                ("probe", Priority.PROBE), ("poll-1", Priority.POLL), ("gone", Priority.VALVE),
                ("slow", Priority.SLOW), ("poll-2", Priority.POLL), ("valve", Priority.VALVE),
            ]:  # fmt: skip
                task = group.create_task(take(name, priority))
                await asyncio.sleep(0)
                if name == "gone":
                    task.cancel()
        await asyncio.sleep(0)
    assert order == ["valve", "poll-1", "poll-2", "slow", "probe"]


async def test_a_turn_given_to_a_cancelled_waiter_goes_to_the_next() -> None:
    turns = Turns()
    served = []

    async def take(name: str) -> None:
        async with turns.turn(Priority.POLL):
            served.append(name)

    async with turns.turn(Priority.POLL):
        first, second = asyncio.create_task(take("first")), asyncio.create_task(take("second"))
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first, second}, timeout=5)
    assert served == ["second"]


async def test_a_tcp_peer_lost_and_back_is_told_once_each(events) -> None:
    clock = ManualClock(START)
    hang_up = True

    served = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        if not hang_up:
            question = await reader.readexactly(12)
            writer.write(question[:2] + bytes.fromhex("0000 0005 01 03 02 0007"))
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wire = {"kind": "tcp", "host": "127.0.0.1", "port": port}
    config = Bus.model_validate({"wire": wire, "protocol": "modbus-tcp", "timeout_s": 0.5})
    bus = AskedBus("b", config, clock, events)
    with pytest.raises(BusSilentError, match=rf"127.0.0.1:{port}: .*(closed|reset) by (the )?peer"):
        await bus.run_poll(1, read())
    server.close()
    await server.wait_closed()
    for _ in range(2):
        with pytest.raises(BusSilentError, match="Connect call failed"):
            await bus.run_poll(1, read())
        await clock.advance(20)
    assert list(events) == ["bus-lost"]
    hang_up = False
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    assert values(await bus.run_poll(1, read(0, 1))) == [7]
    assert list(events) == ["bus-lost", "bus-back"]
    assert bus.status()["units"]["1"]["consecutive_failures"] == 0
    bus.close()
    server.close()
    await asyncio.wait(served)


async def test_an_adapter_unplugged_is_found_again_behind_its_name(serve_rtu, pty_line, events, eventually) -> None:
    clock = ManualClock(START)
    text = pty_line.bus("text")
    bus = AskedBus("line", text, clock, events)

    def answer() -> None:
        def once() -> None:
            if os.read(pty_line.slaves[1], 100) == b"WHO\r":
                os.write(pty_line.slaves[1], b"ME\r")

        asyncio.get_running_loop().add_reader(pty_line.slaves[1], once)

    answer()
    assert (await bus.run_poll(None, ask(b"WHO\r", b"\r")))[0].status["text"] == "ME\r"
    asyncio.get_running_loop().remove_reader(pty_line.slaves[1])
    pty_line.unplug()
    for _ in range(3):
        with pytest.raises(BusSilentError, match="serial-line"):
            await bus.run_poll(None, ask(b"WHO\r", b"\r"))
        await clock.advance(20)
    pty_line.plug()
    answer()
    assert (await bus.run_poll(None, ask(b"WHO\r", b"\r")))[0].status["text"] == "ME\r"
    assert list(events) == ["bus-lost", "bus-back"]
    asyncio.get_running_loop().remove_reader(pty_line.slaves[1])
    bus.close()


async def test_a_port_held_by_another_program_is_refused(pty_line) -> None:
    config = pty_line.bus().wire
    first, second = SerialPort(config), SerialPort(config)
    await first.open()
    with pytest.raises(WireError, match="lock"):
        await second.open()
    first.close()
    await second.open()
    second.close()


async def test_the_bus_never_closes_for_one_silent_unit(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    bus = AskedBus("b", peer.bus, clock, events)
    await bus.run_poll(1, read())
    wire = bus._kept.wire
    for _ in range(8):
        with pytest.raises(BusSilentError):
            await bus.run_poll(2, read())
        assert wire.is_open
        await clock.advance(300)
    bus.close()


async def test_a_line_on_which_nobody_answers_is_opened_anew(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    clock = ManualClock(START)
    bus = AskedBus("b", peer.bus, clock, events)
    states = []
    for _ in range(6):
        with pytest.raises(BusSilentError):
            await bus.run_poll(2, read())
        states.append(bus.status()["open"])
        await clock.advance(300)
    assert states == [True, True, True, True, False, True]
    bus.close()


async def test_valves_are_tried_although_the_unit_is_parked(serve_modbus, events) -> None:
    peer = await serve_modbus(1)
    bus = AskedBus("b", peer.bus, ManualClock(START), events)
    for priority, expected in [(Priority.POLL, 1), (Priority.POLL, 1), (Priority.VALVE, 2), (Priority.VALVE, 3)]:
        with pytest.raises(BusSilentError):
            await bus.run_poll(5, read(), priority)
        assert silent(bus, 5)["requests"] == expected
    bus.close()


class TextPeer:
    """A text server whose answers a test writes."""

    def __init__(self) -> None:
        self.answers: dict[bytes, list[bytes]] = {}
        self.asked: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                question = await reader.readuntil(b"\r")
                self.asked.append(question)
                for piece in self.answers.get(question, []):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.002)


@pytest.fixture
async def text_peer():
    peer = TextPeer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    wire = {"kind": "tcp", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    config = Bus.model_validate({"wire": wire, "protocol": "text", "timeout_s": 0.2})
    yield peer, config
    for writer in peer.writers:
        writer.close()
    server.close()
    await asyncio.wait(peer.tasks)


async def test_text_answers_in_pieces_and_with_rubbish_before(text_peer, events, eventually) -> None:
    peer, config = text_peer
    bus = AskedBus("t", config, RealClock(), events)
    peer.answers = {b"A\r": [b"1;", b"2", b"\r\n"], b"B\r": [b"b\r\n", b"left over from B\r\n"]}
    for _ in range(2):
        assert (await bus.run_poll(None, ask(b"A\r", b"\r\n")))[0].status["text"] == "1;2\r\n"
        assert (await bus.run_poll(None, ask(b"B\r", b"b\r\n")))[0].status["text"] == "b\r\n"
        await eventually(lambda: bus._kept.wire._receiver.input._bytes)  # type: ignore[attr-defined]
    bus.close()


async def test_a_text_answer_cut_short_or_too_long_is_bad(text_peer, events) -> None:
    peer, config = text_peer
    clock = ManualClock(START)
    bus = AskedBus("t", config, clock, events)
    peer.answers = {b"CUT\r": [b"12.3;4"], b"LONG\r": [b"x" * 2000]}
    with pytest.raises(BadAnswer, match="6 bytes that are no answer"):
        await bus.run_poll(None, ask(b"CUT\r", b"\r"))
    await clock.advance(2)
    with pytest.raises(BadAnswer, match="bytes that are no answer"):
        await bus.run_poll(None, ask(b"LONG\r", b"\r"))
    await clock.advance(20)
    with pytest.raises(BusSilentError, match=r"no answer within 0\.2 s"):
        await bus.run_poll(None, ask(b"NONE\r", b"\r"))
    assert (silent(bus, None)["bad_answers"], silent(bus, None)["timeouts"]) == (2, 1)
    bus.close()


async def test_rtu_answers_with_rubbish_and_wrong_check_sums(pty_line, events) -> None:
    bus = AskedBus("line", pty_line.bus(), RealClock(), events)
    good = bytes.fromhex("01 03 02 00 2A 39 9B")
    far = pty_line.slaves[1]
    replies = [b"\x01\x03\xff\x00" + good, good[:-1] + b"\x00", bytes.fromhex("02 03 02 00 2A 7D 9B") + good]

    def reply() -> None:
        os.read(far, 100)
        os.write(far, replies.pop(0))

    asyncio.get_running_loop().add_reader(far, reply)
    assert values(await bus.run_poll(1, read(0, 1))) == [42]
    with pytest.raises(BadAnswer, match="7 bytes that are no answer"):
        await bus.run_poll(1, read(0, 1))
    await asyncio.sleep(0)
    bus._units[1].retry_at = 0
    assert values(await bus.run_poll(1, read(0, 1))) == [42]
    asyncio.get_running_loop().remove_reader(far)
    bus.close()


async def test_a_stream_is_heard_and_outlives_its_wire(pty_line, events, eventually) -> None:
    heard: list[bytes] = []

    async def feed(data: bytes, at: datetime) -> None:
        heard.append(data)

    clock = ManualClock(START)
    bus = StreamBus("s", pty_line.bus("stream"), clock, events, feed)
    task = asyncio.create_task(bus.run())
    await eventually(lambda: bus.status()["open"])
    os.write(pty_line.slaves[1], b"one")
    await eventually(lambda: b"".join(heard) == b"one")
    pty_line.unplug()
    await eventually(lambda: "bus-lost" in list(events))
    await clock.advance(5)
    pty_line.plug()
    await clock.advance(20)
    await eventually(lambda: bus.status()["open"])
    os.write(pty_line.slaves[1], b"two")
    await eventually(lambda: b"".join(heard) == b"onetwo")
    assert list(events) == ["bus-lost", "bus-back"]
    task.cancel()
    await asyncio.wait({task})
    assert not bus.status()["open"]


async def test_a_peer_that_accepts_and_hangs_up_is_told_once_and_tried_ever_less(events, eventually) -> None:
    connections = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    async def feed(data: bytes, at: datetime) -> None:
        raise AssertionError("nothing came")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire = {"kind": "tcp", "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    clock = ManualClock(START)
    config = Bus.model_validate({"wire": wire, "protocol": "stream"})
    bus = StreamBus("s", config, clock, events, feed)
    task = asyncio.create_task(bus.run())
    waited = 0
    while connections < 8:
        asleep = connections
        await eventually(lambda seen=asleep: connections > seen or clock._sleepers)
        waited += 1
        await clock.advance(1)
    assert waited >= 15
    assert list(events) == ["bus-lost"]
    task.cancel()
    await asyncio.wait({task})
    server.close()


def test_only_who_has_neighbours_is_left_alone_for_long(tmp_path: Path, config_for: Any) -> None:
    document = config_for(tmp_path, 502).model_dump(mode="json")
    document["buses"]["own"] = document["buses"]["relays"]
    document["instruments"]["alone"] = {**document["instruments"]["ndir"], "bus": "own"}
    document["instruments"]["regulated"] = {**document["instruments"]["ndir"], "unit": 3, "kind": "regulated"}
    caps = backoff_caps(Config.model_validate(document))
    assert caps == {"relays": {1: 15.0, 2: 300.0, 3: 15.0}, "own": {2: 15.0}}
