"""Whatever cuts a sequence, wherever: the inlet ends on sample air, the run is aborted, the data are flagged."""

import asyncio
import base64
import contextlib
import itertools
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.store.segment import Segment
from host.clock import RealClock
from host.control import RequestError, ask
from metrology.quality import Cause
from metrology.reading import Measurement, Reading, Scan
from protocols import record
from simulation.instruments.gas_line import ViciActuator

SAMPLE, ZERO, SPAN, TARGET = 0, 1, 2, 3
GUARD = {"co": {"series": "shelter.co", "below": 30, "unit": "umol/mol", "max_age_s": 3600}}
STEADY = {"min_s": 10, "max_s": 40, "window_s": 20, "slope_max": {"co2": 1.0}}
LEAK = {"series": "line.static_pressure", "settle_s": 10, "seconds": 20, "max_drop_kPa_per_min": 1, "on_fail": "mark"}
FLAGGED = {Cause.CALIBRATION, Cause.BLOWBACK, Cause.RECOVERY}

sequences = st.fixed_dictionaries(
    {
        "loops": st.integers(1, 2),
        "leak": st.booleans(),
        "steady": st.booleans(),
        "blowback": st.booleans(),
    }
)


def shaped(shape: dict[str, Any], store: Path) -> Callable[[dict[str, Any]], None]:
    """A change of the rig's configuration: its daily run as drawn, in a store of its own."""

    def change(document: dict[str, Any]) -> None:
        store.mkdir()
        document["store"]["path"] = str(store)
        document["guards"] = GUARD
        daily = document["sequences"]["daily"]
        daily |= {"loops": shape["loops"], "recovery_s": 60}
        for injection in daily["injections"]:
            injection |= {"flush_s": 40, "average_s": 20}
            if shape["steady"]:
                injection |= {"flush_s": None, "flush": STEADY}
        if shape["leak"]:
            daily["checks"] = {"leak": LEAK}
        if shape["blowback"]:
            daily |= {"injections": [], "checks": None, "loops": 1}
            daily["blowback"] = {"port": "target", "blow_s": 20, "pulses": 2, "pause_s": 20}

    return change


class Watched:
    """A rig of which every step notes what was open and how the reading was flagged."""

    def __init__(self, one: Any) -> None:
        self.one = one
        self.open: list[frozenset[int]] = []

    async def step(self) -> None:
        at = self.one.clock.now()
        reading = Reading("shelter", "co", 2.0, "umol/mol", at)
        self.one.live.latest["shelter.co"] = Measurement(reading, 2.0)
        await self.moved()

    async def moved(self) -> None:
        one = self.one
        await one.clock.advance(5.0)
        await asyncio.sleep(0.002)
        at, opened = one.clock.now(), frozenset(one.open_ports)
        await one.intake.take(Scan("ndir", at, (Reading("ndir", "co2", one.indication(), "umol/mol", at),)))
        self.open.append(opened)

    async def until(self, condition: Callable[[], object], step: Callable[[], Any] | None = None) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await (step or self.step)()


async def interrupt(watched: Watched, how: str) -> None:
    """Bring the run to an early end, and wait until its inlet is home."""
    one = watched.one
    if how == "abort":
        task = asyncio.create_task(one.calibrator.abort("wang"))
    elif how == "lock":
        task = asyncio.create_task(one.lock.lock("zhang", "hose off"))
    elif how == "guard":
        at = one.clock.now()
        one.live.latest["shelter.co"] = Measurement(Reading("shelter", "co", 99.0, "umol/mol", at), 99.0)
        await watched.until(lambda: one.phase in (None, "to-sample", "recovery"), watched.moved)
        return
    elif how == "valve":
        one.peer.units.clear()
        await watched.until(lambda: one.phase in (None, "to-sample", "recovery"), watched.moved)
        one.peer.units.add(1)
        return
    else:
        one.tasks[1].cancel()
        await asyncio.wait({one.tasks[1]}, timeout=10)
        return
    await watched.until(task.done)
    task.result()


