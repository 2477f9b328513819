"""Drivers by name: what is offered, what is said where a name is wrong, third parties' entry points."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivers import tables
from drivers.base import Ask, BadAnswer, DriverError, Text
from drivers.register_table import RegisterMap
from drivers.registry import describe, driver, driver_names, stream_driver
from metrology.measurand import catalogue


@pytest.mark.parametrize("name", driver_names())
def test_every_driver_declares_itself_and_has_a_page(name: str, root: Path) -> None:
    info = describe(name)
    assert info.name == name
    assert info.title
    assert info.manual
    assert {measurand: catalogue()[measurand].unit for measurand in info.measurands} == dict(info.measurands)
    page = (root / "docs" / "drivers" / f"{name}.md").read_text(encoding="utf-8")
    for word in [*info.measurands, *info.options]:
        assert f"`{word}`" in page, f"the page of {name} does not name {word}"
    index = (root / "docs" / "drivers" / "README.md").read_text(encoding="utf-8")
    assert f"| [`{name}`]({name}.md) | {info.title} |" in index


@pytest.mark.parametrize(
    ("name", "words"),
    [("picaro", "did you mean 'picarro'"), ("../maps/senseair_s8", "senseair_s8"), ("zz", "known are")],
)
def test_unknown_names(name: str, words: str) -> None:
    with pytest.raises(DriverError, match=words):
        describe(name)


def test_options_are_checked_before_a_driver_is_made() -> None:
    with pytest.raises(DriverError, match="needs the option columns"):
        driver("picarro", instrument="i", unit=None, options={"clock": "UTC"})
    with pytest.raises(DriverError, match="unknown option of driver senseair_s8 'x': known are none"):
        driver("senseair_s8", instrument="i", unit=1, options={"x": 1})


def test_polled_and_streaming_drivers_are_not_confused() -> None:
    with pytest.raises(DriverError, match="leave poll_s out"):
        driver("micro_board", instrument="i", unit=1, options={})
    with pytest.raises(DriverError, match="give poll_s"):
        stream_driver("senseair_s8", {1: "i"}, {})


@pytest.mark.parametrize("unit", [-1, 10])
def test_an_address_that_the_transmitter_cannot_have(unit: int) -> None:
    with pytest.raises(DriverError, match="write 0 to 9"):
        driver("vaisala_wxt5xx", instrument="i", unit=unit, options={})


def test_the_address_stands_in_question_and_answer() -> None:
    poll = driver("vaisala_wxt5xx", instrument="i", unit=3, options={}).poll()
    step = next(poll)
    assert isinstance(step, Ask)
    assert step.data == b"3R0\r\n"
    with pytest.raises(BadAnswer, match="3R0"):
        poll.send(Text(b"0R0,Dm=057D,Sm=2.8M\r\n", datetime(2026, 1, 2, tzinfo=UTC)))


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution with two entry points, one of them not what it should be."""
    (tmp_path / "their_driver.py").write_text(
        "from drivers.base import DriverInfo, PolledEntry\n"
        "INFO = DriverInfo('theirs', 'Their X1', 'polled', 'text', {'co2': 'umol/mol'}, 'their manual', 'src')\n"
        "ENTRY = PolledEntry(INFO, lambda instrument, unit, options: (instrument, unit))\n"
        "OTHER = 1\n"
    )
    dist = tmp_path / "their_driver-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: their-driver\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(
        "[plumeline.drivers]\ntheirs = their_driver:ENTRY\nbroken = their_driver:OTHER\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_driver", raising=False)


@pytest.mark.usefixtures("third_party")
def test_third_parties_add_drivers_by_entry_points() -> None:
    assert "theirs" in driver_names()
    assert describe("theirs").title == "Their X1"
    assert driver("theirs", instrument="i", unit=5, options={}) == ("i", 5)
    with pytest.raises(DriverError, match="neither a PolledEntry nor a StreamEntry"):
        describe("broken")


def blocks(page: str, language: str) -> list[str]:
    return [part.split("```")[0] for part in page.split(f"```{language}\n")[1:]]


def test_the_examples_of_the_guide_work(root: Path) -> None:
    page = (root / "docs" / "add-a-driver.md").read_text(encoding="utf-8")
    table = tables.parse(blocks(page, "")[0], RegisterMap)
    assert [one.measurand for one in table.registers] == ["co2", "air_temperature"]
    names: dict[str, Any] = {}
    exec(blocks(page, "python")[0], names)
    poll = names["ENTRY"].make("i", None, {}).poll()
    assert next(poll) == Ask(b"CO2?\r", (b"\r\n",))
    with pytest.raises(StopIteration) as stop:
        poll.send(Text(b"CO2=  452 ppm\r\n", datetime(2026, 1, 2, tzinfo=UTC)))
    (scan,) = stop.value.value
    assert [reading.value for reading in scan.readings] == [452.0]
