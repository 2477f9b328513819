"""The standards register of a running station: declared, changed by persons, kept over restarts, used by runs."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config
from agent.daemon import Daemon
from host.clock import RealClock
from host.control import RequestError, ask
from metrology.quality import Cause

TODAY = datetime.now(UTC).date()


def gas(value: float, number: str, **more: Any) -> dict[str, Any]:
    assigned = {"co2": {"value": value, "unit": "umol/mol", "uncertainty": 0.1, "scale": "WMO CO2 X2019"}}
    return {"number": number, "certificate": f"C-{number}", "expires": "2060-01-01", "assigned": assigned, **more}


def station(folder: Path, port: int, **cylinders: Any) -> Config:
    key = folder / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    ports = {name: {"coil": coil} for coil, name in enumerate(("sample", *cylinders))}
    return Config.model_validate({
        "station": {
            "id": "gas-01", "network": "n", "name_zh": "气站", "name_en": "Gas",
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        },
        "store": {"path": str(folder / "store"), "commit_ms": 0},
        "ledger": {"key": {"file": str(key)}},
        "buses": {"plc": {"wire": {"kind": "tcp", "host": "127.0.0.1", "port": port}, "protocol": "modbus-tcp"}},
        "instruments": {
            "ndir": {
                "driver": "senseair_s8", "bus": "plc", "unit": 1, "poll_s": 0.2, "kind": "research", "rule": "ghg",
                "series": {"co2": {"minimum": 0, "maximum": 1000}},
            },
        },
        "valves": {
            "gas": {"bus": "plc", "unit": 2, "sample": "sample", "on_power_loss": "sample", "ports": ports},
        },
        "cylinders": cylinders,
        "sequences": {
            "quick": {
                "valve": "gas", "instrument": "ndir", "recovery_s": 0,
                "injections": [
                    {"gas": name, "port": name, "roles": {"co2": "target"}, "flush_s": 0, "average_s": 1}
                    for name in cylinders
                ],
            }
        },
        "socket": str(folder / "agent.sock"),
    })  # fmt: skip


class Running:
    """A daemon that runs, and what it is asked."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def ask(self, do: str, **members: Any) -> dict[str, Any]:
        async for answer in ask(self.daemon.config.socket, {"do": do, **members}):
            return answer
        raise AssertionError("no answer")

    async def act(self, act: str, name: str, **members: Any) -> dict[str, Any]:
        return (await self.ask(f"cylinder-{act}", name=name, who="li", reason="because", **members))["cylinder"]

    async def records(self, kind: str, *whats: str) -> list[dict[str, Any]]:
        found = []
        after = -1
        while rows := await self.daemon.log.read(after, kinds=frozenset({kind}), limit=500):
            after = rows[-1].seq
            found += [row.fields for row in rows]
        return [row for row in found if not whats or row.get("what") in whats]

    async def run(self) -> list[dict[str, Any]]:
        """A run of the sequence; its points."""
        run = (await self.ask("calibrate-start", name="quick", who="li"))["run"]
        async with asyncio.timeout(20):
            while not [row for row in await self.records("calibration", "run-finished") if row["run"] == run]:
                await asyncio.sleep(0.02)
        return [row for row in await self.records("calibration", "point") if row["run"] == run]

    async def causes(self, wanted: set[Cause]) -> None:
        """Wait until the analyzer's latest reading has these causes."""
        async with asyncio.timeout(5):
            while self.daemon.live.latest["ndir.co2"].reading.quality.causes != wanted:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    daemon = Daemon(config, RealClock(), Path("station.hjson"))
    task = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(20):
            while not ("ndir.co2" in daemon.live.latest and Path(config.socket).exists()
                       and not daemon.calibrator.status()["held"]):  # fmt: skip
                await asyncio.sleep(0.02)
                assert not task.done(), task.result()
        yield Running(daemon)
    finally:
        daemon.stop()
        await task


Here = Callable[..., Config]


@pytest.fixture
async def here(tmp_path: Path, serve_modbus: Any) -> Here:
    """`here(**cylinders)`: the configuration of the one station of a test."""
    peer = await serve_modbus(1, 2)
    return lambda **cylinders: station(tmp_path, peer.port, **cylinders)


