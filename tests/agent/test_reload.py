"""SIGHUP: a real daemon on real wires reads its file again; what changed is set anew, all else runs on untouched."""

import asyncio
import fcntl
import getpass
import json
import os
import signal
import statistics
import sys
import termios
import time
import tty
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.lines import Weather, serial, tcp
from peers.stations import Document, StationProcess, bare, of

from agent.changes import author, changed_instruments, config_fields, difference, needs_restart
from agent.config import Config
from agent.store.segment import Record
from agent.values.averaging import Averager, SeriesSpec
from host.control import ask
from metrology.measurand import catalogue
from metrology.periods import parse_iso
from metrology.reading import Measurement, Reading
from protocols import record

RATE = 15.0


class Station(StationProcess):
    """A station whose file changes while it runs."""

    def reload(self, text: str | None = None) -> None:
        """Write the document (or a text) over the file and send the signal."""
        self.file.write_text(json.dumps(self.document) if text is None else text)
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    async def events(self) -> list[Document]:
        return list((await self.asked("events"))["events"])

    async def refused(self, count: int = 1) -> Document:
        """The last of so many refusals."""
        async with asyncio.timeout(20):
            while len(found := [e for e in await self.events() if e["what"] == "configuration-refused"]) < count:
                await asyncio.sleep(0.02)
        return found[-1]

    async def finish(self) -> list[Record]:
        """SIGTERM; all records."""
        code, said = await self.end()
        assert code == 0, said
        return self.rows()


def scans(rows: list[Record], instrument: str, measurand: str) -> list[tuple[datetime, float | None]]:
    found = [row for row in of("scan", rows) if row["instrument"] == instrument]
    return [(parse_iso(row["at"]), row["values"][measurand]["x"]) for row in found]


@pytest.fixture
async def weather() -> AsyncIterator[Weather]:
    peer = Weather()
    await peer.start()
    yield peer
    peer.stop()


@pytest.fixture
async def station(tmp_path: Path, root: Path, weather: Weather, pty_line: Any, serve_rtu: Any) -> AsyncIterator[Any]:
    """A weather transmitter by TCP beside a CO2 sensor, unit 5 of a Modbus RTU line; units 5 and 7 answer there."""
    peer = await serve_rtu(5, 7)
    document = bare() | {
        "buses": {
            "air": {"wire": tcp(weather.port), "protocol": "text"},
            "line": {"wire": serial(str(pty_line.link)), "protocol": "modbus-rtu"},
        },
        "instruments": {
            "weather": {
                "driver": "vaisala_wxt5xx", "bus": "air", "unit": 0, "poll_s": 0.2, "kind": "research", "rule": "ghg",
                "series": {"air_temperature": {"minimum": -50, "maximum": 60}},
            },
            "ndir": {
                "driver": "senseair_s8", "bus": "line", "unit": 5, "poll_s": 0.2, "kind": "research", "rule": "ghg",
            },
        },
    }  # fmt: skip
    one = Station(tmp_path, root, document, commit_ms=5)
    one.modbus = peer  # type: ignore[attr-defined]
    yield one
    await one.put_away()


