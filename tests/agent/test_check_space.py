"""Five years reckoned from the rates, beside quota and disk; what may be removed sooner."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from peers.stations import StationProcess, bare

from agent.checks import space
from agent.checks.check import check_file
from drivers.registry import entry
from metrology.declaration import DriverInfo

NOW = datetime(2026, 6, 15, tzinfo=UTC)


@pytest.mark.parametrize(("values", "measured"), [(20, 17.7), (5, 35.8)])
def test_a_reading_is_reckoned_as_large_as_the_bench_measures(values: int, measured: float) -> None:
    """docs/reliability.md, by tools/bench storage."""
    measurands = {f"m{number}": "umol/mol" for number in range(values)}
    info = DriverInfo("d", "d", "polled", "text", measurands, "m", "e")
    need = space._a_year("analyzer0", info, info, 60, 402.137)
    reading = (need.raw + need.averages) / (60 * values * space.YEAR_S / 60)
    assert reading == pytest.approx(measured, rel=0.05)


class Station:
    """A weather transmitter each second, and what of the file is changed."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.made = StationProcess(folder, root, bare())
        self.document = self.made.document
        self.document["buses"]["line"] = {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": 1}, "protocol": "text"}
        self.document["instruments"]["weather"] = {
            "driver": "vaisala_wxt5xx", "bus": "line", "unit": 0, "poll_s": 1, "kind": "research", "rule": "ghg",
        }  # fmt: skip

    def problems(self, **store: Any) -> dict[str, str]:
        self.document["store"] |= store
        self.made.file.write_text(json.dumps(self.document))
        found = check_file(self.made.file, now=NOW).problems
        return {one.code: f"{one.severity}: {one.what}" for one in found}


@pytest.fixture
def station(tmp_path: Path, root: Path) -> Station:
    return Station(tmp_path, root)


def test_the_quota_that_is_asked_for_is_enough_and_scales_with_the_rate(station: Station) -> None:
    info = entry("vaisala_wxt5xx").info
    a_year = space._a_year("weather", info, info, 60, space.READ)
    enough = 5 * (a_year.raw + a_year.averages) / 1e9
    assert station.problems(quota_GB=enough * 1.01) == {}
    told = station.problems(quota_GB=enough / 2)["quota-short"]
    assert f"about {enough:.0f} GB" in told
    assert "2.5 years" in told
    station.document["instruments"]["weather"]["poll_s"] = 10
    assert station.problems() == {}
    assert 5 * a_year.averages / 1e9 < enough / 5


def test_a_disk_without_the_room_is_told_where_the_store_is(station: Station, tmp_path: Path) -> None:
    station.document["instruments"]["weather"]["poll_s"] = 0.001
    assert set(station.problems(quota_GB=10_000_000)) == set()
    (tmp_path / "store").mkdir()
    assert set(station.problems()) == {"disk-short"}


def test_less_than_five_years_needs_a_second_copy_that_can_be_had(station: Station) -> None:
    assert station.problems(keep_raw_years=2)["keep-short"].startswith("error")
    assert station.problems(second_copy=["medium"]) == {}
    assert station.problems(second_copy=["centre"])["second-copy-centre"].startswith("error")
    assert station.problems(keep_raw_years=5, second_copy=[]) == {}


def test_steps_come_in_their_order_and_the_ballast_is_small(station: Station) -> None:
    assert station.problems(space={"warning_percent": 5, "alarm_percent": 10})["space-order"].startswith("error")
    found = station.problems(space={"ballast_MB": 500}, quota_GB=1)
    assert found["ballast-large"].startswith("error")
