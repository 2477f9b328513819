"""A serial adapter unplugged and plugged in again under a running station that records its wires."""

import asyncio
import base64
import contextlib
import json
import os
import sys
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.store.segment import Segment
from host.control import RequestError, ask
from protocols import record


class Adapter:
    """A USB adapter with a weather transmitter behind it, under a name that goes and comes with it, as udev's do."""

    def __init__(self, by_id: Path, tenths: int) -> None:
        self._link = by_id
        self._tenths = tenths
        self.given: list[float] = []
        self._ends: tuple[int, int] | None = None

    def plug(self) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        self._link.symlink_to(os.ttyname(slave))
        self._ends = master, slave
        asyncio.get_running_loop().add_reader(master, self._hear, master)

    def _hear(self, master: int) -> None:
        if b"\n" in os.read(master, 100):
            self.given.append(round(self._tenths + 0.01 * len(self.given), 2))
            os.write(master, f"0R0,Dm=236D,Sm=2.5M,Ta={self.given[-1]:.2f}C,Ua=48.1P,Pa=1009.6H\r\n".encode())

    def unplug(self) -> None:
        if self._ends is not None:
            asyncio.get_running_loop().remove_reader(self._ends[0])
            self._link.unlink()
            for end in self._ends:
                os.close(end)
            self._ends = None


@pytest.fixture
async def adapters(tmp_path: Path) -> AsyncIterator[dict[str, Adapter]]:
    (tmp_path / "by-id").mkdir()
    made = {name: Adapter(tmp_path / "by-id" / f"usb-{name}", 10 * n) for n, name in enumerate(("north", "south"), 1)}
    for one in made.values():
        one.plug()
    yield made
    for one in made.values():
        one.unplug()


def configured(folder: Path) -> Path:
    (folder / "key").write_bytes(base64.b64encode(bytes(range(32))))
    (folder / "key").chmod(0o600)
    names = ("north", "south")
    document = {
        "station": {
            "id": "test-01", "network": "n", "name_zh": "站", "name_en": "station",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder / "store"), "commit_ms": 10, "quota_GB": 1000},
        "ledger": {"key": {"file": str(folder / "key")}},
        "buses": {
            name: {"wire": {"kind": "serial", "device": str(folder / "by-id" / f"usb-{name}")}, "protocol": "text"}
            for name in names
        },
        "instruments": {
            f"weather-{name}": {
                "driver": "vaisala_wxt5xx", "bus": name, "unit": 0, "poll_s": 0.2, "kind": "research", "rule": "ghg",
                "series": {"air_temperature": {}},
            }
            for name in names
        },
        "socket": str(folder / "agent.sock"),
    }  # fmt: skip
    path = folder / "station.hjson"
    path.write_text(json.dumps(document))
    return path


async def until(folder: Path, condition: Callable[[dict[str, Any]], object]) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RequestError):
                async for status in ask(str(folder / "agent.sock"), {"do": "status"}):
                    if condition(status):
                        return
            await asyncio.sleep(0.02)


def logged(folder: Path) -> list[dict[str, Any]]:
    """All records, after the end."""
    rows: list[dict[str, Any]] = []
    for path in sorted((folder / "store" / "segments").glob("log-*.db")):
        segment = Segment(path)
        while found := segment.read(rows[-1]["seq"] if rows else -1, record.KINDS, 500, None):
            rows += [row.fields for row in found]
        segment.close()
    return rows


def temperatures(rows: list[dict[str, Any]], name: str) -> list[tuple[float | None, list[str]]]:
    scans = [row for row in rows if row["kind"] == "scan" and row["instrument"] == f"weather-{name}"]
    values = [scan["values"]["air_temperature"] for scan in scans]
    return [(value["x"], sorted(mark[0] if isinstance(mark, list) else mark["cause"] for mark in value.get("q", [])))
            for value in values]  # fmt: skip


def within(found: list[float | None], given: list[float], missing_max: int) -> bool:
    """Tell whether what was found is what was given, in order, but for so many."""
    return found == [one for one in given if one in found] and len(given) - len(found) <= missing_max


async def test_an_unplugged_adapter_costs_its_own_readings_alone(
    tmp_path: Path, root: Path, adapters: dict[str, Adapter], capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "run", str(config), "--record", str(tmp_path / "tapes"),
        cwd=root, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    north, south = adapters["north"], adapters["south"]
    try:
        await until(tmp_path, lambda _: len(north.given) > 3 and len(south.given) > 3)
        north.unplug()
        before = len(south.given)
        await until(tmp_path, lambda status: not status["buses"]["north"]["open"] and len(south.given) > before + 10)
        lost = len(north.given)
        north.plug()
        await until(tmp_path, lambda _: len(north.given) > lost + 3)
    finally:
        process.terminate()
        said = (await process.communicate())[1].decode()
    assert process.returncode == 0, said

    rows = logged(tmp_path)
    told = [(row["what"], row["bus"]) for row in rows if row["kind"] == "event" and "bus" in row]
    assert told == [("bus-lost", "north"), ("bus-back", "north")]
    assert [line.split()[2] for line in said.splitlines() if "north" in line or "south" in line] == [
        "bus-lost", "bus-back",
    ]  # fmt: skip
    # The neighbour: every answer, nothing flagged. The lost one: every answer too, and flagged scans between them.
    # (One answer may have been under way when the plug was pulled, one when the station was ended.)
    assert all(value is not None and not marks for value, marks in temperatures(rows, "south"))
    assert within([value for value, _ in temperatures(rows, "south")], south.given, 1)
    found = temperatures(rows, "north")
    kept = [value for value, _ in found if value is not None]
    assert within(kept, north.given, 2)
    assert {tuple(marks) for value, marks in found if value is None} == {("communication",)}
    assert sum(value is None for value, _ in found) >= 5

    # What was recorded is what was answered, no file holds the signing key, and the play gives the values again.
    key = (tmp_path / "key").read_text()
    files = sorted((tmp_path / "tapes").glob("north.*.txt"))
    assert files
    assert not any(key in path.read_text() for path in (tmp_path / "tapes").iterdir())
    assert await asyncio.to_thread(main, ["play", "--json", *map(str, files)]) == 0
    heard = json.loads(capsys.readouterr().out)
    played = [one["readings"]["air_temperature"][0] for one in heard if "readings" in one]
    assert within(kept, played, 1)
