"""The SQLite store of ThingsBoard's gateway, given what `storage` gives our log; for the gateway's own Python.

    PEERS/thingsboard/bin/python tools/benches/storage_thingsboard.py FOLDER SCANS

Prints JSON. Its own defaults: batches of 1,000, WAL with synchronous=NORMAL, which syncs at checkpoints only: what it
calls committed may be lost with the power. A scan is a message in the form its connectors give.
"""

import json
import logging
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from threading import Event

from thingsboard_gateway.storage.sqlite.sqlite_event_storage import SQLiteEventStorage

READINGS = 20
START_MS = 1_767_225_600_000
BURST_SCANS = 10_000
MOST_S = 120.0


class Quiet(logging.Logger):
    """A logger with the level of its own that the gateway asks for."""

    def trace(self, *_: object) -> None:
        """Say nothing."""


def opened(folder: Path) -> tuple[SQLiteEventStorage, float]:
    """Its store in a folder, and how many seconds that took."""
    began = time.perf_counter()
    found = SQLiteEventStorage({"data_file_path": f"{folder}/"}, Quiet("peer", logging.CRITICAL), Event())
    return found, time.perf_counter() - began


class Store:
    """Its store in a new folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.count = 0
        self.its, _ = opened(folder)
        self._reader = sqlite3.connect(f"file:{folder}/data.db?mode=ro", uri=True)

    def put(self, messages: list[str]) -> None:
        """Hand over messages and wait until all are in its table."""
        for message in messages:
            assert self.its.put(message)
        self.count += len(messages)
        until = time.monotonic() + MOST_S
        while self._reader.execute("SELECT count(*) FROM messages").fetchone()[0] < self.count:
            assert time.monotonic() < until, "it does not come to an end"
            time.sleep(0.001)

    def end(self) -> None:
        """Stop its threads."""
        self._reader.close()
        self.its.stop()
        time.sleep(0.5)


def messages() -> Iterator[str]:
    """A scan a second of 20 values at levels of their own, with noise of three decimals."""
    number = 0
    while True:
        noise = random.Random(number)
        values = {f"m{k}": round(400 + 37.1 * k + 5 * noise.random(), 3) for k in range(READINGS)}
        telemetry = [{"ts": START_MS + 1000 * number, "values": values}]
        device = {"deviceName": "analyzer0", "deviceType": "default", "attributes": [], "telemetry": telemetry}
        yield json.dumps(device)
        number += 1


def of_process(file: str, name: str) -> int:
    """A number the kernel keeps of this process."""
    lines = Path("/proc/self", file).read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def bytes_a_reading(folder: Path, scans: int, each: int) -> dict[str, float]:
    """Written and stored for a reading, so many scans in a commit."""
    store, source = Store(folder), messages()
    before = of_process("io", "write_bytes")
    for _ in range(scans // each):
        store.put([next(source) for _ in range(each)])
    store.end()
    readings = scans // each * each * READINGS
    stored = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    return {"written": (of_process("io", "write_bytes") - before) / readings, "stored": stored / readings}


def main() -> None:
    """See above."""
    folder, scans = Path(sys.argv[1]), int(sys.argv[2])
    before_kB = of_process("status", "VmRSS")
    found = {f"{each} s": bytes_a_reading(folder / str(each), scans, each) for each in (1, 10)}
    store, source = Store(folder / "burst"), messages()
    given = [next(source) for _ in range(BURST_SCANS)]
    began = time.perf_counter()
    store.put(given)
    took = time.perf_counter() - began
    store.end()
    again, opened_s = opened(folder / "burst")
    again.stop()
    print(json.dumps({
        "version": metadata.version("thingsboard-gateway"), "bytes a reading": found,
        "readings a second": BURST_SCANS * READINGS / took, "start": {"scans": BURST_SCANS, "seconds": opened_s},
        "memory_MB": [before_kB / 1024, of_process("status", "VmRSS") / 1024],
    }))  # fmt: skip


if __name__ == "__main__":
    main()