async def test_one_instrument_gets_another_address_and_its_neighbour_never_notices(
    station: Any, weather: Weather
) -> None:
    await station.start()
    await station.until(lambda s: s["instruments"]["ndir"]["polls"] > 3 and s["instruments"]["weather"]["polls"] > 3)
    before = await station.status()
    station.document["instruments"]["ndir"] |= {"unit": 7, "serial_number": "S8-7"}
    station.reload()
    after = await station.until(lambda s: "7" in s["buses"]["line"]["units"] and s["instruments"]["ndir"]["polls"] > 3)
    assert "5" not in after["buses"]["line"]["units"]
    assert set(station.modbus.reads) == {5, 7}
    assert station.modbus.reads == sorted(station.modbus.reads), "no question to the old address after the change"
    # The neighbour's poller, connection and counters are the ones of before.
    assert after["instruments"]["weather"]["polls"] > before["instruments"]["weather"]["polls"]
    assert after["instruments"]["weather"]["missed"] == 0
    assert weather.connections == 1
    rows = await station.finish()
    first, second = of("config", rows)
    assert (first["origin"], "changes" in first) == ("start", False)
    assert second["origin"] == "SIGHUP"
    assert second["changes"] == {
        "instruments.ndir.unit": [5, 7],
        "instruments.ndir.serial_number": [None, "S8-7"],
    }
    assert second["by"]["file"] == str(station.file)
    assert second["by"]["owner"] == getpass.getuser()
    assert abs(parse_iso(second["by"]["modified"]).timestamp() - station.file.stat().st_mtime) < 0.001
    assert second["document"]["instruments"]["ndir"]["unit"] == 7
    assert second["sha256"] != first["sha256"]
    # Every answer of either instrument lies in the log, the last one under way at the end aside.
    seen = [value for _, value in scans(rows, "weather", "air_temperature")]
    assert seen == weather.given[: len(seen)]
    assert len(weather.given) - len(seen) <= 1
    assert [value for _, value in scans(rows, "ndir", "co2")] == [3.0] * len(scans(rows, "ndir", "co2"))
    assert len(station.modbus.reads) - len(scans(rows, "ndir", "co2")) <= 1


async def test_the_open_minute_keeps_what_it_held_and_the_range_is_the_new_one(station: Any, weather: Weather) -> None:
    station.line = ["--clock", f"{time.time()},{datetime(2026, 3, 1, 8, 0, 5, tzinfo=UTC).timestamp()},{RATE:g}"]
    station.document["station"]["simulated"] = True
    block = station.document["instruments"]["weather"]
    block |= {"poll_s": 2, "rule": "hj-ambient"}
    station.document["instruments"]["ndir"] |= {"poll_s": 5}
    await station.start()
    await station.until(lambda s: s["instruments"]["weather"]["polls"] >= 6)
    block |= {"poll_s": 1}
    station.reload()
    await station.until(lambda s: s["instruments"]["weather"]["polls"] < 6)
    block["series"]["air_temperature"]["maximum"] = 9
    station.reload()
    status = await station.until(lambda s: "out_of_range" in s["values"]["weather.air_temperature"]["causes"])
    await station.until(lambda s: parse_iso(s["now"]) > parse_iso(status["now"]) + timedelta(seconds=75))
    rows = await station.finish()
    changes = [row["changes"] for row in of("config", rows)[1:]]
    assert changes == [
        {"instruments.weather.poll_s": [2.0, 1.0]},
        {"instruments.weather.series.air_temperature.maximum": [60.0, 9.0]},
    ]
    # No answer is missing, whichever poller asked; the minute of the change counts them all.
    found = scans(rows, "weather", "air_temperature")
    assert [value for _, value in found] == weather.given[: len(found)]
    marked = [bool(row["values"]["air_temperature"].get("q")) for row in of("scan", rows)
              if row["instrument"] == "weather"]  # fmt: skip
    assert marked == sorted(marked)
    assert set(marked) == {False, True}
    good = [(at, value) for (at, value), bad in zip(found, marked, strict=True) if not bad]
    minutes = [row for row in of("average", rows) if row["period_s"] == 60]
    changed = parse_iso(of("config", rows)[1]["t"])
    [minute] = [row for row in minutes if parse_iso(row["start"]) <= changed < parse_iso(row["end"])]
    values = [value for at, value in good if parse_iso(minute["start"]) <= at < parse_iso(minute["end"])]
    row = minute["rows"]["weather.air_temperature"]
    assert row["n"] == len(values) > 6
    assert row["mean"] == pytest.approx(statistics.fmean(v for v in values if v is not None), rel=1e-12)
    # It was expected to hold 30 readings for its first part and 60 for the rest.
    held = (changed - parse_iso(minute["start"])).total_seconds() / 60
    assert row["n"] / row["valid"] == pytest.approx(30 * held + 60 * (1 - held), abs=1)