def certificate(number: str, value: float, **more: Any) -> dict[str, Any]:
    return {"number": number, "assigned": {"co2": {"value": value, "uncertainty": 0.05}}, **more}


async def test_what_is_declared_is_registered_once_and_a_run_takes_what_a_person_wrote_later(here: Here) -> None:
    config = here(span=gas(600, "CB1", certified="2025-01-01", supplier="NIM", volume_L=8))
    async with running(config) as one:
        (row,) = (await one.ask("cylinders"))["cylinders"]
        assert (row["name"], row["number"], row["fill"], row["supplier"]) == ("span", "CB1", "A", "NIM")
        assert row["in_use"]
        assert row["roles"] == {"co2": "target"}, "as the sequence uses it"
        (point,) = await one.run()
        assert (point["assigned"], point["number"], point["fill"], point["certificate"]) == (600, "CB1", "A", "C-CB1")
        new = certificate("C2", 601.5, certified=TODAY.isoformat(), expires="2061-01-01")
        told = await one.act("revalue", "span", certificate=new)
        assert told["values"]["co2"]["value"] == 601.5
        assert told["values"]["co2"]["scale"] == "WMO CO2 X2019", "what was not said anew stays"
        assert [each["act"] for each in told["history"]] == ["declared", "revalued"]
        assert told["history"][1]["who"] == "li"
    # The configuration did not change: a restart keeps what the person wrote, and registers nothing.
    async with running(config) as one:
        records = await one.records("calibration", "cylinder")
        assert [row["act"] for row in records] == ["declared", "revalued"]
        assert records[0]["row"]["certificate"]["assigned"]["co2"]["value"] == 600
        (point,) = await one.run()
        assert (point["assigned"], point["uncertainty"], point["certificate"]) == (601.5, 0.05, "C2")
        (started, *_) = (await one.records("calibration", "run-started"))[-1]["gases"]
        assert (started["number"], started["certificate"], started["expired"]) == ("CB1", "C2", False)


async def test_a_changed_declaration_wins_in_what_it_changed(here: Here) -> None:
    async with running(here(span=gas(600, "CB1"))) as one:
        await one.act("revalue", "span", certificate=certificate("C2", 601.5))
        await one.act("pressure", "span", pressure={"value": 9.5, "unit": "MPa"})
    async with running(here(span=gas(600, "CB1", low_bar=30))) as one:
        (row,) = (await one.ask("cylinders"))["cylinders"]
        assert (row["low_bar"], row["values"]["co2"]["value"], row["pressure"]["bar"]) == (30, 601.5, 95)
    async with running(here(span=gas(603, "CB1", low_bar=30))) as one:
        assert (await one.run())[0]["assigned"] == 603
    # Another cylinder in the same place begins without the past of the former.
    async with running(here(span=gas(610, "CB2"))) as one:
        assert (await one.run())[0]["number"] == "CB2"
        rows = {row["number"]: row for row in (await one.ask("cylinders"))["cylinders"]}
        assert [rows[number]["in_use"] for number in ("CB1", "CB2")] == [False, True]
        assert rows["CB2"]["pressure"] is None
        told = (await one.ask("cylinder", name="CB1"))["cylinder"]
        assert [each["number"] for each in told["certificates"] + told["superseded"]].count("C-CB1") == 2


async def test_a_cylinder_a_person_put_in_the_place_stays_there(here: Here) -> None:
    value = {"value": 700, "uncertainty": 0.1, "unit": "umol/mol", "scale": "WMO CO2 X2019"}
    paper = {"number": "C7", "expires": "2050-01-01", "assigned": {"co2": value}}
    new = {"name": "span", "number": "CB7", "certificate": paper}
    async with running(here(span=gas(600, "CB1"))) as one:
        await one.ask("cylinder-add", cylinder=new, who="li", reason="the old one is empty")
        assert (await one.run())[0]["number"] == "CB7"
        with pytest.raises(RequestError, match="give the refill another fill"):
            await one.ask("cylinder-add", cylinder=new, who="li", reason="again")
        refill = {**new, "fill": "B"}
        assert (await one.ask("cylinder-add", cylinder=refill, who="li", reason="r"))["cylinder"]["fill"] == "B"
        await one.act("install", "CB7", fill="A")
    async with running(here(span=gas(600, "CB1", warn_days=10))) as one:
        point = (await one.run())[0]
        assert (point["number"], point["fill"], point["assigned"]) == ("CB7", "A", 700)


