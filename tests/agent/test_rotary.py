"""Valves that turn and keep their position without power: a simulated actuator on a real pty and TCP port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from peers.lines import on_a_pty, serial, tcp, unheard

from agent.config import Config
from agent.gas.maintenance import Maintenance
from agent.gas.valves import safe_state
from host.clock import RealClock
from metrology.quality import Cause
from metrology.reading import Reading, Scan
from protocols.record import scan_of
from simulation.instruments.gas_line import ViciActuator
from simulation.picarro import Interface, Picarro
from simulation.serve import TcpPort

POSITIONS = {"sample": 1, "zero": 2, "span": 4, "target": 6}
MASKS = {"sample": 0, "zero": 1, "span": 2, "target": 4}
HOME_S = 10.0


class Module:
    """The actuator on its line; `power` is that of the whole module: without it nothing hears and nothing moves."""

    def __init__(self, actuator: ViciActuator) -> None:
        self.actuator = actuator
        self.power = True
        self.mute = False

    def hear(self, data: bytes) -> bytes:
        answer = self.actuator.hear(data) if self.power else b""
        return b"" if self.mute else answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(self.hear(data))


@pytest.fixture
def module() -> Module:
    return Module(ViciActuator(unheard, RealClock(), positions=6))


def rotary(wire: dict[str, Any], kind: str = "vici", **sequence: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the rig's configuration: the valve turns, and stays where it is without power."""
    key, states = ("position", POSITIONS) if kind == "vici" else ("mask", MASKS)

    def change(document: dict[str, Any]) -> None:
        document["buses"]["selector"] = {"wire": wire, "protocol": "text", "timeout_s": 0.2}
        document["valves"]["gas"] = {
            "kind": kind, "bus": "selector", "sample": "sample", "on_power_loss": "stays",
            "upstream_shutoff_closes_without_power": True,
            "ports": {port: {key: state} for port, state in states.items()},
        }  # fmt: skip
        document["sequences"]["daily"] |= sequence

    return change


async def marks(one: Any) -> frozenset[Cause]:
    """What a reading taken now is marked with."""
    at = one.clock.now()
    await one.intake.take(Scan("ndir", at, (Reading("ndir", "co2", 420.0, "umol/mol", at),)))
    rows = [row for row in await settled(one) if row["kind"] == "scan"]
    return scan_of(rows[-1]).readings[0].quality.causes


async def settled(one: Any) -> list[dict[str, Any]]:
    count = one.intake.scans
    while one.intake.committed < count:
        await asyncio.sleep(0.001)
    return list(await one.records())


