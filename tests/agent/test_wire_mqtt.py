"""An instrument that is an MQTT broker: a real mosquitto, restarts, passwords, recordings, the whole chain."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.__main__ import main
from agent.checks.check import check_file
from agent.config import Config
from agent.config_wires import MqttWire
from agent.dry_run import read_once
from agent.wires.bus_stream import StreamBus
from agent.wires.recording import Recorder
from agent.wires.sources import listener_of
from agent.wires.wire import WireError
from agent.wires.wire_mqtt import MESSAGE_BYTES_MAX, MESSAGES_MAX, MqttPeer
from host.clock import RealClock
from metrology.quality import Cause
from metrology.reading import Scan
from simulation.instruments.licor_mqtt import TOPIC, Li7810Analyzer

TOPICS = [TOPIC, f"{TOPIC}/units"]


def wire(port: int, **more: Any) -> dict[str, Any]:
    return {"kind": "mqtt", "host": "127.0.0.1", "port": port, "topics": TOPICS, **more}


def document(folder: Path, port: int, protocol: str = "stream", **more: Any) -> dict[str, Any]:
    key = folder / "key"
    if not key.exists():
        key.write_bytes(base64.b64encode(bytes(range(32))))
        key.chmod(0o600)
    block = {
        "driver": "licor_li7810", "bus": "li", "kind": "research", "rule": "ghg", "expected_per_minute": 60,
        "series": {"co2_dry": {}, "ch4_dry": {}, "h2o_reported": {}},
    }  # fmt: skip
    return {
        "station": {
            "id": "test-01", "network": "n", "name_zh": "站", "name_en": "station",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder / "store"), "quota_GB": 1000},
        "ledger": {"key": {"file": str(key)}},
        "buses": {"li": {"wire": wire(port, **more), "protocol": protocol}},
        "instruments": {"li": block},
        "socket": str(folder / "agent.sock"),
    }  # fmt: skip


@pytest.fixture
async def analyzer(broker: Any) -> AsyncIterator[Li7810Analyzer]:
    """A simulated analyzer that publishes ten times a second to a real broker."""
    made = Li7810Analyzer(lambda values, **more: None, RealClock())
    task = asyncio.create_task(made.run(broker.port, 0.1))
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Hearing:
    """A stream bus with its driver, and what came of it."""

    def __init__(self, config: Config, make_wire: Any = None) -> None:
        self.scans: list[Scan] = []
        self.events: list[str] = []
        self.listener = listener_of(config, "li", self._take, RealClock())
        more = () if make_wire is None else (make_wire,)
        self.bus = StreamBus("li", config.buses["li"], RealClock(), self._event, self.listener.feed, *more)

    async def _take(self, scan: Scan) -> None:
        self.scans.append(scan)

    def _event(self, what: str, detail: Any) -> None:
        self.events.append(what)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Hearing"]:
        task = asyncio.create_task(self.bus.run())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def values(scan: Scan) -> dict[str, float | None]:
    return {reading.measurand: reading.value for reading in scan.readings}


async def test_readings_come_with_the_units_the_broker_keeps(
    tmp_path: Path, broker: Any, analyzer: Li7810Analyzer, eventually: Any
) -> None:
    analyzer.ch4 = 2041.5
    async with Hearing(Config.model_validate(document(tmp_path, broker.port))).running() as heard:
        await eventually(lambda: len(heard.scans) > 2)
    assert values(heard.scans[-1]) == {"co2_dry": 420.0, "ch4_dry": 2.0415, "h2o_reported": 0.9}
    assert heard.scans[-1].status["NDX"] > heard.scans[0].status["NDX"]
    # The analyzer's own time, which is a little before the message came.
    assert abs((datetime.now(UTC) - heard.scans[-1].at).total_seconds()) < 60
    assert heard.listener.faults == 0
    assert heard.events == []


async def test_a_broker_that_restarts_is_found_again(
    tmp_path: Path, broker: Any, analyzer: Li7810Analyzer, eventually: Any
) -> None:
    async with Hearing(Config.model_validate(document(tmp_path, broker.port))).running() as heard:
        await eventually(lambda: heard.scans)
        broker.kill()
        await eventually(lambda: heard.events == ["bus-lost"])
        assert not heard.bus.status()["open"]
        broker.start()
        before = len(heard.scans)
        await eventually(lambda: len(heard.scans) > before + 1)
    assert heard.events == ["bus-lost", "bus-back"]
    numbers = [scan.status["NDX"] for scan in heard.scans]
    assert numbers == sorted(set(numbers)), "nothing twice, nothing out of order"


async def test_silence_warm_up_and_diagnosis(
    tmp_path: Path, broker: Any, analyzer: Li7810Analyzer, eventually: Any
) -> None:
    analyzer.warm = False
    async with Hearing(Config.model_validate(document(tmp_path, broker.port))).running() as heard:
        await eventually(lambda: heard.scans)
        assert set(values(heard.scans[-1]).values()) == {None}
        analyzer.warm, analyzer.diag = True, 4
        await eventually(lambda: heard.scans[-1].status["DIAG"] == 4)
        assert values(heard.scans[-1])["co2_dry"] == 420.0
        assert {cause for one in heard.scans[-1].readings for cause in one.quality.causes} == {Cause.FAULT}
        analyzer.mute = True
        await asyncio.wait_for(_quiet(heard), 5)
        analyzer.mute, analyzer.diag = False, 0
        await eventually(lambda: heard.scans[-1].status["DIAG"] == 0)
    assert heard.events == [], "a gap in what is published is no lost wire"


async def _quiet(heard: Hearing) -> None:
    count = -1
    while count != len(heard.scans):
        count = len(heard.scans)
        await asyncio.sleep(0.3)


async def test_a_message_is_one_line_however_it_is_written(broker: Any) -> None:
    peer = MqttPeer(MqttWire.model_validate(wire(broker.port)))
    await peer.open()
    assert peer.is_open
    long = b"x" * (MESSAGE_BYTES_MAX + 1)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        for payload in (b'{\r\n\t"a": 1\n}', b"\xff\x00", b"", long):
            await client.publish(TOPIC, payload)
        await client.publish("licor/niobrara/output/diagnostics", b"not asked for")
        await client.publish(f"{TOPIC}/units", b"{}")
    lines = [await asyncio.wait_for(peer.read(), 5) for _ in range(5)]
    start = TOPIC.encode() + b"\t"
    assert lines[:3] == [start + b'{   "a": 1 }\n', start + b"\xff\x00\n", start + b"\n"]
    assert lines[3] == start + b"(%d bytes, at most %d are taken)\n" % (len(long), MESSAGE_BYTES_MAX)
    assert lines[4] == TOPIC.encode() + b"/units\t{}\n"
    with pytest.raises(WireError, match="only listened to"):
        await peer.write(b"?")
    peer.close()
    assert not peer.is_open
    with pytest.raises(WireError, match="closed"):
        await peer.read()


async def test_messages_nobody_reads_are_bounded(broker: Any) -> None:
    peer = MqttPeer(MqttWire.model_validate(wire(broker.port)))
    await peer.open()
    async with aiomqtt.Client("127.0.0.1", broker.port, max_queued_outgoing_messages=0) as client:
        for number in range(MESSAGES_MAX + 50):
            await client.publish(TOPIC, b"%d" % number, qos=1)
        await client.publish(f"{TOPIC}/units", b"end", qos=1)
    held: list[bytes] = []
    async with asyncio.timeout(10):
        while not held or not held[-1].endswith(b"end\n"):
            await asyncio.sleep(0.01)
            held = peer.drain_input().splitlines(keepends=True) or held
    assert len(held) <= MESSAGES_MAX
    peer.close()


async def test_why_a_wire_cannot_be_opened_is_told(tmp_path: Path, broker: Any) -> None:
    port = broker.port
    for more, words in (
        ({"user": "u", "password": {"file": str(tmp_path / "absent")}}, "missing"),
        ({"ca": str(tmp_path / "absent")}, "No such file"),
    ):
        with pytest.raises(WireError, match=words):
            await MqttPeer(MqttWire.model_validate(wire(port, **more))).open()
    broker.kill()
    peer = MqttPeer(MqttWire.model_validate(wire(port)))
    with pytest.raises(WireError, match=f"127.0.0.1:{port}/mqtt: .*refused"):
        await peer.open()
    broker.start()
    await peer.open()
    assert peer.is_open
    peer.close()


@pytest.fixture
def passwords(tmp_path: Path, broker_with: Callable[[str], Any]) -> Iterator[Any]:
    """A broker that wants a user, and lets it hear one topic alone."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed")
    file, rules = tmp_path / "passwd", tmp_path / "acl"
    subprocess.run([program, "-b", "-c", str(file), "plumeline", "a secret"], check=True, capture_output=True)
    rules.write_text(f"user plumeline\ntopic read {TOPIC}\n")
    for one in (file, rules):
        one.chmod(0o600)
    return broker_with(f"allow_anonymous false\npassword_file {file}\nacl_file {rules}")