BAD_FILES: dict[str, Callable[[Document], Any]] = {
    "no HJSON": lambda document: '{ "station": {',
    "a wrong key": lambda document: document["instruments"]["ndir"].update(pol_s=1),
    "a wrong option": lambda document: document["instruments"]["ndir"].update(options={"x": 1}),
    "two errors": lambda document: document["instruments"]["ndir"].update(unit="5", poll_s=-1),
}


async def test_a_file_with_errors_leaves_all_as_it_was(station: Any) -> None:
    await station.start()
    await station.until(lambda s: s["instruments"]["ndir"]["polls"] > 2)
    good = json.dumps(station.document)
    for count, (bad, damage) in enumerate(BAD_FILES.items()):
        station.document = json.loads(good)
        station.reload(damage(station.document))
        refused = await station.refused(count + 1)
        assert refused["origin"] == "SIGHUP"
        assert refused["by"]["file"] == str(station.file)
        assert len(refused["reasons"]) == (2 if bad == "two errors" else 1), bad
        assert all(reason.startswith(f"{station.file}:1:") for reason in refused["reasons"])
    status = await station.status()
    await station.until(lambda s: s["instruments"]["ndir"]["polls"] > status["instruments"]["ndir"]["polls"] + 2)
    # The file as it was changes nothing, and says nothing.
    station.reload(good)
    station.document = json.loads(good)
    station.document["instruments"]["ndir"]["poll_s"] = 0.5
    station.reload()
    await station.until(lambda s: s["instruments"]["ndir"]["polls"] < status["instruments"]["ndir"]["polls"])
    rows = await station.finish()
    assert [row.get("changes") for row in of("config", rows)] == [None, {"instruments.ndir.poll_s": [0.2, 0.5]}]


RESTARTS: dict[str, tuple[Callable[[Document], Any], list[str]]] = {
    "a bus": (lambda d: d["buses"]["relays"].update(timeout_s=2), ["buses.relays.timeout_s"]),
    "the rule": (lambda d: d["instruments"]["ndir"].update(rule="hj-ambient"), ["instruments.ndir.rule"]),
    "another driver": (lambda d: d["instruments"]["ndir"].update(driver="cems_block"), ["instruments.ndir.driver"]),
    "another instrument": (
        lambda d: d["instruments"].update(more={**d["instruments"]["ndir"], "unit": 9}), ["instruments.more"]),
    "another name": (
        lambda d: d["instruments"].update(more=d["instruments"].pop("ndir")), ["instruments.ndir", "instruments.more"]),
    "other series": (lambda d: d["instruments"]["ndir"].update(series={}), ["instruments.ndir.series"]),
    "a cylinder": (
        lambda d: d["cylinders"]["zero"]["assigned"]["co2"].update(value=401.5), ["cylinders.zero.assigned.co2.value"]),
    "an uplink": (
        lambda d: d["uplinks"].update(up={"kind": "mqtt", "host": "c.example.org", "port": 8883}), ["uplinks.up"]),
}  # fmt: skip


def test_what_needs_a_restart_is_known_by_name(tmp_path: Path, config_for: Any) -> None:
    old = config_for(tmp_path, 502)
    plain = old.model_dump(mode="json")
    for what, (change, keys) in RESTARTS.items():
        document = json.loads(json.dumps(plain))
        change(document)
        assert needs_restart(old, Config.model_validate(document)) == keys, what
    for change in (
        {"unit": 9}, {"poll_s": 1}, {"options": {"a": 1}}, {"serial_number": "1"}, {"expected_per_minute": 9},
        {"series": {"co2": {"minimum": 1}}}, {"position": plain["station"]["position"]},
    ):  # fmt: skip
        document = json.loads(json.dumps(plain))
        document["instruments"]["ndir"] |= change
        new = Config.model_validate(document)
        assert (needs_restart(old, new), changed_instruments(old, new)) == ([], ["ndir"])


