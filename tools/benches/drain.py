"""How fast a backlog goes to the centre by MQTT while live values go on, and how old those are when safe there.

    tools/bench drain [--minutes 60] [--backfill-per-s 2000] [--folder DIR] [--json]

A station's log and its uplink, a real mosquitto, and the centre's ingest with its store in a process of its own, all on
this machine. The backlog is so many minutes of 20 readings a second (four scans of five values). While it goes up, live
scans go on at the same rate, each committed 50 ms after the first that waits. The age of a live value is the time from
its scan to the commit of the message that brought it to the centre's store. Beside it, in the same run: plain paho
publishing the same payloads at QoS 1 with the same window, which nobody stores, is what the line itself could do.

Exit code 1 where the backlog goes up at less than 20 times the live rate, or 95 of 100 live values are not younger than
120 ms meanwhile.
"""

import argparse
import asyncio
import base64
import json
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import paho.mqtt.client as paho
from footprint import machine
from paho.mqtt.enums import CallbackAPIVersion

from agent.config import MqttUplink as UplinkConfig
from agent.config import Station as StationConfig
from agent.store.log import Log
from agent.uplinks.mqtt import MqttUplink
from agent.uplinks.mqtt_link import link_of
from central.config import Broker, Station
from central.ingest_mqtt import MqttIngest
from central.store import Store
from central.writer import Writer
from host.clock import RealClock
from host.shapes import Position
from metrology.reading import Reading, Scan
from protocols.mqtt.messages import Birth
from protocols.mqtt.payload import build_payload
from protocols.record import scan_fields
from protocols.tlog import signer_from_seed

INSTRUMENTS, VALUES, COMMIT_S = 4, 5, 0.05
READINGS = INSTRUMENTS * VALUES
TIMES_MIN, AGE_MAX_MS = 20.0, 120.0
ALONE_S, MOST_S = 10.0, 90.0
SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/bench-01")
PLACE = {"latitude": 30.0, "longitude": 120.0, "height_m": 10.0, "datum": "WGS-84"}
NAMES = {"network": "bench", "name_zh": "测试", "name_en": "Bench"}


def scan(number: int, instrument: int, at: datetime) -> Scan:
    """Five values that differ each time, with as many digits as instruments give."""
    name = f"analyzer{instrument}"
    values = (round(400 + 0.0137 * ((number * 31 + k * 17 + instrument) % 997), 3) for k in range(VALUES))
    return Scan(name, at, tuple(Reading(name, f"m{k}", x, "umol/mol", at) for k, x in enumerate(values)))


async def centre(folder: Path, port: int) -> None:
    """The centre's process: for ever."""
    stations = {"bench-01": Station(position=Position(**PLACE), vkey=SIGNER.vkey, **NAMES)}  # type: ignore[arg-type]
    store = Store(str(folder / "central.db"), stations, time.time)
    ingest = MqttIngest(Broker(host="127.0.0.1", port=port), stations, store, Writer(), RealClock())
    await ingest.run()


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[None]:
    """Another program, for as long as we need it."""
    running = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        running.kill()
        await running.wait()


async def backlog(log: Log, minutes: int) -> int:
    """Write the past; the number of its last record."""
    start = datetime.now(UTC) - timedelta(minutes=minutes)
    for second in range(minutes * 60):
        at = start + timedelta(seconds=second)
        last = [log.post("scan", scan_fields(scan(second, one, at))) for one in range(INSTRUMENTS)][-1]
        if second % 60 == 0:
            await last
    return (await last).seq


async def live(log: Log) -> None:
    """20 readings a second: an instrument each quarter of it, for ever."""
    number, due = 0, time.monotonic()
    while True:
        log.post("scan", scan_fields(scan(number, number % INSTRUMENTS, datetime.now(UTC))))
        number, due = number + 1, due + 1 / INSTRUMENTS
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def uplink_of(log: Log, port: int, backfill_per_s: float) -> MqttUplink:
    """The station's uplink as a configuration would have it, but for its rate of backfill."""
    block = {"kind": "mqtt", "host": "127.0.0.1", "port": port, "backfill_per_s": backfill_per_s}
    station = StationConfig.model_validate({"id": "bench-01", "position": PLACE, **NAMES})
    birth = Birth(
        station_id="bench-01", network="bench", t="", epoch=0, name_zh="测试", name_en="Bench", latitude=30.0,
        longitude=120.0, height_m=10.0, simulated=False, vkey=SIGNER.vkey, series={},
    )  # fmt: skip
    config = UplinkConfig.model_validate(block)
    return MqttUplink("centre", config, station, log, RealClock(), birth=birth, make_link=link_of)


async def acknowledged(uplink: MqttUplink, least: int) -> int:
    """Up to which number the centre has all, once that is `least` or more."""
    async with asyncio.timeout(MOST_S):
        while (through := uplink.status().get("acknowledged", -1)) < least:
            await asyncio.sleep(0.005)
    return int(through)


