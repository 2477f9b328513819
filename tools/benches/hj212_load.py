"""One process that is two thousand stations: each sends a minute-message a second and waits for its 9014.

    hj212_load.py send PLAN.json     prints one JSON object with what it measured
    hj212_load.py echo               a server that sends back what it gets; prints its port

Used by `tools/bench hj212 stations`. Plain protocols on one event loop, frames made before the clock starts: the load
must cost little beside what it measures.
"""

import asyncio
import contextlib
import json
import random
import re
import resource
import socket
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from protocols.hj212.crc import crc16
from protocols.hj212.times import render_qn, render_time

FACTORS = ("a21026", "a21002", "a34013", "a19001", "a01012")
SUFFIXES = ("Cou", "Min", "Avg", "Max", "ZsAvg")
AREAS = 64
CONNECT_AT_ONCE = 100
STEP_S = 0.005
DRAIN_S = 20.0
# One acknowledged frame in so many is looked up in the store the moment its answer is here.
LOOK_EVERY = 500
ANSWER = re.compile(rb"QN=(\d{17})")


def areas(seed: int = 1) -> list[bytes]:
    """Data areas without their DataTime: five factors of a stack, as a station writes them."""
    rng = random.Random(seed)
    made = []
    for _ in range(AREAS):
        items = []
        for code in FACTORS:
            middle = rng.uniform(5, 90)
            values = (middle * 3.6, middle * 0.9, middle, middle * 1.1, middle * 1.2)
            pairs = [f"{code}-{name}={value:.2f}" for name, value in zip(SUFFIXES, values, strict=True)]
            items.append(",".join([*pairs, f"{code}-Flag=N"]))
        made.append(";".join(items).encode())
    return made


def frames(mns: list[str], password: str, seconds: int) -> list[list[tuple[bytes, bytes]]]:
    """QN and bytes of what each station sends in each second: `[second][station]`, every DataTime in the past."""
    texts = areas()
    base = datetime.now(UTC)
    first = base.replace(second=0, microsecond=0) - timedelta(minutes=seconds + 2)
    made = []
    for second in range(seconds):
        stamp = render_time(first + timedelta(minutes=second))
        row = []
        for index, mn in enumerate(mns):
            qn = render_qn(base + timedelta(seconds=second, microseconds=index * 1_000_000 // len(mns)))
            head = f"QN={qn};ST=31;CN=2051;PW={password};MN={mn};Flag=5;CP=&&DataTime={stamp};"
            segment = head.encode() + texts[(index + second) % AREAS] + b"&&"
            row.append((qn.encode(), b"##%04d%b%04X\r\n" % (len(segment), segment, crc16(segment))))
        made.append(row)
    return made


class Witness:
    """Looks up acknowledged frames in the store through a connection of its own: what it sees is committed."""

    def __init__(self, store: str | None) -> None:
        self._store = store
        self._db: sqlite3.Connection | None = None
        self.looked = self.missing = 0

    def look(self, mn: str, qn: bytes) -> None:
        """Count whether the frame is there."""
        if self._store is None:
            return
        if self._db is None:
            self._db = sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)
        sql = "SELECT count(*) FROM hj212_frame WHERE mn = ? AND qn = ?"
        (count,) = self._db.execute(sql, (mn, qn.decode())).fetchone()
        self.looked += 1
        self.missing += count == 0


class Load:
    """Everything measured."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.sent = 0
        self.latencies: list[float] = []
        self.unknown = 0
        self.ended = 0
        self.late_s: list[float] = []
        self.finishing = False


class Station(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, mn: str) -> None:
        self._load = load
        self.mn = mn
        self._rest = b""
        self.waiting: dict[bytes, float] = {}
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.ended += not self._load.finishing

    def send(self, qn: bytes, data: bytes) -> None:
        assert self.transport is not None
        self.waiting[qn] = time.perf_counter()
        self._load.sent += 1
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        now, load = time.perf_counter(), self._load
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        for line in lines:
            found = ANSWER.search(line)
            began = self.waiting.pop(found[1], None) if found and (b"CN=9014" in line or b"CN=2051" in line) else None
            if began is None:
                load.unknown += 1
                continue
            load.latencies.append(now - began)
            if found and len(load.latencies) % LOOK_EVERY == 0:
                load.witness.look(self.mn, found[1])


class Echo(asyncio.Protocol):
    """Sends back whole what came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def echo() -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


async def send(plan: dict[str, Any]) -> dict[str, Any]:
    """Connect all, send for so long, wait for the last answers."""
    mns, seconds = plan["mns"], plan["seconds"]
    made = await asyncio.to_thread(frames, mns, plan["password"], seconds)
    load = Load(Witness(plan.get("store")))
    stations = [Station(load, mn) for mn in mns]
    for start in range(0, len(stations), CONNECT_AT_ONCE):
        await asyncio.gather(*(connect(one, plan["port"]) for one in stations[start : start + CONNECT_AT_ONCE]))
    began = time.perf_counter() + 0.5
    for row in made:
        await send_second(load, stations, row, began)
        began += 1.0
    ends = time.perf_counter() + DRAIN_S
    while any(one.waiting for one in stations) and time.perf_counter() < ends:
        await asyncio.sleep(0.05)
    load.finishing = True
    for one in stations:
        assert one.transport is not None
        one.transport.abort()
    return result(load, stations, sum(len(data) for row in made for _, data in row))


async def connect(station: Station, port: int) -> None:
    """Open one connection."""
    await asyncio.get_running_loop().create_connection(lambda: station, "127.0.0.1", port)


async def send_second(load: Load, stations: list[Station], row: list[tuple[bytes, bytes]], began: float) -> None:
    """Send one frame of each station, spread evenly over the second that begins at `began`."""
    done, count = 0, len(stations)
    while done < count:
        now = time.perf_counter()
        due = min(count, int((now - began) * count) + 1) if now >= began else 0
        for index in range(done, due):
            station = stations[index]
            load.late_s.append(time.perf_counter() - (began + index / count))
            if station.transport is not None and not station.transport.is_closing():
                station.send(*row[index])
        done = max(done, due)
        await asyncio.sleep(STEP_S)


def result(load: Load, stations: list[Station], size: int) -> dict[str, Any]:
    """What is told to who asked."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lost = sum(len(one.waiting) for one in stations)
    return {
        "sent": load.sent,
        "acknowledged": len(load.latencies),
        "lost": lost,
        "unknown": load.unknown,
        "connections_ended": load.ended,
        "frame_bytes": size / max(1, len(load.late_s)),
        "latency_s": quantiles(load.latencies),
        "send_late_s": quantiles(load.late_s),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "looked_up": load.witness.looked,
        "not_committed": load.witness.missing,
    }


def quantiles(values: list[float]) -> dict[str, float]:
    """Median, 95 and 99 in the hundred, greatest."""
    ordered = sorted(values) or [float("nan")]
    at = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in at.items()}


def main() -> int:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if sys.argv[1] == "echo":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(echo())
        return 0
    plan = json.loads(Path(sys.argv[2]).read_text())
    print(json.dumps(asyncio.run(send(plan))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
