"""Out of control at a running station: real valve coils, the real log, a clock moved by hand."""

import asyncio
import base64
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.qa.control import told
from calibration.qa.control import out_of_control
from host.control import RequestError, ask
from metrology.quality import Cause, letter

# The rig's analyzer reads 404 on the zero gas of 402 and 600 on a span gas of 604, of a full scale of 1000.
GAIN = 1.01


def hj75(document: dict[str, Any]) -> None:
    document["sequences"]["check"] = {**document["sequences"]["daily"], "check_only": True}


class Analyzer:
    """What the rig's instrument indicates of the gas it gets; `off` shifts it."""

    def __init__(self, one: Any) -> None:
        self.off, self._of = 0.0, one.indication
        one.indication = lambda: self._of() + self.off


async def run(one: Any, name: str = "daily") -> dict[str, Any]:
    answer = await one.calibrator.start(name, "li")
    await one.until(lambda: one.ready)
    for _ in range(2):
        await one.step()
    return answer


async def now(one: Any) -> frozenset[Cause]:
    await one.step()
    return (await one.causes())[-1]


async def test_a_regulated_series_is_invalid_from_the_failed_check_to_the_good_one(rig) -> None:
    one = await rig(kind="regulated", change=hj75)
    analyzer = Analyzer(one)
    await run(one)
    assert await now(one) == frozenset()
    analyzer.off = 60.0
    failed = await run(one)
    assert await now(one) == {Cause.OUT_OF_CONTROL}
    assert letter(await now(one)) == "D"
    assert not one.live.latest["ndir.co2"].reading.quality.valid
    (event,) = await one.records("out-of-control")
    assert (event["series"], event["role"], event["reason"]) == ("ndir.co2", "zero", "limit")
    assert event["origin"] == f"run:{failed['run']}"
    assert event["rules"]["verified"] is False
    assert event["drift_percent"] == pytest.approx(5.8)
    good, bad = await one.records("run-finished")
    assert event["suspect_from"] == good["t"]
    status = one.calibrator.status()["out_of_control"]
    assert status["ndir.co2"]["end"] is None

    analyzer.off = 30.0
    await run(one)
    assert await now(one) == {Cause.OUT_OF_CONTROL}, "the zero gas passes at 2.8 % no more than at 6 %"
    analyzer.off = 0.0
    restored = await run(one, "check")
    assert await now(one) == frozenset()
    assert one.calibrator.status()["out_of_control"] == {}
    (back,) = await one.records("in-control")
    assert (back["series"], back["since"]) == ("ndir.co2", event["since"])
    end = [row for row in await one.records("run-finished") if row["run"] == restored["run"]]
    assert back["record"] == [end[0]["epoch"], end[0]["seq"]]
    # Between the failed and the good check every reading was marked, by the run or by what it found.
    scans = [row for row in await one.records() if row["kind"] == "scan"]
    after = [row for row in scans if bad["t"] < row["t"] < back["until"]]
    assert len(after) > 100
    assert [row["t"] for row in after if not row["values"]["co2"].get("q")] == []
    (interval,) = out_of_control(told(one.index))
    assert (interval.suspect_from is not None, interval.end is not None) == (True, True)


async def test_a_restart_finds_the_state_in_the_log_and_says_once_what_was_left_unsaid(rig) -> None:
    one = await rig(kind="regulated")
    analyzer = Analyzer(one)
    analyzer.off = 60.0
    await run(one)
    await one.end()
    again = await rig(kind="regulated", again=one)
    assert await now(again) == {Cause.OUT_OF_CONTROL}
    assert again.calibrator.status()["out_of_control"].keys() == {"ndir.co2"}
    assert len(await again.records("out-of-control")) == 1
    # A power cut between the check and its event: the event comes with the next start, and only with that.
    (drift, *_) = await again.records("drift")
    finished = (await again.records("run-finished"))[0]
    far = {**drift, "run": "r2", "role": "span", "reading": drift["assigned"] + 150}
    far["corrected"] = far["reading"]
    await again.log.append("calibration", far)
    await again.log.append("calibration", {**finished, "run": "r2"})
    await again.end()
    for _ in range(2):
        third = await rig(kind="regulated", again=again)
        events = await third.records("out-of-control")
        assert [row["role"] for row in events] == ["zero", "span"]
        again = third
        await third.end()


async def test_a_research_series_that_adopts_coefficients_is_in_control_at_once(rig) -> None:
    def narrow(document: dict[str, Any]) -> None:
        limits = [{"role": "zero", "pass_percent": 1.0, "out_percent": 3.0, "source": "own"}]
        document["instruments"]["ndir"]["qa"] = {"rules": "wmo", "limits": limits}

    one = await rig(change=narrow)
    analyzer = Analyzer(one)
    await run(one)
    analyzer.off = 40.0
    await run(one)
    assert Cause.OUT_OF_CONTROL not in await now(one)
    (lost,) = await one.records("out-of-control")
    (back,) = await one.records("in-control")
    assert (lost["role"], lost["rules"]["source"]) == ("zero", "configuration: own")
    assert back["since"] == lost["since"]
    assert lost["suspect_from"] < lost["since"]
    drifts = await one.records("drift")
    # Judged is what the station reported, not the indication.
    assert drifts[2]["reading"] == pytest.approx(440.0)
    assert drifts[2]["corrected"] == pytest.approx(402 + 40 * GAIN)