async def marked(one: Any, wanted: set[Cause], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while await marks(one) != wanted:
            await asyncio.sleep(0.02)


@pytest.fixture
async def real(rig_of, config_for, tmp_path: Path, serve_modbus) -> AsyncIterator[Callable[..., Any]]:
    """A rig on the real clock, begun."""
    made: list[Any] = []

    async def make(change: Callable[[dict[str, Any]], None], prepare: Callable[[Any], Any] | None = None) -> Any:
        peer = await serve_modbus(1)
        document = config_for(tmp_path, peer.port).model_dump(mode="json")
        change(document)
        one = rig_of(Config.model_validate(document), RealClock(), peer)
        made.append(one)
        if prepare:
            prepare(one)
        one.begin()
        return one

    yield make
    for one in made:
        await one.end()


async def test_a_run_turns_the_valve_and_sees_it_at_every_port(rig, module: Module) -> None:
    with on_a_pty(module.hear) as device:
        one = await rig(change=rotary(serial(device)))
        assert module.actuator.moves == []
        await one.calibrator.start("daily", "li")
        await one.until(lambda: one.ready)
        assert [row["what"] for row in await one.records("run-finished", "run-aborted")] == ["run-finished"]
        assert list(dict.fromkeys(module.actuator.moves)) == [2, 4, 6, 1]
        await one.end()
    assert module.actuator.position == 1


@pytest.mark.parametrize("style", ["long", "echo"])
async def test_heads_that_answer_otherwise_are_understood(rig, style: str) -> None:
    module = Module(ViciActuator(unheard, RealClock(), positions=6, style=style))
    module.actuator.position = 4
    with on_a_pty(module.hear) as device:
        one = await rig(change=rotary(serial(device)))
        assert module.actuator.position == 1
        await one.end()


async def test_a_valve_found_on_a_gas_at_the_start_is_brought_home_and_the_data_are_marked(real, module) -> None:
    module.actuator.position = 4
    with on_a_pty(module.hear) as device:
        one = await real(rotary(serial(device), recovery_s=0.4))
        assert await marks(one) == {Cause.CALIBRATION}
        await marked(one, {Cause.RECOVERY})
        assert module.actuator.position == 1
        await marked(one, set())
        await one.end()


async def test_a_module_without_power_at_the_start_is_home_within_10_s_of_its_return(real, module) -> None:
    """Nothing listens on its TCP port at first; then it is there, still on the gas it stood on."""
    module.actuator.position = 4
    place = TcpPort(module.serve)
    port = await place.start()
    await place.close()
    one = await real(rotary(tcp(port), recovery_s=0.4))
    async with asyncio.timeout(HOME_S):
        while not await one.records("valve-not-safe"):
            assert await marks(one) == {Cause.CALIBRATION}
            await asyncio.sleep(0.02)
    assert "the start of the station" in str(one.calibrator.status()["held"])
    await place.start(port)
    async with asyncio.timeout(HOME_S):
        while module.actuator.position != 1:
            # Until it has read back sample air nothing is unmarked.
            assert await marks(one) == {Cause.CALIBRATION}
            await asyncio.sleep(0.02)
    await marked(one, {Cause.RECOVERY})
    await marked(one, set())
    assert one.ready
    await one.end()
    await place.close()


async def test_a_module_that_loses_power_and_returns_elsewhere_is_brought_home(real, module) -> None:
    with on_a_pty(module.hear) as device:
        one = await real(rotary(serial(device), recovery_s=0.4))
        await marked(one, set())
        module.power = False
        await marked(one, {Cause.CALIBRATION})
        # A technician turns it by hand while it has no power.
        module.actuator.position, module.power = 6, True
        await marked(one, {Cause.RECOVERY}, HOME_S)
        assert module.actuator.position == 1
        await marked(one, set())
        (event,) = await one.records("valve-not-safe")
        assert event["origin"] == "valve:gas"
        await one.end()


async def test_a_silence_alone_is_no_recovery(real, module) -> None:
    with on_a_pty(module.hear) as device:
        one = await real(rotary(serial(device), recovery_s=600))
        await marked(one, set())
        module.power = False
        await marked(one, {Cause.CALIBRATION})
        module.power = True
        await marked(one, set())
        assert module.actuator.position == 1
        await one.end()


async def test_a_valve_that_does_not_arrive_ends_the_run_and_keeps_the_mark(rig, module) -> None:
    with on_a_pty(module.hear) as device:
        one = await rig(change=rotary(serial(device)))
        module.actuator.stuck = True
        await one.calibrator.start("daily", "li")
        await one.until(lambda: not one.ready)
        async with asyncio.timeout(15):
            while not await one.records("run-aborted"):
                await asyncio.sleep(0.05)
        (aborted,) = await one.records("run-aborted")
        assert "was sent to port zero and stands at sample" in aborted["reason"]
        module.actuator.stuck = False
        await one.until(lambda: one.ready)
        await one.end()


async def test_a_valve_that_leaves_its_port_ends_the_run(rig, module) -> None:
    with on_a_pty(module.hear) as device:
        one = await rig(change=rotary(serial(device)))
        await one.calibrator.start("daily", "li")
        await one.until(lambda: one.phase == "flush", 0.1)
        module.actuator.position = 6
        await one.until(lambda: one.ready)
        (aborted,) = await one.records("run-aborted")
        assert "was left at port zero and stands at target" in aborted["reason"]
        assert module.actuator.position == 1
        await one.end()


async def test_who_holds_the_lock_has_the_valve(real, module) -> None:
    module.actuator.position = 4
    with on_a_pty(module.hear) as device:

        def lock(one: Any) -> None:
            Maintenance(Path(one.config.store.path) / "maintenance.json", one.log, one.clock)._write(_held(one.clock))

        one = await real(rotary(serial(device), recovery_s=0.4), lock)
        for _ in range(3):
            assert await marks(one) == {Cause.CALIBRATION}
            await asyncio.sleep(0.3)
        assert module.actuator.moves == []
        # It is read all the same: turned home by hand, it counts as home.
        module.actuator.position = 1
        await marked(one, {Cause.RECOVERY})
        assert module.actuator.moves == []
        await one.end()


def _held(clock: Any) -> Any:
    from agent.gas.maintenance import Held

    return Held("li", "work", clock.now(), None)


async def test_safe_state_turns_it_home_after_the_daemon_ended(
    tmp_path: Path, config_for, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.actuator.position = 6
    with on_a_pty(module.hear) as device:
        document = config_for(tmp_path, 1).model_dump(mode="json")
        rotary(serial(device))(document)
        config = Config.model_validate(document)
        assert await safe_state(config, RealClock()) == []
        assert module.actuator.position == 1
        # One that hears and cannot be heard is sent home all the same, and told as a failure.
        monkeypatch.setattr("agent.gas.valves.TRAVEL_WALL_S", 0.0)
        module.actuator.position, module.mute = 6, True
        (failure,) = await safe_state(config, RealClock())
        assert "no answer" in failure
        async with asyncio.timeout(5):
            while module.actuator.position != 1:
                await asyncio.sleep(0.01)


class NoRows:
    def until(self, now: Any) -> list[Any]:
        return []


async def test_the_solenoids_of_an_analyzer_are_driven_by_its_own_commands(rig, tmp_path: Path) -> None:
    analyzer = Picarro(NoRows(), RealClock(), unheard, Interface())
    analyzer.valve_mask, analyzer.sequencing = 0, True  # its own sequencer would go on by itself
    place = TcpPort(analyzer)
    port = await place.start()
    one = await rig(change=rotary(tcp(port), "picarro"))
    assert (analyzer.valve_mask, analyzer.sequencing) == (0, False)
    await one.calibrator.start("daily", "li")
    await one.until(lambda: analyzer.valve_mask == 4)
    await one.until(lambda: one.ready)
    assert analyzer.valve_mask == 0
    assert await one.records("run-finished")
    await one.end()
    await place.close()