# A case takes long enough for shrinking to take minutes.
SLOW = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOW
@given(shape=sequences, at=st.floats(0, 1), how=st.sampled_from(["abort", "lock", "guard", "valve", "stop"]))
async def test_every_early_end_leaves_sample_air(
    rig, tmp_path: Path, shape: dict[str, Any], at: float, how: str
) -> None:
    store = tmp_path / str(next(NUMBERS))
    one = await rig(change=shaped(shape, store), dead_man_s=30)
    watched, skipped = Watched(one), one.intake.scans
    await watched.step()
    answer = await one.calibrator.start("daily", "li")
    ends = one.clock.now().timestamp() + at * answer["seconds"]
    await watched.until(lambda: one.clock.now().timestamp() >= ends or one.phase is None)
    cut_in, before = one.phase, len(watched.open)
    if cut_in is not None:
        with contextlib.suppress(ValueError):
            await interrupt(watched, how)
    if how == "stop":
        assert one.open_ports == {SAMPLE}
        await one.step(0)
        rows = await one.records()
        await one.end()
        one = watched.one = await rig(again=one, change=lambda document: again(document, shape, store))
    else:
        if how == "lock":
            assert cut_in is None or one.open_ports == {SAMPLE}
            await one.lock.unlock("zhang") if one.lock.held else None
        await watched.until(lambda: one.ready)
        await one.step(0)
        rows = await one.records()
    assert one.open_ports == {SAMPLE}
    assert one.peer.open_at_once <= 1
    whats = [row["what"] for row in rows if row["kind"] == "calibration" and row["run"] == answer["run"]]
    # A guard and a valve only matter where gas may flow: in the recovery the run ends well.
    well = cut_in is None or (how in ("guard", "valve") and whats[-1] == "run-finished")
    assert whats.count("run-aborted") == (not well)
    assert whats.count("run-finished") == well
    assert not well or cut_in in (None, "recovery", "pause", "starting") or shape["blowback"]
    flagged = [record.scan_of(row).readings[0].quality.causes for row in rows if row["kind"] == "scan"]
    flagged = flagged[skipped:]
    for opened, causes in zip(watched.open, flagged, strict=False):
        assert opened == {SAMPLE} or causes & FLAGGED, (opened, causes)
    if cut_in is not None and how != "stop":
        home = flagged[before:]
        assert sum(bool(causes & FLAGGED) for causes in home) >= (0 if well else 60 / 5 - 1)
    await one.step()
    assert not (await one.causes())[-1] & FLAGGED
    await one.end()


NUMBERS = itertools.count()


def again(document: dict[str, Any], shape: dict[str, Any], store: Path) -> None:
    """The same configuration on the store that is there."""
    fresh = store.with_name(f"{store.name}-unused")
    shaped(shape, fresh)(document)
    document["store"]["path"] = str(store)


RATE = 40.0
STEPS = [("zero", "flush"), ("zero", "collect"), ("span", "flush"), ("target", "collect"), ("sample", "recovery"),
         (None, "leak")]  # fmt: skip
POSITIONS = {"sample": 1, "zero": 2, "span": 4, "target": 6}


