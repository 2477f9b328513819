"""Parts of reports: spans of time, points of charts, hours, the daemon's signature, the centre's store."""

import asyncio
import base64
import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reports import handlers
from calibration.reports.document import Line
from calibration.reports.electricity import Electricity
from calibration.reports.hours import Standings, State, hours
from calibration.reports.thin import thinned
from calibration.reports.words import Words
from host.control import RequestError
from host.reports.font import path
from host.reports.pdf_chart import ticks
from host.reports.shown import number
from host.reports.spans import instant
from host.reports.twin import Statement, opened
from metrology.periods import iso

START = datetime(2026, 6, 1, tzinfo=UTC)


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=4000), st.integers(10, 300))
def test_a_thinned_line_keeps_its_peaks_and_its_breaks(values: list[float | None], points: int) -> None:
    line = Line("one", tuple(float(at) for at in range(len(values))), tuple(values))
    found = thinned(line, points)
    assert len(found.x) <= max(len(values) if len(values) <= points else 0, 3 * points // 2 + 3)
    known = [one for one in values if one is not None]
    kept = [one for one in found.y if one is not None]
    assert (min(known, default=0), max(known, default=0)) == (min(kept, default=0), max(kept, default=0))
    assert (None in values) == (None in found.y)
    assert list(found.x) == sorted(set(found.x))
    assert all(values[int(x)] == y for x, y in zip(found.x, found.y, strict=True))


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-06", "2026-05-31T16:00:00.000Z", "2026-06-30T16:00:00.000Z"),
        ("2026-12", "2026-11-30T16:00:00.000Z", "2026-12-31T16:00:00.000Z"),
        ("2026-Q2", "2026-03-31T16:00:00.000Z", "2026-06-30T16:00:00.000Z"),
        ("2026", "2025-12-31T16:00:00.000Z", "2026-12-31T16:00:00.000Z"),
        ("2026-06-15", "2026-06-14T16:00:00.000Z", "2026-06-15T16:00:00.000Z"),
        ("2026-06-15 08:00", "2026-06-15T00:00:00.000Z", "2026-06-15T00:00:00.000Z"),
        ("2026-06-15T08:00:00Z", "2026-06-15T08:00:00.000Z", "2026-06-15T08:00:00.000Z"),
    ],
)
def test_a_span_is_written_in_the_stations_own_days(text: str, begin: str, end: str) -> None:
    assert (iso(instant(text, 8.0)), iso(instant(text, 8.0, end=True))) == (begin, end)


@given(st.floats(-1e6, 1e6), st.floats(1e-2, 1e9))
def test_ticks_are_few_and_within(low: float, width: float) -> None:
    found = list(ticks(low, low + width))
    assert len(found) <= 6
    assert all(low - width * 1e-6 <= one <= low + width * (1 + 1e-6) for one in found)


def test_numbers_are_written_plainly() -> None:
    shown = [
        number(0.0),
        number(-0.0001, 2),
        number(1234567.0),
        number(0.00012345678),
        number(80.2),
        number(-3.14159, 1),
    ]
    assert shown == ["0", "0.00", "1234567", "0.00012346", "80.2", "-3.1"]


def average(hour: int, revision: int, **rows: Any) -> dict[str, Any]:
    at = iso(START + timedelta(hours=hour))
    made = {series: {"u": "%", "mean": value, "rev": revision} for series, value in rows.items()}
    return {"start": at, "epoch": 1, "seq": 10 * hour + revision, "rows": made}


def test_hours_count_gaps_and_take_the_last_revision() -> None:
    def records() -> Iterator[dict[str, Any]]:
        yield average(1, 0, a=1.0, b=2.0)
        yield average(1, 1, a=9.0)
        yield average(3, 0, b=4.0)

    found = list(hours(records(), START, START + timedelta(hours=5), Standings([]), lambda _: True))
    shown = [(one.start.hour, one.series, one.state, one.row and one.row["mean"]) for one in found]
    absent, valid = State.ABSENT, State.VALID
    assert shown == [
        (0, "a", absent, None), (0, "b", absent, None), (1, "a", valid, 9.0), (1, "b", valid, 2.0),
        (2, "a", absent, None), (2, "b", absent, None), (3, "b", valid, 4.0), (4, "b", absent, None),
    ]  # fmt: skip
    assert found[2].record == (1, 11)


