"""A station that finds what an unknown cylinder is worth: real valve coils, the real log, a clock moved by hand."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agent.gas.register import Cylinders
from agent.gas.register_requests import handlers
from calibration.standards.transfer import DISAGREEMENT
from host.control import RequestError
from metrology.reading import Measurement, Reading

UNKNOWN = 4
WORTH = 512.34


def transfer(document: dict[str, Any]) -> None:
    """Three known gases and an unknown one, read twice in turn; the unknown has no certificate."""
    blank = {"number": "X1", "fill": "A", "certificate": "", "expires": None, "assigned": {}}
    document["cylinders"]["unknown"] = {**document["cylinders"]["zero"], **blank}
    for name in ("span", "target", "zero"):
        document["cylinders"][name] |= {"expires": "2040-01-01"}
    document["valves"]["gas"]["ports"]["unknown"] = {"coil": UNKNOWN}
    daily = document["sequences"]["daily"]
    one = daily["injections"][0]
    order = ("zero", "span", "unknown", "target")
    daily["injections"] = [
        {**one, "gas": gas, "port": gas, "roles": {"co2": role}}
        for gas, role in zip(order, ("zero", "span", "unknown", "span"), strict=True)
    ]
    daily |= {"loops": 2, "counts": "all"}


class Station:
    """The rig with its register, as the daemon puts them together."""

    def __init__(self, one: Any) -> None:
        self.rig, self.noise = one, iter(range(10**9))
        self.cylinders = Cylinders(one.config, one.index, one.log, one.intake, one.live, one.clock)
        self.proposals = self.cylinders.proposals
        daemon: Any = SimpleNamespace(cylinders=self.cylinders, clock=one.clock, log=one.log, index=one.index)
        self._handlers = handlers(daemon)
        plain = one.indication
        one.indication = lambda: (self._worth() + 2) / 1.01 if UNKNOWN in one.open_ports else plain() + self._wobble()

    def _wobble(self) -> float:
        return (0.01, -0.01, 0.02, -0.02)[next(self.noise) % 4]

    def _worth(self) -> float:
        return WORTH + self._wobble()

    async def ask(self, do: str, **members: Any) -> dict[str, Any]:
        async for answer in self._handlers[do](members):
            return answer
        raise AssertionError("no answer")

    async def run(self) -> str:
        run = str((await self.rig.calibrator.start("daily", "li"))["run"])
        await self.rig.until(lambda: self.rig.ready)
        return run


@pytest.fixture
async def station(rig: Any) -> Station:
    one = await rig(change=transfer, begin=False)
    one.begin()
    found = Station(one)
    await found.cylinders.begin({"owner": "root"})
    await one.until(lambda: one.ready)
    return found


async def test_a_run_proposes_and_a_person_takes_over(station: Station) -> None:
    following = asyncio.create_task(station.proposals.run())
    run = await station.run()
    await station.rig.until(lambda: station.rig.index.newest("calibration", "assignment", 1), 10)
    (told,) = await station.rig.records("assignment")
    # What it has looked through without finding anything is not read again.
    other = await station.rig.log.append("event", {"what": "something", "origin": "else"})
    await station.rig.until(lambda: station.proposals._after >= other.seq, 10)
    following.cancel()
    assert (told["run"], told["number"], told["series"]) == (run, "X1", "ndir.co2")
    value = told["proposal"]["value"]
    # Four certificates of 0.1 each: the unknown lies between them and gets less than one of them.
    assert value["value"] == pytest.approx(WORTH, abs=0.02)
    assert 0.04 < value["uncertainty"] < 0.1
    assert (value["scale"], value["unit"]) == ("WMO CO2 X2019", "umol/mol")
    points = [row for row in await station.rig.records("point") if row["role"] == "unknown"]
    assert [(row["assigned"], row["scale"]) for row in points] == [(None, None)] * 2
    assert await station.rig.records("target") == []
    assert "X1" not in str([row["gases"] for row in await station.rig.records("coefficients")])

    asked = {"runs": [run], "series": "ndir.co2"}
    answer = await station.ask("cylinder-assign", name="unknown", fill=None, assignment=asked)
    assert answer["proposal"]["value"]["value"] == value["value"]
    assert answer.keys() == {"proposal"}, "nothing is written before a person takes it over"
    (fit,) = answer["proposal"]["fits"]
    assert DISAGREEMENT not in [term["name"] for term in fit["budget"]]
    assert {term["name"] for term in fit["budget"]} >= {
        f"cylinder {number}/A, certificate C" for number in ("N402", "N604", "N452.5")
    }
    accepted = await station.ask(
        "cylinder-assign", name="unknown", fill=None, who="li", reason="transfer",
        assignment={**asked, "certificate": "own 1", "expires": "2028-01-01"},
    )  # fmt: skip
    now = accepted["cylinder"]["values"]["co2"]
    assert (now["value"], now["certificate"]) == (value["value"], "own 1")
    found = station.cylinders.register.named("unknown")
    assert found is not None
    parts = found.parts("co2", station.rig.clock.now().date())
    assert "cylinder N402/A, certificate C" in parts, "what it descends from stays named"
    (record,) = [row for row in await station.rig.records("cylinder") if row["act"] == "assigned"]
    assert (record["who"], record["proposal"]["runs"]) == ("li", [run])


async def test_a_run_that_proves_nothing_says_why(station: Station) -> None:
    run = await station.run()
    for asked, told in (
        ({"runs": [run], "series": "ndir.ch4"}, "no steady point of ndir.ch4"),
        ({"runs": ["daily-2020-01-01T00:00:00.000Z"], "series": "ndir.co2"}, "left no points"),
        ({"runs": ["yesterday"], "series": "ndir.co2"}, "a run is named by"),
    ):
        with pytest.raises((RequestError, ValueError), match=told):
            await station.ask("cylinder-assign", name="unknown", fill=None, assignment=asked)
    with pytest.raises(ValueError, match="2 known cylinders were read beside"):
        await station.ask("cylinder-assign", name="zero", fill=None, assignment={"runs": [run], "series": "ndir.co2"})


async def test_a_gauge_on_a_series_is_read_once_a_day(rig: Any) -> None:
    def gauged(document: dict[str, Any]) -> None:
        document["cylinders"]["zero"] |= {"pressure_series": "gauge.pressure", "volume_L": 10}

    one = await rig(change=gauged)
    station = Station(one)
    await station.cylinders.begin({"owner": "root"})
    looking = asyncio.create_task(station.cylinders.run())

    async def shows(value: float | None, unit: str, hours: int) -> list[float]:
        for _ in range(hours):
            at = one.clock.now()
            one.live.update(Measurement(Reading("gauge", "pressure", value, unit, at), value))
            await one.step(3600)
        zero = station.cylinders.register.named("zero")
        assert zero is not None
        return [each.bar for each in zero.pressures]

    assert await shows(9500.0, "kPa", 26) == [95.0, 95.0], "once at the start, once on the next day"
    assert await shows(None, "kPa", 11) == [95.0, 95.0]
    assert await shows(20.0, "degC", 14) == [95.0, 95.0], "a day is over, and nothing of use was said"
    assert await shows(88.0, "bar", 25) == [95.0, 95.0, 88.0, 88.0]
    looking.cancel()
    (first, *_) = [row for row in await one.records("cylinder") if row["act"] == "pressure"]
    assert (first["who"], first["row"]["pressure"]["bar"]) == ("series gauge.pressure", 95.0)
    zero = station.cylinders.register.named("zero")
    assert zero is not None
    assert zero.stock.bar_per_day == pytest.approx(3.1, rel=0.1)