class Daemon:
    """A real daemon process on a simulated valve."""

    def __init__(self, root: Path, document: dict[str, Any], folder: Path) -> None:
        self.root, self.document, self.folder = root, document, folder
        clock = f"{time.time()},{time.time()},{RATE:g}"
        config = folder / "station.hjson"
        config.write_text(json.dumps(document))
        self.line = [sys.executable, "-m", "agent", "run", str(config), "--clock", clock]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *self.line, cwd=self.root, stderr=asyncio.subprocess.PIPE
        )  # fmt: skip

    async def end(self, how: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(how)
        async with asyncio.timeout(20):
            _, said = await self.process.communicate()
        assert self.process.returncode == (0 if how == signal.SIGTERM else -how), said.decode()

    async def ask(self, **request: Any) -> dict[str, Any]:
        async for answer in ask(self.document["socket"], request):
            return answer
        raise AssertionError("no answer")

    async def until(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(RequestError):
                    if condition(found := (await self.ask(do="status"))["calibration"]):
                        return found
                assert self.process
                assert self.process.returncode is None, await self.process.communicate()
                await asyncio.sleep(0.005)

    def log(self) -> list[dict[str, Any]]:
        rows: list[Any] = []
        for path in sorted((self.folder / "store" / "segments").glob("log-*.db")):
            segment = Segment(path)
            while found := segment.read(rows[-1].seq if rows else -1, record.KINDS, 500, None):
                rows += found
            segment.close()
        return [row.fields for row in rows]


def quick(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The rig's station as a real daemon runs it, with a short run that has all kinds of steps."""
    key = folder / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    document["station"]["simulated"] = True
    document["store"] |= {"path": str(folder / "store"), "commit_ms": 5}
    document["instruments"]["ndir"] |= {"poll_s": 1, "unit": 2}
    daily = document["sequences"]["daily"]
    daily["recovery_s"] = 40
    for injection in daily["injections"]:
        injection |= {"flush_s": 30, "average_s": 20}
    return document


async def killed_and_back(
    daemon: Daemon, step: tuple[str | None, str], how: signal.Signals, opened: Callable[[], object]
) -> list[dict[str, Any]]:
    """Start a run, end the daemon in a step of it, start it anew, and give its log after the recovery."""
    await daemon.start()
    await daemon.until(lambda state: not state["held"])
    await daemon.ask(do="calibrate-start", name="daily", who="li")
    await daemon.until(lambda state: any((run["port"], run["phase"]) == step for run in state["runs"]))
    await daemon.end(how)
    if how == signal.SIGTERM:
        assert opened() == {"sample"}
    await daemon.start()
    began = time.monotonic()
    await daemon.until(lambda state: opened() == {"sample"})
    # From the return of the daemon, its own start included.
    assert time.monotonic() - began < 10.0
    await daemon.until(lambda state: not state["held"])
    scans = (await daemon.ask(do="status"))["scans"]
    async with asyncio.timeout(20):
        while (await daemon.ask(do="status"))["scans"] < scans + 3:
            await asyncio.sleep(0.005)
    await daemon.end(signal.SIGTERM)
    return daemon.log()


def judge(rows: list[dict[str, Any]], how: signal.Signals) -> None:
    """The run was aborted once, and all is flagged from its start until sample air has recovered after the return."""
    whats = [row["what"] for row in rows if row["kind"] == "calibration"]
    assert whats.count("run-started") == whats.count("run-aborted") == 1
    assert "run-finished" not in whats
    (aborted,) = (row for row in rows if row.get("what") == "run-aborted")
    assert aborted["reason"] == ("the station stops" if how == signal.SIGTERM else "the station stopped during the run")
    started = next(row["seq"] for row in rows if row.get("what") == "run-started")
    back = max(row["seq"] for row in rows if row["kind"] == "config")
    scans = [row for row in rows if row["kind"] == "scan" and row["instrument"] == "ndir"]
    causes = {row["seq"]: record.scan_of(row).readings[0].quality.causes for row in scans}
    # A scan may have been answered between the record of the start and the first move of the valve.
    during = [found for seq, found in causes.items() if started + 6 < seq < back]
    assert all(found & FLAGGED for found in during)
    after = [found for seq, found in causes.items() if seq > back]
    if how == signal.SIGKILL:
        assert after[0] & {Cause.CALIBRATION, Cause.RECOVERY}
        assert sum(Cause.RECOVERY in found for found in after) >= 20
    assert not after[-1] & FLAGGED


@settings(SLOW, max_examples=3)
@given(step=st.sampled_from(STEPS), how=st.sampled_from([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
async def test_a_daemon_that_is_ended_in_any_step_comes_back_to_sample_air(
    root: Path, tmp_path: Path, serve_modbus, config_for, step: tuple[str | None, str], how: signal.Signals
) -> None:
    folder = tmp_path / str(next(NUMBERS))
    folder.mkdir()
    peer = await serve_modbus(1, 2, 3)
    document = quick(config_for(folder, peer.port).model_dump(mode="json"), folder)
    document["valves"]["gas"]["on_power_loss"] = "closed"
    document["sequences"]["daily"]["checks"] = {"leak": {**LEAK, "settle_s": 5, "seconds": 30}}
    document["instruments"]["line"] = {
        "driver": "cems_flow", "bus": "relays", "unit": 3, "poll_s": 1, "kind": "research", "rule": "ghg",
        "series": {"static_pressure": {"minimum": -5000, "maximum": 5000}},
    }  # fmt: skip
    names = {coil["coil"]: name for name, coil in document["valves"]["gas"]["ports"].items()}
    daemon = Daemon(root, document, folder)
    rows = await killed_and_back(
        daemon, step, how, lambda: {names[coil] for coil, on in peer.coils.items() if on}
    )  # fmt: skip
    judge(rows, how)
    assert peer.open_at_once <= 1


@pytest.fixture
async def selector() -> AsyncIterator[tuple[ViciActuator, int]]:
    actuator = ViciActuator(lambda values, **more: None, RealClock(), positions=6)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(actuator.hear(data))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield actuator, server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize("step", [("span", "collect")])
async def test_a_valve_that_stays_is_back_within_ten_seconds_of_a_kill(
    root: Path, tmp_path: Path, serve_modbus, config_for, selector: tuple[ViciActuator, int], step: tuple[str, str]
) -> None:
    actuator, port = selector
    peer = await serve_modbus(2)
    document = quick(config_for(tmp_path, peer.port).model_dump(mode="json"), tmp_path)
    wire = {"kind": "tcp", "host": "127.0.0.1", "port": port}
    document["buses"]["selector"] = {"wire": wire, "protocol": "text", "timeout_s": 0.2}
    document["valves"]["gas"] = {
        "kind": "vici", "bus": "selector", "sample": "sample", "on_power_loss": "stays",
        "upstream_shutoff_closes_without_power": True,
        "ports": {name: {"position": position} for name, position in POSITIONS.items()},
    }  # fmt: skip
    names = {position: name for name, position in POSITIONS.items()}
    daemon = Daemon(root, document, tmp_path)
    rows = await killed_and_back(daemon, step, signal.SIGKILL, lambda: {names[actuator.position]})
    judge(rows, signal.SIGKILL)
