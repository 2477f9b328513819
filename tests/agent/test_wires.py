"""Wires by themselves and under a bus: real ptys, real sockets, another user, other programs' lock files."""

import array
import asyncio
import fcntl
import os
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer, ModbusUdpServer

from agent.config import Bus
from agent.config_wires import SerialWire, TcpWire, UdpWire
from agent.wires import wire_serial
from agent.wires.bus import AskedBus, BusSilentError
from agent.wires.bus_stream import StreamBus
from agent.wires.wire import WireError
from agent.wires.wire_serial import SerialPort
from agent.wires.wire_tcp import TcpPeer
from agent.wires.wire_udp import UdpPeer
from drivers.base import Ask, Poll, ReadRegisters, Registers, Text
from host.clock import RealClock
from metrology.reading import Reading, Scan

TIOCGEXCL = 0x80045440  # tells whether a terminal is exclusive; termios has no name for it


def read(address: int, count: int) -> Poll:
    answer = yield ReadRegisters("holding", address, count)
    assert isinstance(answer, Registers)
    return [Scan("i", answer.at, tuple(Reading("i", f"m{n}", v, "1", answer.at) for n, v in enumerate(answer.values)))]


def ask(data: bytes) -> Poll:
    answer = yield Ask(data, (b"\r",))
    assert isinstance(answer, Text)
    return [Scan("i", answer.at, (), {"text": answer.data.decode()})]


def serial_wire(pty_line, **settings: object) -> SerialWire:
    return SerialWire.model_validate({"kind": "serial", "device": str(pty_line.link), **settings})


@pytest.fixture
async def port(pty_line, tmp_path: Path):
    """Makes ports on the near end of the line; closed at the end."""
    made: list[SerialPort] = []

    def make(locks: Path = tmp_path, **settings: object) -> SerialPort:
        made.append(SerialPort(serial_wire(pty_line, **settings), locks))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def far_says(pty_line, eventually: Callable) -> bytes:
    """What the far end of the line hears."""
    heard = bytearray()

    def take() -> bytes:
        heard.extend(os.read(pty_line.slaves[1], 100))
        return bytes(heard)

    os.set_blocking(pty_line.slaves[1], False)
    loop = asyncio.get_running_loop()
    loop.add_reader(pty_line.slaves[1], take)
    try:
        await eventually(lambda: heard)
    finally:
        loop.remove_reader(pty_line.slaves[1])
    return bytes(heard)


@pytest.mark.parametrize(
    ("settings", "speed", "flags"),
    [
        ({}, termios.B9600, {}),
        ({"baud": 4800, "stop_bits": 2}, termios.B4800, {2: termios.CSTOPB}),
        ({"baud": 115200, "flow": "rtscts"}, termios.B115200, {2: termios.CRTSCTS}),
        ({"baud": 300, "flow": "xonxoff"}, termios.B300, {0: termios.IXON | termios.IXOFF}),
    ],
    ids=["as it comes", "two stop bits", "RTS and CTS", "XON and XOFF"],
)
async def test_the_settings_reach_the_port(port, pty_line, settings, speed, flags) -> None:
    await port(**settings).open()
    found = termios.tcgetattr(pty_line.slaves[0])
    all_flags = {0: termios.IXON | termios.IXOFF, 2: termios.CSTOPB | termios.CRTSCTS}
    assert {at: found[at] & mask for at, mask in all_flags.items()} == {0: 0, 2: 0, **flags}
    assert found[4:6] == [speed, speed]


def test_a_character_lasts_as_long_as_its_bits(pty_line) -> None:
    assert serial_wire(pty_line, baud=9600).character_s == pytest.approx(10 / 9600)
    assert serial_wire(pty_line, baud=300, data_bits=7, parity="E", stop_bits=2).character_s == pytest.approx(11 / 300)


