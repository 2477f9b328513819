"""A whole station on a disk that is really full: it goes on, and says what it could not write."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from peers.lines import Weather, tcp
from peers.stations import StationProcess, bare

from agent.__main__ import main
from agent.history.files import FileSource
from protocols import record

# In a mount namespace of its own: a small tmpfs under the store, a station on it, and a file that takes all the rest.
STATION = """
import shutil, subprocess, sys
from pathlib import Path
folder, filler = Path(sys.argv[1]), Path(sys.argv[1]) / "store" / "filler"
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder / "store")], check=True)
run = [sys.executable, "-m", "agent", "--lang", "en", "run", str(folder / "station.hjson")]
station = subprocess.Popen(run)
for line in sys.stdin:
    if line.strip() == "fill":
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
    elif line.strip() == "free":
        filler.unlink()
    elif line.strip() == "kill":
        station.kill()
        station.wait()
        station = subprocess.Popen(run)
    else:
        break
    print("done", flush=True)
station.terminate()
code = station.wait()
shutil.copytree(folder / "store", folder / "after")
sys.exit(code)
"""


class OnTmpfs(StationProcess):
    """The station, with what is said to the namespace it lives in."""

    async def start(self) -> asyncio.subprocess.Process:
        (self.folder / "store").mkdir()
        self.write()
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *apart(), sys.executable, "-c", STATION, str(self.folder), stdin=pipe, stdout=pipe, stderr=pipe,
            cwd=self.root,
        )  # fmt: skip
        return self.process

    async def say(self, word: str) -> None:
        assert self.process
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{word}\n".encode())
        async with asyncio.timeout(20):
            assert await self.process.stdout.readline() == b"done\n"

    async def finish(self) -> str:
        """End in order; what was said."""
        assert self.process
        async with asyncio.timeout(30):
            _, said = await self.process.communicate(b"end\n")
        assert self.process.returncode == 0, said.decode()
        self.process = None
        return said.decode()

    def records(self) -> list[dict[str, Any]]:
        source = FileSource(self.folder / "after")
        found: list[dict[str, Any]] = []
        while page := source.numbered(1, found[-1]["seq"] if found else -1, record.KINDS, 500):
            found += page
        return found


def apart() -> list[str]:
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


@pytest.fixture
async def station(tmp_path: Path, root: Path) -> AsyncIterator[OnTmpfs]:
    (tmp_path / "try").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "try")]
    allowed = subprocess.run([*apart(), *mount], capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"mounting is not allowed here: {allowed.stderr.strip()}")
    peer = Weather()
    await peer.start()
    one = OnTmpfs(tmp_path, root, bare())
    one.document["buses"]["line"] = {"wire": tcp(peer.port), "protocol": "text"}
    one.document["instruments"]["weather"] = {
        "driver": "vaisala_wxt5xx", "bus": "line", "unit": 0, "poll_s": 0.1, "kind": "research", "rule": "ghg",
    }  # fmt: skip
    yield one
    if one.process and one.process.stdin:
        one.process.stdin.close()
        await one.process.wait()
    peer.stop()


def missing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == "gap" and row["reason"] == "disk full"]


async def test_a_full_disk_stops_raw_and_nothing_else_and_says_so(
    station: OnTmpfs, capsys: pytest.CaptureFixture[str]
) -> None:
    await station.start()
    await station.until(lambda status: status["scans"] > 5 and status["space"]["ballast"])
    await station.say("fill")
    full = await station.until(lambda status: status["space"]["not_written"].get("weather", 0) > 5)
    assert (full["space"]["step"], full["space"]["stopped"]) == ("reserve-only", "all")
    # It is on record while the disk is full: the ballast made room for that.
    await station.until(lambda status: status["log"]["uncommitted"] == 0)
    assert full["space"]["ballast"] is False
    await station.say("free")
    await station.until(lambda status: status["space"]["step"] == "well" and status["space"]["ballast"])
    scans = (await station.until(lambda status: status["space"]["not_written"] == {}))["scans"]
    await station.until(lambda status: status["scans"] > scans + 5)
    said = await station.finish()
    assert "Traceback" not in said
    assert "the disk is full" in said

    rows = station.records()
    told = [(row["what"], row["step"]) for row in rows if row.get("what") in ("space-low", "space-better")]
    assert (told[0], told[-1]) == (("space-low", "reserve-only"), ("space-better", "well"))
    [gap] = missing(rows)
    # Every scan that was made is a record, or counted in the gap.
    written = [row["at"] for row in rows if row["kind"] == "scan"]
    assert gap["scans"] >= full["space"]["not_written"]["weather"]
    assert not any(gap["from"] <= at <= gap["to"] for at in written)
    assert min(written) < gap["from"] < gap["to"] < max(written)
    assert main(["--lang", "en", "verify", str(station.folder / "after")]) == 0, capsys.readouterr().out


async def test_a_kill_while_the_disk_is_full_leaves_no_silence(station: OnTmpfs) -> None:
    await station.start()
    await station.until(lambda status: status["scans"] > 5 and status["space"]["ballast"])
    await station.say("fill")
    await station.until(lambda status: status["space"]["not_written"].get("weather", 0) > 5)
    await station.until(lambda status: status["log"]["uncommitted"] == 0)
    await station.say("kill")
    again = await station.until(lambda status: status["uptime_s"] < 60 and status["space"]["percent"] is not None)
    assert again["space"]["step"] == "reserve-only"
    await station.say("free")
    await station.until(lambda status: status["space"]["step"] == "well" and not status["space"]["not_written"])
    await station.finish()

    rows = station.records()
    first = next(row for row in rows if row.get("what") == "space-low")
    restart = next(row for row in rows if row["kind"] == "gap" and row["reason"] == "not running")
    spans = sorted((row["from"], row["to"]) for row in [*missing(rows), restart])
    # From the word that raw stops to the word that it goes on, gaps lie one behind the other.
    assert spans[0][0] <= first["t"] or spans[0][0] <= max(row["at"] for row in rows[: first["seq"]] if "at" in row)
    scans = [row["at"] for row in rows if row["kind"] == "scan"]
    assert not any(spans[0][0] < at < spans[0][1] for at in scans)
    assert restart["from"] <= spans[-1][1]
