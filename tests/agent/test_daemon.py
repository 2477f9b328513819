"""The daemon as a whole: real processes, a real wire, a real log read after the end."""

import asyncio
import resource
import socket
import stat
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.lines import Weather, tcp
from peers.stations import StationProcess, bare, of

from agent.store.segment import Record
from host.control import ask
from metrology.periods import parse_iso

RATE = 15.0


class Station(StationProcess):
    """One weather transmitter, asked once a second."""

    def __init__(self, folder: Path, root: Path, port: int) -> None:
        super().__init__(folder, root, bare())
        self.document["buses"]["line"] = {"wire": tcp(port), "protocol": "text"}
        self.document["instruments"]["weather"] = {
            "driver": "vaisala_wxt5xx", "bus": "line", "unit": 0, "poll_s": 1, "kind": "research",
            "rule": "ghg", "series": {"air_temperature": {"minimum": -50, "maximum": 60}},
        }  # fmt: skip

    def accelerate(self, world: datetime) -> None:
        """World time is `world` now and runs RATE times as fast."""
        self.line = ["--clock", f"{time.time()},{world.timestamp()},{RATE:g}"]
        self.document["station"]["simulated"] = True


@pytest.fixture
async def weather() -> AsyncIterator[Weather]:
    peer = Weather()
    await peer.start()
    yield peer
    peer.stop()


@pytest.fixture
async def station(tmp_path: Path, root: Path, weather: Weather) -> AsyncIterator[Station]:
    one = Station(tmp_path, root, weather.port)
    yield one
    await one.put_away()


def temperatures(rows: list[Record]) -> list[tuple[datetime, float]]:
    """When and what of every scan with a value."""
    values = [(fields["at"], fields["values"]["air_temperature"]) for fields in of("scan", rows)]
    return [(parse_iso(at), value["x"]) for at, value in values if value["x"] is not None]


def minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


async def test_a_killed_station_goes_on_where_it_was(station: Station, weather: Weather) -> None:
    station.accelerate(datetime(2026, 3, 1, 8, 58, 40, tzinfo=UTC))
    await station.start()
    await station.until(lambda status: status["now"] >= "2026-03-01T08:59:06" and status["scans"] > 5)
    assert station.process
    station.process.kill()
    await station.process.communicate()

    await station.start()
    await station.until(lambda status: status["now"] >= "2026-03-01T09:00:13")
    code, said = await station.end()
    assert code == 0, said

    rows = station.rows()
    # Nothing that was answered and committed is missing or there twice; at most one answer was under way at the kill.
    seen = [value for _, value in temperatures(rows)]
    assert len(set(seen)) == len(seen)
    assert len(set(weather.given) - set(seen)) <= 2
    second = next(i for i, row in enumerate(rows) if row.kind == "gap")
    gap = rows[second].fields
    assert (gap["reason"], gap["from"]) == ("not running", rows[second - 1].fields["t"])
    assert gap["from"] < gap["to"] < rows[second + 2].fields["t"]

    averages = of("average", rows)
    names = Counter((fields["start"], fields["period_s"]) for fields in averages)
    assert set(names.values()) == {1}
    scans = temperatures(rows)
    for fields in averages:
        if fields["period_s"] == 60:
            row = fields["rows"]["weather.air_temperature"]
            values = [value for at, value in scans if minute(at) == parse_iso(fields["start"])]
            assert row["n"] == len(values)
            if values:
                assert row["mean"] == pytest.approx(statistics.fmean(values), rel=1e-12)
    # The killed minute holds scans of both lives.
    killed = minute(parse_iso(gap["from"]))
    assert {at > parse_iso(gap["to"]) for at, _ in scans if minute(at) == killed} == {True, False}
    [hour] = [fields for fields in averages if fields["period_s"] == 3600]
    assert hour["start"] == "2026-03-01T08:00:00.000Z"
    assert hour["rows"]["weather.air_temperature"]["n"] == sum(at < parse_iso(hour["end"]) for at, _ in scans)


async def test_sigterm_ends_in_order(station: Station) -> None:
    station.document["instruments"]["weather"]["poll_s"] = 0.2
    await station.start()
    status = await station.until(lambda status: status["scans"] > 3)
    assert status["values"]["weather.air_temperature"]["unit"] == "degC"
    assert status["buses"]["line"]["open"] is True
    code, said = await station.end()
    assert code == 0, said
    assert "Traceback" not in said
    rows = station.rows()
    # First the configuration, then scans, and no scan after the word that everything has stopped.
    assert rows[0].kind == "config"
    assert [(row.kind, row.fields.get("what")) for row in rows[-2:]] == [("event", "stopped"), ("checkpoint", None)]
    assert rows[-1].fields["size"] == rows[-1].seq
    assert not list((station.folder / "store").glob("**/*-wal"))


async def test_neither_a_start_nor_an_end_waits_for_a_commit_interval(station: Station) -> None:
    station.document["store"]["commit_ms"] = 10_000
    await station.start()
    await station.until(lambda status: status["scans"] > 1)
    code, said = await station.end()
    assert code == 0, said
    rows = station.rows()
    assert [(row.kind, row.fields.get("what")) for row in rows[-2:]] == [("event", "stopped"), ("checkpoint", None)]
    scan = of("scan", rows)[0]
    assert parse_iso(scan["t"]) - parse_iso(rows[0].fields["t"]) < timedelta(seconds=10)