async def test_an_expired_cylinder_never_stops_a_run_and_marks_what_it_calibrates(here: Here) -> None:
    yesterday, tomorrow = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
    config = here(span=gas(600, "CB1", expires=yesterday.isoformat()))
    async with running(config) as one:
        (warning,) = await one.records("event", "cylinder-warning")
        assert (warning["name"], warning["number"]) == ("span", "CB1")
        assert (warning["warning"], warning["days"]) == ("expired", -1)
        (point,) = await one.run()
        assert "expired" in point["cautions"]
        await one.causes({Cause.MARK})
        quality = one.daemon.live.latest["ndir.co2"].reading.quality
        assert quality.valid
        assert {mark.origin for mark in quality.marks} == {"standard gas CB1/A: expired"}
    async with running(config) as one:
        assert len(await one.records("event", "cylinder-warning")) == 1, "said once, not at every start"
        renewed = certificate("C2", 600.2, expires=tomorrow.isoformat())
        told = await one.act("revalue", "span", certificate=renewed)
        assert [each["kind"] for each in told["cautions"]] == ["expires"]
        assert [row["warning"] for row in await one.records("event", "cylinder-warning-over")] == ["expired"]
        assert [row["warning"] for row in await one.records("event", "cylinder-warning")] == ["expired", "expires"]
        await one.causes(set())


async def test_low_pressure_absence_and_mixed_scales_are_said(here: Here) -> None:
    config = here(a=gas(400, "N1", volume_L=10), b=gas(500, "N2"), c=gas(600, "N3"))
    async with running(config) as one:
        await one.act("pressure", "a", pressure={"value": 19.5})
        await one.act("remove", "b")
        other = certificate("X", 601.0)
        other["assigned"]["co2"]["scale"] = "WMO CO2 X2007"
        await one.act("revalue", "c", certificate=other)
        warnings = {row["warning"]: row for row in await one.records("event", "cylinder-warning")}
        assert warnings.keys() == {"low", "absent", "scale"}
        assert (warnings["low"]["bar"], warnings["low"]["limit_bar"]) == (19.5, 20)
        assert warnings["scale"]["sequence"] == "quick"
        assert len(await one.run()) == 3, "nothing of it refuses a run"
        told = await one.act("pressure", "a", pressure={"value": 150})
        assert told["stock"]["litres"] == pytest.approx(1480.4, abs=0.1)
        await one.act("install", "b")
        over = {row["warning"] for row in await one.records("event", "cylinder-warning-over")}
        assert over == {"low", "absent"}


async def test_who_and_why_are_needed_and_nonsense_is_refused(here: Here) -> None:
    async with running(here(span=gas(600, "CB1"))) as one:
        for members, told in (
            ({"who": "li"}, "reason"), ({"reason": "r"}, "who"),
            ({"who": "li", "reason": "r", "pressure": {"value": -1}}, ">= 0"),
            ({"who": "li", "reason": "r", "pressure": {"value": 1, "unit": "degC"}}, "no unit of pressure"),
        ):  # fmt: skip
            with pytest.raises(RequestError, match=told):
                await one.ask("cylinder-pressure", name="span", **{"pressure": {"value": 1}, **members})
        with pytest.raises(RequestError, match=r"name: There is no cylinder nitrogen; known: span \(CB1\)"):
            await one.act("retire", "nitrogen")
        bad = certificate("X", 1.0)
        bad["assigned"]["co2"]["scale"] = "whatever"
        with pytest.raises(RequestError, match="scale"):
            await one.act("revalue", "span", certificate=bad)
        assert len(await one.records("calibration", "cylinder")) == 1
