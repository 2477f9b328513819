"""The whole way: asked for on the command line, done by a running daemon, shown by the centre."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.daemon import Daemon
from host.clock import RealClock
from metrology.periods import DAY_S, HOUR_S, iso, period_start

SERIES = "ndir.co2"


@pytest.fixture
async def running(past: Any, tmp_path: Path) -> Any:
    """A daemon over the files of a station that measured for two hours until a moment ago."""
    begin = period_start(datetime.now(UTC), HOUR_S) - timedelta(hours=2)
    one = await past(begin=begin)
    await one.calibrate("a", 2.0, 1.01)
    await one.run(100)
    await one.calibrate("b", 4.0, 1.01)
    await one.run(21)
    await one.stop()
    (tmp_path / "key").chmod(0o600)
    daemon = Daemon(one.config, RealClock(), tmp_path / "station.hjson")
    task = asyncio.create_task(daemon.run())
    while not Path(one.config.socket).exists():
        assert not task.done(), task.result()
        await asyncio.sleep(0.01)
    yield daemon, begin
    daemon.stop()
    await task


async def test_the_daemon_makes_an_interval_again(running: Any, capsys: pytest.CaptureFixture[str]) -> None:
    daemon, begin = running
    end = begin + timedelta(hours=2)
    line = ["recompute", "--series", SERIES, "--from", iso(begin), "--to", iso(end), "--interpolate", "linear",
            "--who", "Li Na", "--reason", "two calibrations", "--socket", daemon.config.socket]  # fmt: skip
    # Whenever the test runs: a day of the station may have ended within these hours.
    days = int(period_start(end, DAY_S, 8 * HOUR_S) > period_start(begin, DAY_S, 8 * HOUR_S))
    assert await asyncio.to_thread(main, ["--lang", "en", *line, "--dry-run"]) == 0
    assert f"would give new revisions of 120 minutes, 2 hours, {days} days" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["--lang", "zh", *line]) == 0
    assert f"120 个分钟、2 个小时、{days} 个日" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["--lang", "en", *line]) == 0
    assert "done before" in capsys.readouterr().out
    trace = ["trace", SERIES, iso(begin), "--socket", daemon.config.socket, "--json"]
    assert await asyncio.to_thread(main, trace) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["row"]["rev"], told["recompute"]["reason"], told["agrees"]) == (1, "two calibrations", True)
    assert await asyncio.to_thread(main, [*line[:2], "ndir.none", *line[3:]]) == 1
    assert "no series" in capsys.readouterr().err