async def test_the_socket_answers_its_user_alone_and_watch_goes_on(station: Station) -> None:
    station.document["instruments"]["weather"]["poll_s"] = 0.2
    await station.start()
    await station.until(lambda status: status["values"])
    assert stat.S_IMODE(Path(station.socket).stat().st_mode) & ~0o660 == 0
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        async for answer in ask(station.socket, {"do": "watch"}):
            seen.append(answer)
            if len(seen) == 2:
                break
    assert seen[0]["now"] < seen[1]["now"]
    assert seen[0]["values"]["weather.air_temperature"]["value"] < seen[1]["values"]["weather.air_temperature"]["value"]
    async for answer in ask(station.socket, {"do": "events"}):
        assert [row["what"] for row in answer["events"]][:1] == ["clock-state"]
    assert (await station.end())[0] == 0


BROKEN_DRIVER = """
from drivers.base import DriverInfo, PolledEntry

class Driver:
    instrument = "weather"
    measurands = {"air_temperature": "degC"}
    def poll(self):
        raise ZeroDivisionError("our own mistake")
        yield

ENTRY = PolledEntry(
    DriverInfo("theirs", "X1", "polled", "text", Driver.measurands, "their manual", "src"),
    lambda instrument, unit, options: Driver(),
)
"""


async def test_a_crash_of_a_part_ends_the_station_loudly(station: Station) -> None:
    packages = station.folder / "packages"
    (packages / "their_driver-1.0.dist-info").mkdir(parents=True)
    (packages / "their_driver.py").write_text(BROKEN_DRIVER)
    (packages / "their_driver-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: x\nVersion: 1\n")
    (packages / "their_driver-1.0.dist-info" / "entry_points.txt").write_text(
        "[plumeline.drivers]\ntheirs = their_driver:ENTRY\n"
    )
    station.environment["PYTHONPATH"] = str(packages)
    station.document["instruments"]["weather"] |= {"driver": "theirs", "poll_s": 0.2}
    await station.start()
    code, said = await station.ended()
    assert code != 0
    assert "ZeroDivisionError: our own mistake" in said
    assert of("config", station.rows())


class Manager:
    """A service manager's notification socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def _hear(self) -> None:
        self.heard.append(self._socket.recv(4096).decode())

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


async def test_the_watchdog_is_fed_by_commits_and_a_full_disk_loses_nothing(station: Station, weather: Weather) -> None:
    address = station.folder / "notify"
    manager = Manager(address)
    station.environment |= {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "200000"}
    station.document["instruments"]["weather"]["poll_s"] = 0.1
    process = await station.start()

    async def until(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    await until(lambda: "WATCHDOG=1" in manager.heard)
    assert manager.heard[0] == "READY=1"
    # From here on no file of the process may grow: writes fail as on a full disk.
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    full = await station.until(lambda status: status["log"]["uncommitted"] > 5)
    manager.heard.clear()
    given = len(weather.given)
    await until(lambda: len(weather.given) > given + 20)
    assert manager.heard == []
    assert (await station.status())["log"]["records"] == full["log"]["records"]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    await until(lambda: manager.heard)
    await station.until(lambda status: status["log"]["records"] > full["log"]["records"] + 20)
    code, said = await station.end()
    assert (code, manager.heard[-1]) == (0, "STOPPING=1"), said
    manager.close()
    rows = station.rows()
    assert "log-recovered" in [fields["what"] for fields in of("event", rows)]
    seen = [value for _, value in temperatures(rows)]
    assert set(weather.given[: len(seen)]) == set(seen)


async def test_a_disk_that_takes_no_last_record_is_said_at_the_end(station: Station) -> None:
    station.document["instruments"]["weather"]["poll_s"] = 0.1
    process = await station.start()
    await station.until(lambda status: status["scans"] > 3)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    await station.until(lambda status: status["log"]["uncommitted"] > 3)
    code, said = await station.end()
    assert code != 0
    assert "TimeoutError" in said


async def test_the_key_of_a_real_station_signs_no_accelerated_world(station: Station) -> None:
    station.accelerate(datetime(2026, 3, 1, tzinfo=UTC))
    station.document["station"]["simulated"] = False
    await station.start()
    code, said = await station.ended()
    assert code == 1
    assert "simulated" in said
    assert not (station.folder / "store").exists()


async def test_a_second_daemon_is_refused_and_the_first_goes_on(station: Station) -> None:
    first = await station.start()
    await station.until(lambda status: status["scans"] > 2)
    second = await station.start()
    code, said = await station.ended()
    assert code == 1
    assert f"process {first.pid} runs a station in this store already" in said
    station.process = first
    before = (await station.status())["scans"]
    await station.until(lambda status: status["scans"] > before)
    first.kill()
    await first.communicate()
    assert second.returncode == 1
    await station.start()  # what a killed one held is free
    await station.until(lambda status: status["scans"] > 0)
    assert (await station.end())[0] == 0


async def test_rows_lost_from_a_write_ahead_file_are_named_and_numbered_in_a_new_epoch(station: Station) -> None:
    process = await station.start()
    status = await station.until(lambda status: status["scans"] > 3)
    process.kill()
    await process.communicate()
    wal = next((station.folder / "store" / "segments").glob("log-*.db-wal"))
    data = bytearray(wal.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    wal.write_bytes(data)
    await station.start()
    await station.until(lambda status: status["log"]["epoch"] == 2 and status["scans"] > 0)
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not any(event.get("what") == "log-salvaged" for event in events):
            events = [one async for answer in ask(station.socket, {"do": "events"}) for one in answer["events"]]
    assert (await station.end())[0] == 0
    damaged = next(event for event in events if event.get("what") == "log-damaged")
    salvaged = next(event for event in events if event.get("what") == "log-salvaged")
    assert damaged["of_epoch"] == salvaged["of_epoch"] == 1
    assert damaged["until"] >= status["log"]["records"]
    # A commit that was under way at the kill may have left its rows too.
    assert salvaged["kept"] + sum(b - a + 1 for a, b in salvaged["lost"]) == salvaged["until"] >= damaged["until"]
    assert salvaged["kept"] > 0