async def test_user_and_password_are_a_secret_read_at_each_opening(tmp_path: Path, passwords: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    login = {"user": "plumeline", "password": {"file": str(secret)}}
    peer = MqttPeer(MqttWire.model_validate(wire(passwords.port, **login)))
    with pytest.raises(WireError, match="ot authorized"):
        await peer.open()
    config = Config.model_validate(document(tmp_path, passwords.port, **login))
    (outcome,) = await read_once(config, RealClock())
    assert outcome.failure is not None
    assert outcome.failure.code == "login"
    secret.write_text("a secret\n")
    await peer.open()
    assert peer.is_open
    peer.close()


def authority(folder: Path) -> tuple[Path, Path, Path]:
    """Files of a new authority's certificate, and of a broker's certificate and key signed by it."""
    folder.mkdir()
    ca, certificate, key = (folder / name for name in ("ca.pem", "broker.pem", "broker.key"))
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [*make, "-subj", "/CN=authority", "-keyout", str(folder / "ca.key"), "-out", str(ca)],
        check=True, capture_output=True,
    )  # fmt: skip
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(
        [*make, "-subj", "/CN=broker", *more, "-CA", str(ca), "-CAkey", str(folder / "ca.key"), "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return ca, certificate, key


# The client library leaves the socket of a handshake that failed to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls_believes_the_authority_that_was_named_and_no_other(
    tmp_path: Path, broker_with: Callable[[str], Any]
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    ca, certificate, key = authority(tmp_path / "own")
    other, *_ = authority(tmp_path / "other")
    port = broker_with(f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}").port
    peer = MqttPeer(MqttWire.model_validate(wire(port, ca=str(ca))))
    await peer.open()
    assert peer.is_open
    peer.close()
    with pytest.raises(WireError, match="certificate verify failed"):
        await MqttPeer(MqttWire.model_validate(wire(port, ca=str(other)))).open()


async def test_a_dry_run_reads_the_analyzer_once(tmp_path: Path, broker: Any, analyzer: Li7810Analyzer) -> None:
    config = Config.model_validate(document(tmp_path, broker.port))
    (outcome,) = await read_once(config, RealClock())
    assert outcome.failure is None
    assert outcome.scan is not None
    assert values(outcome.scan)["co2_dry"] == 420.0
    broker.kill()
    (outcome,) = await read_once(config, RealClock())
    assert outcome.failure is not None
    assert outcome.failure.code == "refused"


async def test_what_was_recorded_is_played_at_home(
    tmp_path: Path, broker: Any, analyzer: Li7810Analyzer, eventually: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config.model_validate(document(tmp_path, broker.port))
    with contextlib.closing(Recorder(tmp_path / "tapes", config, RealClock())) as recorder:
        async with Hearing(config, recorder.wire).running() as heard:
            await eventually(lambda: len(heard.scans) > 2)
    (file,) = (tmp_path / "tapes").iterdir()
    await asyncio.to_thread(main, ["--lang", "en", "play", str(file), "--json"])
    played = json.loads(capsys.readouterr().out)
    assert [one["readings"]["co2_dry"][0] for one in played] == [values(scan)["co2_dry"] for scan in heard.scans]
    assert [one["status"]["NDX"] for one in played] == [scan.status["NDX"] for scan in heard.scans]


@pytest.mark.parametrize(
    ("protocol", "more", "codes"),
    [
        ("stream", {}, set()),
        ("text", {}, {"mqtt-stream", "protocol"}),
        ("stream", {"password": {"file": "KEY"}}, {"mqtt-user"}),
        ("stream", {"ca": "/nowhere/ca.pem"}, {"certificate-missing"}),
        ("stream", {"topics": []}, {"too-short"}),
        ("stream", {"topics": ["licor/#"]}, {"wrong-form"}),
        ("stream", {"topics": ["licor/+/output"]}, {"wrong-form"}),
        ("stream", {"topics": "licor"}, {"wrong-type"}),
        ("stream", {"user": 5}, {"wrong-type"}),
    ],
)
def test_check(tmp_path: Path, protocol: str, more: dict[str, Any], codes: set[str]) -> None:
    written = document(tmp_path, 1883, protocol, **more)
    if "password" in more:
        written["buses"]["li"]["wire"]["password"]["file"] = str(tmp_path / "key")
    path = tmp_path / "station.hjson"
    path.write_text(json.dumps(written, indent=1))
    found = check_file(path, now=datetime(2026, 6, 1, tzinfo=UTC)).problems
    assert all(problem.line > 1 for problem in found)
    assert {problem.code for problem in found} == codes


def test_a_station_without_such_an_instrument_does_not_carry_the_client() -> None:
    code = (
        "import sys; from agent.config import Bus; from agent.wires.wire_kinds import wire_of\n"
        "bus = Bus.model_validate({'wire': {'kind': 'tcp', 'host': 'a', 'port': 1}, 'protocol': 'text'})\n"
        "wire_of('a', bus); print(sorted({'aiomqtt', 'paho', 'ssl'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert "aiomqtt" not in found.stdout
    assert "paho" not in found.stdout