async def test_what_needs_a_restart_is_refused_as_a_whole_and_told_at_the_restart(station: Any) -> None:
    await station.start()
    await station.until(lambda s: s["instruments"]["ndir"]["polls"] > 2)
    station.document["station"]["name_en"] = "other"
    station.document["instruments"]["ndir"] |= {"poll_s": 1}
    station.reload()
    refused = await station.refused()
    assert refused["reasons"] == ["station.name_en: takes effect at a restart of the station"]
    polls = (await station.status())["instruments"]["ndir"]["polls"]
    await station.until(lambda s: s["instruments"]["ndir"]["polls"] > polls + 2)
    assert len(of("config", await station.finish())) == 1
    await station.start()
    await station.until(lambda s: s["scans"] > 2)
    config = of("config", await station.finish())[-1]
    assert config["origin"] == "start"
    assert config["changes"] == {"station.name_en": ["station", "other"], "instruments.ndir.poll_s": [0.2, 1.0]}


async def test_no_instrument_is_set_anew_during_its_calibration(
    tmp_path: Path, root: Path, config_for: Any, serve_modbus: Any
) -> None:
    peer = await serve_modbus(1, 2)
    document = config_for(tmp_path, peer.port).model_dump(mode="json", exclude_none=True)
    document["sequences"]["daily"]["recovery_s"] = 0
    document["instruments"]["ndir"]["poll_s"] = 0.2
    one = Station(tmp_path, root, document, commit_ms=5)
    await one.start()
    try:
        await one.until(lambda s: not s["calibration"]["held"])
        async for _ in ask(one.socket, {"do": "calibrate-start", "name": "daily", "who": "li"}):
            pass
        document["instruments"]["ndir"]["poll_s"] = 0.5
        one.reload()
        assert (await one.refused())["reasons"] == ["instruments.ndir: in a run; send SIGHUP again when it has ended"]
        async for _ in ask(one.socket, {"do": "calibrate-abort", "who": "li"}):
            pass
        await one.until(lambda s: not s["calibration"]["held"])
        polls = (await one.until(lambda s: s["instruments"]["ndir"]["polls"] > 3))["instruments"]["ndir"]["polls"]
        one.reload()
        await one.until(lambda s: s["instruments"]["ndir"]["polls"] < polls)
        rows = await one.finish()
    finally:
        if one.process and one.process.returncode is None:
            one.process.kill()
            await one.process.communicate()
    assert [row.get("changes") for row in of("config", rows)] == [None, {"instruments.ndir.poll_s": [0.2, 0.5]}]


async def test_a_terminal_that_closes_ends_what_was_run_in_it(station: Any) -> None:
    """The terminal's end is the same signal as a wish to read the file again."""
    master, slave = os.openpty()
    station.file.write_text(json.dumps(station.document))
    station.process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "run", str(station.file), cwd=station.root, stdin=slave,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    await station.until(lambda s: s["scans"] > 2)
    os.close(master)
    async with asyncio.timeout(20):
        _, said = await station.process.communicate()
    assert station.process.returncode == 0, said.decode()
    # What is installed is recorded beside the rest, a moment sooner or later.
    whats = [row["what"] for row in of("event", station.rows()) if row["what"] != "software"]
    assert whats == ["clock-state", "stopped"]


def test_a_large_configuration_still_fits_a_record(tmp_path: Path, config_for: Any) -> None:
    document = config_for(tmp_path, 502).model_dump(mode="json")
    block = document["instruments"]["ndir"]
    document["instruments"] = {f"ndir-{n}": {**block, "unit": n, "serial_number": "S" * 50} for n in range(1, 1000)}
    large = Config.model_validate(document)
    assert len(large.model_dump_json()) > record.BODY_BYTES_MAX == 256 * 1024
    fields = config_fields(large, 1.0, former={"instruments": {}}, origin="start", by=None)
    assert "document" not in fields
    assert 0 < len(fields["changes"]) <= 500
    assert len(fields["changes"]) + fields["changes_left_out"] > 9000
    assert len(record.encode(fields)) < record.BODY_BYTES_MAX / 2