async def test_another_users_program_cannot_open_the_port(port, pty_line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that asks for no lock; only the superuser may. The pty is taken for a real port."""
    monkeypatch.setattr(wire_serial, "PSEUDO_MAJORS", frozenset())
    device = os.ttyname(pty_line.slaves[0])
    os.chmod(device, 0o666)
    user = {"user": 65534} if os.geteuid() == 0 else {}

    def opened() -> str:
        command = ["dd", f"if={device}", "count=0", "status=none", "iflag=noctty"]
        return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, cwd="/", **user).stderr

    one = port()
    await one.open()
    assert "Device or resource busy" in opened()
    one.close()
    assert opened() == ""


@pytest.mark.parametrize("real", [False, True])
async def test_a_pseudo_terminal_is_not_made_exclusive(port, pty_line, monkeypatch, real: bool) -> None:
    """A station killed on a simulator's line, which stays open at the far end, must find it again."""
    if real:
        monkeypatch.setattr(wire_serial, "PSEUDO_MAJORS", frozenset())
    await port().open()
    exclusive = array.array("i", [0])
    fcntl.ioctl(pty_line.slaves[0], TIOCGEXCL, exclusive)
    assert bool(exclusive[0]) == real


async def test_the_lock_file_names_us_while_the_port_is_open(port, pty_line, tmp_path: Path) -> None:
    one = port()
    await one.open()
    path = tmp_path / f"LCK..{Path(os.ttyname(pty_line.slaves[0])).name}"
    assert path.read_text() == f"{os.getpid():10d} plumeline\n"
    assert path.stat().st_mode & 0o777 == 0o644
    one.close()
    assert not path.exists()


async def test_a_port_taken_by_a_terminal_program_is_refused_until_it_ends(port, pty_line, tmp_path: Path) -> None:
    path = tmp_path / f"LCK..{Path(os.ttyname(pty_line.slaves[0])).name}"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as terminal:
        path.write_text(f"{terminal.pid:10d} minicom root\n")
        with pytest.raises(WireError, match=f"process {terminal.pid} holds it"):
            await port().open()
        terminal.kill()
    await port().open()
    assert path.read_text().startswith(f"{os.getpid():10d} ")


@pytest.mark.parametrize("left", ["         1 plumeline\n", "\n", "", "no number", "9" * 30, "\0\1\2\3"])
async def test_a_lock_file_that_holds_nobody_is_replaced(port, pty_line, tmp_path: Path, left: str) -> None:
    """One of ours that a killed process left, although its number now is another program's; and rubbish."""
    path = tmp_path / f"LCK..{Path(os.ttyname(pty_line.slaves[0])).name}"
    path.write_text(left)
    await port().open()
    assert path.read_text() == f"{os.getpid():10d} plumeline\n"


async def test_where_no_lock_file_can_be_written_the_port_still_opens(port, tmp_path: Path) -> None:
    one = port(tmp_path / "absent")
    await one.open()
    assert one.is_open


async def test_an_echo_is_taken_off_what_comes(port, pty_line) -> None:
    one = port(echo=True)
    await one.open()
    await one.write(b"WHO\r")
    os.write(pty_line.slaves[1], b"WH")
    os.write(pty_line.slaves[1], b"O\rME\r")
    heard = b""
    async with asyncio.timeout(5):
        while not heard.endswith(b"ME\r"):
            heard += await one.read()
    assert heard == b"ME\r"


async def test_two_at_once_are_no_echo(port, pty_line) -> None:
    """Another master spoke at the same time: what came is not ours and is given as it came."""
    one = port(echo=True)
    await one.open()
    await one.write(b"WHO\r")
    os.write(pty_line.slaves[1], b"WX?\r")
    heard = b""
    async with asyncio.timeout(5):
        while not heard.endswith(b"\r"):
            heard += await one.read()
    assert heard == b"X?\r"
    assert one.drain_input() == b""
    await one.write(b"A")
    os.write(pty_line.slaves[1], b"A!")
    async with asyncio.timeout(5):
        assert await one.read() == b"!"


async def test_an_echo_under_modbus_is_not_taken_for_the_answer(pty_line, events) -> None:
    """The answer to a written coil is the question again: only the second copy is the unit's."""
    bus_config = pty_line.bus(timeout_s=0.3)
    wire = bus_config.wire.model_copy(update={"echo": True})
    bus = AskedBus("line", bus_config.model_copy(update={"wire": wire}), RealClock(), events)
    loop = asyncio.get_running_loop()
    asked = bytearray()

    def echo() -> None:
        asked.extend(data := os.read(pty_line.slaves[1], 100))
        os.write(pty_line.slaves[1], data)

    loop.add_reader(pty_line.slaves[1], echo)
    with pytest.raises(BusSilentError, match="no answer within"):
        await bus.run_poll(1, read(0, 1))
    assert len(asked) == 8
    loop.remove_reader(pty_line.slaves[1])
    bus.close()


async def test_rts_is_high_while_we_send_and_low_before_the_answer(
    port, pty_line, monkeypatch: pytest.MonkeyPatch, eventually
) -> None:
    """A pty has no RTS line: what the port would be told is noted instead."""
    told: list[str] = []
    real = fcntl.ioctl

    def ioctl(descriptor: int, request: int, *rest: object) -> object:
        if request in (termios.TIOCMBIS, termios.TIOCMBIC):
            told.append("high" if request == termios.TIOCMBIS else "low")
            return 0
        return real(descriptor, request, *rest)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    one = port(rs485={"turn": "rts", "before_ms": 1, "after_ms": 2})
    await one.open()
    assert told[-1] == "low"
    told.clear()
    await one.write(b"WHO\r")
    assert told == ["high", "low"]
    assert await far_says(pty_line, eventually) == b"WHO\r"


@pytest.mark.parametrize("turn", ["rts", "kernel"])
async def test_a_port_that_cannot_turn_the_line_says_so(port, turn: str) -> None:
    one = port(rs485={"turn": turn})

    async def say() -> None:
        await one.open()
        await one.write(b"WHO\r")

    with pytest.raises(WireError, match="Inappropriate ioctl"):
        await say()
    assert not one.is_open


async def test_a_tcp_peer_is_asked_whether_it_is_still_there(text_server) -> None:
    """A peer that lost power says nothing; the system must notice. Packets cannot be lost on loopback."""
    peer = TcpPeer(TcpWire(kind="tcp", host="127.0.0.1", port=text_server))
    await peer.open()
    connection = peer._receiver.transport.get_extra_info("socket")
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle, interval, count = (
        connection.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert idle + interval * count <= 60
    peer.close()


@pytest.fixture
async def text_server() -> AsyncIterator[int]:
    """A port that takes connections."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


class UdpInstrument(asyncio.DatagramProtocol):
    """Answers each datagram with the datagrams a test wrote down."""

    def __init__(self) -> None:
        self.answers: dict[bytes, list[bytes]] = {}
        self.asked: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        for answer in self.answers.get(data, []):
            self.transport.sendto(answer, addr)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])


@pytest.fixture
async def instrument() -> AsyncIterator[UdpInstrument]:
    loop = asyncio.get_running_loop()
    transport, one = await loop.create_datagram_endpoint(UdpInstrument, ("127.0.0.1", 0))
    yield one
    transport.close()


def udp_bus(port: int, protocol: str = "text") -> Bus:
    wire = {"kind": "udp", "host": "127.0.0.1", "port": port}
    return Bus.model_validate({"wire": wire, "protocol": protocol, "timeout_s": 0.3})


async def test_each_read_of_a_udp_peer_is_one_datagram(instrument) -> None:
    instrument.answers = {b"?": [b"one", b"two\r"]}
    peer = UdpPeer(udp_bus(instrument.port).wire)
    await peer.open()
    await peer.write(b"?")
    async with asyncio.timeout(5):
        assert [await peer.read(), await peer.read()] == [b"one", b"two\r"]
    peer.close()
    with pytest.raises(WireError, match="closed"):
        await peer.read()


async def test_questions_by_udp_and_an_answer_in_two_datagrams(instrument, events) -> None:
    instrument.answers = {b"A": [b"a\r"], b"B": [b"b1;", b"b2\r"]}
    bus = AskedBus("u", udp_bus(instrument.port), RealClock(), events)
    for _ in range(3):
        assert (await bus.run_poll(None, ask(b"A")))[0].status["text"] == "a\r"
        assert (await bus.run_poll(None, ask(b"B")))[0].status["text"] == "b1;b2\r"
    assert instrument.asked == [b"A", b"B"] * 3
    bus.close()


async def test_a_udp_peer_that_does_not_listen_is_a_lost_bus_and_comes_back(events) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bus = AskedBus("u", udp_bus(port), RealClock(), events)
    with pytest.raises(BusSilentError, match="refused"):
        await bus.run_poll(None, ask(b"A"))
    transport, one = await asyncio.get_running_loop().create_datagram_endpoint(UdpInstrument, ("127.0.0.1", port))
    one.answers = {b"A": [b"a\r"]}
    assert (await bus.run_poll(None, ask(b"A")))[0].status["text"] == "a\r"
    assert list(events) == ["bus-lost", "bus-back"]
    transport.close()
    bus.close()


async def test_a_listening_udp_wire_takes_its_peer_from_any_port_and_nobody_else() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    peer = UdpPeer(UdpWire(kind="udp", host="127.0.0.1", local_port=port))
    await peer.open()
    for host, data in (("127.0.0.2", b"stranger"), ("127.0.0.1", b"first"), ("127.0.0.1", b"second")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((host, 0))
            sender.sendto(data, ("127.0.0.1", port))
    async with asyncio.timeout(5):
        assert [await peer.read(), await peer.read()] == [b"first", b"second"]
    with pytest.raises(WireError, match="only listened to"):
        await peer.write(b"?")
    peer.close()


async def test_a_local_udp_port_in_use_is_told(instrument) -> None:
    peer = UdpPeer(UdpWire(kind="udp", host="127.0.0.1", local_port=instrument.port))
    with pytest.raises(WireError, match="in use"):
        await peer.open()


@pytest.mark.parametrize(
    ("kind", "framer", "protocol"),
    [
        ("tcp", FramerType.RTU, "modbus-rtu"),
        ("udp", FramerType.RTU, "modbus-rtu"),
        ("udp", FramerType.SOCKET, "modbus-tcp"),
    ],
    ids=["RTU over TCP", "RTU over UDP", "Modbus TCP over UDP"],
)
async def test_modbus_through_serial_servers(
    serve_modbus, events, kind: str, framer: FramerType, protocol: str
) -> None:
    """An independent server at the other end."""
    devices = (await serve_modbus(1)).device(1)
    make = ModbusTcpServer if kind == "tcp" else ModbusUdpServer
    server = make([devices], framer=framer, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    transport = server.transport
    where = transport.sockets[0] if kind == "tcp" else transport.get_extra_info("socket")
    wire = {"kind": kind, "host": "127.0.0.1", "port": where.getsockname()[1]}
    config = Bus.model_validate({"wire": wire, "protocol": protocol, "timeout_s": 1})
    bus = AskedBus("b", config, RealClock(), events)
    for first in (2, 9):
        (scan,) = await bus.run_poll(1, read(first, 3))
        assert [reading.value for reading in scan.readings] == [first, first + 1, first + 2]
    bus.close()
    await server.shutdown()


async def test_a_line_that_speaks_unasked_is_unplugged_and_found_again(pty_line, events, eventually) -> None:
    heard = bytearray()

    async def feed(data: bytes, _at: object) -> None:
        heard.extend(data)

    bus = StreamBus("s", pty_line.bus("stream"), RealClock(), events, feed)
    task = asyncio.create_task(bus.run())
    await eventually(lambda: bus.status()["open"])
    os.write(pty_line.slaves[1], b"before")
    await eventually(lambda: heard == b"before")
    pty_line.unplug()
    await eventually(lambda: not bus.status()["open"])
    await eventually(lambda: "could not open port" in str(bus.status()["error"]))
    pty_line.plug()
    await eventually(lambda: bus.status()["open"])
    os.write(pty_line.slaves[1], b", after")
    await eventually(lambda: heard == b"before, after")
    assert list(events) == ["bus-lost", "bus-back"]
    task.cancel()
    await asyncio.wait({task})
