"""The centre as a process: killed in mid-ingest it loses nothing it acknowledged and makes nothing twice."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import apsw
import pytest

from protocols.mqtt.messages import Ack, parse_message
from protocols.mqtt.payload import build_payload

Maker = Callable[..., Any]
STATION = "plumeline/v1/net/tower/"


@pytest.fixture
def config(tmp_path: Path, broker: Any, stations: dict[str, Any]) -> Path:
    """A centre with one broker and one HJ 212 port."""
    document = {
        "store": str(tmp_path / "centre" / "store.db"),
        "hj212": {"port": 0},
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "stations": {"tower": stations["tower"].model_dump(mode="json", exclude_none=True)},
    }
    (tmp_path / "centre").mkdir()
    path = tmp_path / "central.hjson"
    path.write_text(json.dumps(document))
    return path


class Daemon:
    """`plumeline-central run` as a real process."""

    def __init__(self, config: Path, root: Path) -> None:
        self.config, self.root = config, root
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "central", "run", str(self.config), cwd=self.root, stderr=asyncio.subprocess.PIPE
        )

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        _, complaint = await self.process.communicate()
        assert b"Traceback" not in complaint, complaint.decode()
        return self.process.returncode or 0


@pytest.fixture
async def daemon(config: Path, root: Path) -> AsyncIterator[Daemon]:
    made = Daemon(config, root)
    yield made
    if made.process is not None and made.process.returncode is None:
        made.process.kill()
        await made.process.communicate()


class Station:
    """Sends what is not acknowledged, again and again, in payloads of ten."""

    def __init__(self, port: int, log: Any) -> None:
        self.port, self.log = port, log
        self.through = -1

    async def run(self) -> None:
        async with aiomqtt.Client("127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe(STATION + "down/ack", qos=1)
            hearing = asyncio.create_task(self._hear(client))
            while self.through < len(self.log.bodies) - 1:
                first = self.through + 1
                for start in range(first, min(first + 100, len(self.log.bodies)), 10):
                    data = build_payload("tower", 0, start - 1, self.log.bodies[start : start + 10])
                    await client.publish(STATION + "up/scan", data, qos=1)
                await asyncio.sleep(0.02)
            hearing.cancel()

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            ack = parse_message(Ack, message.payload)
            assert isinstance(ack, Ack)
            assert ack.through >= self.through, "what was acknowledged is no longer there"
            self.through = ack.through


async def test_kill_in_mid_ingest_loses_nothing_acknowledged(
    daemon: Daemon, config: Path, broker: Any, make_log: Maker
) -> None:
    log = make_log()
    for _ in range(1500):
        log.scan()
    station = Station(broker.port, log)
    await daemon.start()
    async with asyncio.timeout(60):
        sending = asyncio.create_task(station.run())
        for share in (300, 900):
            while station.through < share:
                assert not sending.done(), sending
                await asyncio.sleep(0.01)
            assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
            await daemon.start()
        await sending
    assert await daemon.end(signal.SIGTERM) == 0
    store = apsw.Connection(json.loads(config.read_text())["store"])
    assert [body for (body,) in store.execute("SELECT body FROM record ORDER BY seq")] == log.bodies
    assert store.execute("SELECT count(*) FROM raw").get == 1500
    assert store.execute("SELECT from_seq, to_seq FROM coverage").fetchall() == [(0, 1499)]
    assert store.execute("SELECT count(*) FROM event").get == 0
    assert store.pragma("integrity_check") == "ok"
    store.close()


async def test_the_store_is_closed_to_other_users(daemon: Daemon, config: Path) -> None:
    path = Path(json.loads(config.read_text())["store"])
    await daemon.start()
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.01)
    assert path.stat().st_mode & 0o077 == 0
    await daemon.end(signal.SIGKILL)


async def test_it_ends_in_order_also_while_the_broker_is_away(daemon: Daemon, broker: Any) -> None:
    broker.kill()
    await daemon.start()
    assert daemon.process is not None
    assert daemon.process.stderr is not None
    async with asyncio.timeout(20):
        while b"broker" not in (line := await daemon.process.stderr.readline()):
            assert line, "it ended"
    assert await daemon.end(signal.SIGTERM) == 0