def rows_of(folder: Path) -> list[tuple[int, float, dict[str, Any]]]:
    """What the centre stored: number, moment of the commit, record."""
    db = sqlite3.connect(f"file:{folder / 'central.db'}?mode=ro", uri=True)
    found = db.execute("SELECT seq, committed_wall, body FROM record ORDER BY seq").fetchall()
    db.close()
    return [(seq, wall, json.loads(body)) for seq, wall, body in found]


def ages_ms(rows: list[tuple[int, float, dict[str, Any]]], after: int, until: float) -> tuple[list[float], list[float]]:
    """Ages of live values that were made before `until`, and of those after."""
    ages: tuple[list[float], list[float]] = [], []
    for seq, wall, body in rows:
        if seq > after and body["kind"] == "scan":
            made = datetime.fromisoformat(body["at"]).timestamp()
            ages[made > until].append((wall - made) * 1000)
    return ages


def plain(port: int, payloads: list[bytes], window: int) -> float:
    """Seconds in which bare paho has the broker take the payloads."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(window)
    client.connect("127.0.0.1", port)
    client.loop_start()
    while not client.is_connected():
        time.sleep(0.01)
    began = time.perf_counter()
    for info in [client.publish("plain", payload, qos=1) for payload in payloads]:
        info.wait_for_publish(MOST_S)
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return took


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return statistics.quantiles(values, n=20)[-1]


async def measured(folder: Path, minutes: int, backfill_per_s: float) -> dict[str, Any]:
    """All figures of one run."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    log = Log(folder / "segments", RealClock(), station_id="bench-01", signer=SIGNER, commit_s=COMMIT_S)
    writing = asyncio.create_task(log.run())
    last = await backlog(log, minutes)
    async with process("mosquitto", "-c", str(folder / "mosquitto.conf")):
        async with process(sys.executable, __file__, "--centre", str(folder), str(port)):
            uplink = uplink_of(log, port, backfill_per_s)
            going = [asyncio.create_task(uplink.run())]
            # The clock starts with the first record at the centre: connecting is no part of the rate.
            first = await acknowledged(uplink, 0)
            began = time.time()
            going.append(asyncio.create_task(live(log)))
            await acknowledged(uplink, last)
            ended = time.time()
            await asyncio.sleep(ALONE_S)
            await uplink.drain(MOST_S)
            for task in going:
                task.cancel()
            await asyncio.wait(going)
        bodies = [row.body for row in await log.read(-1, kinds=frozenset({"scan"}), limit=200, epoch=log.epoch)]
        batch = build_payload("bench-01", log.epoch, -1, bodies)
        took = await asyncio.to_thread(plain, port, [batch] * (last // len(bodies)), 20)
    writing.cancel()
    await asyncio.wait([writing])
    rows = rows_of(folder)
    busy, alone = ages_ms(rows, last, ended)
    rate = (last - first) * VALUES / (ended - began)
    return {
        "readings": last * VALUES,
        "seconds": ended - began,
        "readings_per_s": rate,
        "times_live": rate / READINGS,
        "plain_readings_per_s": last * VALUES / took,
        "live_values": len(busy) * VALUES,
        "age_ms_median": statistics.median(busy),
        "age_ms_p95": p95(busy),
        "alone_age_ms_median": statistics.median(alone),
        "alone_age_ms_p95": p95(alone),
        "missing": rows[-1][0] + 1 - len(rows),
    }


def main() -> int:
    """See above."""
    if sys.argv[1:2] == ["--centre"]:
        asyncio.run(centre(Path(sys.argv[2]), int(sys.argv[3])))
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--minutes", type=int, default=60)
    line.add_argument("--backfill-per-s", type=float, default=2000)
    line.add_argument("--folder", type=Path)
    line.add_argument("--json", action="store_true")
    chosen = line.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = asyncio.run(measured(Path(folder), chosen.minutes, chosen.backfill_per_s))
    missed = found["times_live"] < TIMES_MIN or found["age_ms_p95"] >= AGE_MAX_MS or found["missing"] > 0
    if chosen.json:
        print(json.dumps(found))
        return int(missed)
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, {where['system']}, Python {where['python']}, load {where['load']}")
    print(
        f"{found['readings']} readings of {chosen.minutes} minutes drained in {found['seconds']:.1f} s beside live ones"
    )
    print(f"{found['readings_per_s']:10.0f} readings/s: {found['times_live']:.0f} times live (required {TIMES_MIN:g})")
    print(
        f"{found['plain_readings_per_s']:10.0f} readings/s by plain paho at QoS 1, the same payloads, stored by nobody"
    )
    print(
        f"{found['age_ms_p95']:10.0f} ms, the age at the centre of 95 of 100 live values (below {AGE_MAX_MS:g}), ",
        end="",
    )
    print(f"median {found['age_ms_median']:.0f}; with no backlog {found['alone_age_ms_p95']:.0f}, ", end="")
    print(f"median {found['alone_age_ms_median']:.0f}; {found['live_values']} values")
    print(f"{found['missing']:10d} records missing at the centre")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