async def test_limits_of_the_site_come_before_those_of_the_rule_set(rig) -> None:
    def strict(document: dict[str, Any]) -> None:
        limit = {"role": "zero", "pass_percent": 0.1, "out_absolute": 1.5, "source": "filing 2026/7", "verified": True}
        document["instruments"]["ndir"]["qa"] = {"limits": [limit]}

    one = await rig(kind="regulated", change=strict)
    await run(one)
    assert await now(one) == {Cause.OUT_OF_CONTROL}
    (event,) = await one.records("out-of-control")
    assert event["rules"]["source"] == "configuration: filing 2026/7"
    assert event["rules"]["verified"] is True


async def test_a_failed_check_is_an_event_and_marks_nothing(rig) -> None:
    one = await rig(kind="regulated")
    analyzer = Analyzer(one)
    analyzer.off = 30.0
    run_id = (await run(one))["run"]
    assert await now(one) == frozenset()
    events = await one.records("check-failed")
    assert [(row["role"], row["verdict"]) for row in events] == [
        (role, "adjust") for role in ("zero", "span", "target")
    ]
    assert {row["origin"] for row in events} == {f"run:{run_id}"}
    assert await one.records("out-of-control") == []


async def test_coefficients_that_are_refused_leave_a_research_series_out_of_control(rig) -> None:
    one = await rig()
    analyzer = Analyzer(one)
    analyzer.off = 55.0
    await run(one)
    assert one.intake.coefficients == {}
    assert await now(one) == {Cause.OUT_OF_CONTROL}


class Process:
    """The daemon as a process, its world 300 times as fast; the analyzer's register holds 3, whatever gas it gets."""

    def __init__(self, folder: Path, root: Path, document: dict[str, Any]) -> None:
        key = folder / "key"
        key.write_bytes(base64.b64encode(bytes(range(32))))
        key.chmod(0o600)
        self.folder, self.root, self.document, self.world = folder, root, document, 1772438400.0
        self.socket = document["socket"] = str(folder / "agent.sock")
        document["store"] = {"path": str(folder / "store"), "commit_ms": 5, "quota_GB": 1000}
        document["station"]["simulated"] = True

    async def start(self) -> None:
        file = self.folder / "station.hjson"
        file.write_text(json.dumps(self.document))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "run", str(file), "--clock", f"{time.time()},{self.world},300",
            cwd=self.root, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def asked(self, what: str, **members: Any) -> dict[str, Any]:
        async for answer in ask(self.socket, {"do": what, **members}):
            return answer
        raise AssertionError("no answer")

    async def until(self, condition: Any) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(RequestError):
                    if condition(status := await self.asked("status")):
                        return status
                assert self.process.returncode is None, await self.process.communicate()
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        self.process.terminate()
        async with asyncio.timeout(20):
            _, said = await self.process.communicate()
        assert self.process.returncode == 0, said
        self.world += 86400

    async def command(self, *words: str) -> str:
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "--lang", "en", *words, "--socket", self.socket, cwd=self.root,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return (await made.communicate())[0].decode()


def causes_of(status: dict[str, Any]) -> list[str]:
    return list(status["values"].get("ndir.co2", {}).get("causes", ["none yet"]))


async def test_a_daemon_says_what_is_out_of_control_and_still_says_so_after_a_restart(
    tmp_path: Path, root: Path, config_for: Any, serve_modbus: Any
) -> None:
    peer = await serve_modbus(1, 2)
    document = config_for(tmp_path, peer.port, "regulated").model_dump(mode="json", exclude_none=True)
    document["instruments"]["ndir"] |= {"poll_s": 60, "expected_per_minute": 12}
    document["sequences"]["daily"]["recovery_s"] = 60
    document["cylinders"]["span"]["expires"] = "2030-01-01"
    one = Process(tmp_path, root, document)
    await one.start()
    try:
        await one.until(lambda s: not s["calibration"]["held"] and causes_of(s) == [])
        await one.asked("calibrate-start", name="daily", who="li")
        await one.until(lambda s: causes_of(s) == ["out_of_control"])
        shown = await one.command("status")
        assert "ndir.co2 out of control since" in shown
        assert "limit of hj75, unverified" in shown
        await one.end()
        await one.start()
        await one.until(lambda s: causes_of(s) == ["out_of_control"])
        listed = await one.command("qa", "intervals")
        assert "still" in listed
        assert "hj75" in listed
        (found,) = json.loads(await one.command("qa", "intervals", "--json"))["intervals"]
        assert (found["series"], found["end"], found["suspect_from"]) == ("ndir.co2", None, None)
        assert [row["role"] for row in found["why"]] == ["zero", "span", "target"]
        await one.end()
    finally:
        if one.process.returncode is None:
            one.process.kill()
            await one.process.communicate()