async def test_a_line_that_speaks_unasked(tmp_path: Path, root: Path) -> None:
    """How often readings are expected changes; an address on a line shared by others waits for a restart."""
    master, slave = os.openpty()
    tty.setraw(slave)
    board = {
        "driver": "micro_board", "bus": "gateway", "kind": "research", "rule": "ghg", "expected_per_minute": 60,
        "series": {"ch4": {}},
    }  # fmt: skip
    document = {
        "station": {
            "id": "test-01", "network": "n", "name_zh": "站", "name_en": "station",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "buses": {"gateway": {"wire": {"kind": "serial", "device": os.ttyname(slave)}, "protocol": "stream"}},
        "instruments": {"b1": {**board, "unit": 1}, "b2": {**board, "unit": 2}},
    }  # fmt: skip
    one = Station(tmp_path, root, document, commit_ms=5)
    await one.start()
    try:
        await one.until(lambda s: s["buses"]["gateway"]["open"])
        document["instruments"]["b2"]["unit"] = 3  # type: ignore[index]
        one.reload()
        [reason] = (await one.refused())["reasons"]
        assert reason.startswith("instruments.b2: shares the driver of its line")
        document["instruments"]["b2"] |= {"unit": 2, "expected_per_minute": 1200}  # type: ignore[index, operator]
        one.reload()
        # Now it owes a reading each 50 ms, and its silence shows.
        await one.until(lambda s: s["listeners"]["gateway"]["missed"]["b2"] > 0)
        rows = await one.finish()
    finally:
        if one.process and one.process.returncode is None:
            one.process.kill()
            await one.process.communicate()
        os.close(master)
        os.close(slave)
    assert of("config", rows)[-1]["changes"] == {"instruments.b2.expected_per_minute": [60.0, 1200.0]}


def test_a_minute_is_judged_by_the_rates_it_had() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    spec = SeriesSpec("i.co2", "umol/mol", "hj-ambient", catalogue()["co2"].averaging, 60.0)
    averager = Averager([spec], start)

    def feed(count: int, since_s: int, to_s: int) -> None:
        for n in range(count):
            at = start + timedelta(seconds=since_s + (to_s - since_s) * n / count)
            averager.feed(Measurement(Reading("i", "co2", 400.0, "umol/mol", at), 400.0))

    feed(30, 0, 30)
    averager.expect("i.co2", 12.0, start + timedelta(seconds=30))
    feed(6, 30, 60)
    feed(12, 60, 120)
    averager.expect("i.co2", 6.0, start + timedelta(seconds=125))
    averager.expect("i.co2", 60.0, start + timedelta(seconds=150))
    first, second, third = (closed[0] for closed in averager.close(start + timedelta(minutes=3)))
    assert (first.n, first.valid_fraction, first.valid) == (36, 1.0, True)
    assert (second.n, second.valid_fraction, second.valid) == (12, 1.0, True)
    assert (third.n, third.valid) == (0, False)
    feed(59, 180, 240)
    [[fourth]] = averager.close(start + timedelta(minutes=4))
    assert fourth.valid_fraction == 59 / 60


def test_a_difference_is_told_by_key() -> None:
    old = {"a": {"b": 1, "c": [1, 2], "e": {}}, "d": None}
    new = {"a": {"b": 2, "c": [1, 3], "e": {"f": {"g": True}}}, "d": None, "h": 1}
    assert difference(old, new) == {
        "a.b": [1, 2], "a.c": [[1, 2], [1, 3]], "a.e": [{}, None], "a.e.f.g": [None, True], "h": [None, 1],
    }  # fmt: skip
    assert difference(new, new) == {}


def test_nobody_is_named_for_a_file_that_is_gone(tmp_path: Path) -> None:
    found = author(tmp_path / "none")
    assert found["file"] == str(tmp_path / "none")
    assert "owner" not in found