def test_of_a_regulated_instrument_what_was_first_reported_counts() -> None:
    rows = [average(0, 0, **{"cems.so2": 1.0, "air.co2": 2.0}), average(0, 1, **{"cems.so2": 9.0, "air.co2": 8.0})]
    found = hours(rows, START, START + timedelta(hours=1), Standings([]), lambda _: True, frozenset({"cems"}))
    assert {one.series: one.row and one.row["mean"] for one in found} == {"cems.so2": 1.0, "air.co2": 8.0}


async def test_the_daemon_signs_what_it_puts_on_record(made_station: ModuleType, tmp_path: Path) -> None:
    station = made_station.MadeStation(tmp_path, START, 1)
    task = asyncio.create_task(station.log.run())
    daemon: Any = SimpleNamespace(log=station.log, signer=made_station.signer(), config=station.config)
    sign = handlers(daemon, lambda request, name: str(request[name]))["report-sign"]
    twin = base64.b64encode(bytes(32)).decode()
    request = {
        "kind": "drift", "who": "Li Na", "since": "2026-06-01T00:00:00.000Z", "until": "2026-07-01T00:00:00.000Z",
        "twin": twin, "page": None,
    }  # fmt: skip
    (answer,) = [one async for one in sign(request)]
    stated, signers = opened(answer["note"], [made_station.signer().vkey])
    assert stated == Statement("stack-01", "drift", request["since"] or "", request["until"] or "", twin)
    assert signers == ("plumeline/stack-01",)
    (event,) = await station.log.read(-1, kinds=frozenset({"event"}), limit=10)
    assert [event.epoch, event.seq] == answer["record"]
    assert (event.fields["what"], event.fields["origin"], event.fields["sha256"]) == ("report-made", "Li Na", twin)
    for wrong in ({"kind": "gossip"}, {"twin": "AAAA"}, {"page": "not base64"}):
        with pytest.raises(RequestError):
            [one async for one in sign({**request, **wrong})]
    assert station.log.next_seq == 1
    task.cancel()
    await asyncio.wait([task])
    station.index.close()


def test_the_font_has_every_sign_of_the_reports(root: Path) -> None:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    with TTFont(path()) as font:
        known = {chr(code) for code in font.getBestCmap()}
    texts = [(root / name).read_text(encoding="utf-8") for name in SIGNS]
    assert set("".join(texts)) - known - {"\n"} == set()


SIGNS = (
    "calibration/reports/words.toml", "calibration/reports/sources.csv", "calibration/qa/rules.csv",
    "calibration/qa/performance/limits.csv", "metrology/measurands.csv", "metrology/stack/validity.csv",
    "metrology/stack/gwp.csv",
)  # fmt: skip


def test_every_source_of_a_limit_is_told_in_both_languages(root: Path) -> None:
    known = Words("zh")
    tables = [name for name in SIGNS if name.endswith(".csv") and not name.endswith(("measurands.csv", "sources.csv"))]
    sources = {
        row["source"] for name in tables for row in csv.DictReader((root / name).read_text("utf-8").splitlines())
    }
    assert len(sources) > 50
    assert [one for one in sorted(sources) if known.source(one) == one] == []
    assert known.source("configuration: contract 7") == "configuration: contract 7"


def test_a_meter_of_the_station_gives_its_hours() -> None:
    def average(hour: int, **rows: dict[str, Any]) -> dict[str, Any]:
        named = {name.replace("__", "."): row for name, row in rows.items()}
        return {"start": iso(START + timedelta(hours=hour)), "rows": named}

    def counter(low: float, high: float) -> dict[str, Any]:
        return {"u": "kWh", "mean": (low + high) / 2, "min": low, "max": high}

    power = Electricity({"two": {START: 7.0}}, {"": "meter.active_energy", "two": "meter.active_power"})
    passed = list(
        power.tapped(
            [
                average(0, meter__active_energy=counter(100, 149), meter__active_power={"u": "W", "mean": 2000.0}),
                average(1, meter__active_energy=counter(150, 190), other__co2={"u": "%", "mean": 1.0}),
                average(2, meter__active_energy={"u": "kWh", "mean": None, "min": None, "max": None}),
                average(3, meter__active_energy=counter(5, 9)),
            ]
        )
    )
    assert len(passed) == 4
    hours = [START + timedelta(hours=at) for at in range(4)]
    assert power.of("one", ["one"]) == {hours[0]: 50, hours[1]: 40, hours[3]: 4}, "a counter may begin anew"
    assert power.of("one", ["one", "two"]) == {}, "whose meter it is must be said where there are two"
    assert power.of("two", ["one", "two"]) == {hours[0]: 7.0}, "a file stands before the meter"
