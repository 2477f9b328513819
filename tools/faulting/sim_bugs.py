"""Bugs planted on purpose: a campaign that does not find them proves nothing."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_world import World

CUTS = ("power-cut-at-write", "power-cut")
LOSSES = {"I1", "I2", "I3"}


@dataclass(frozen=True)
class Bug:
    """What is wrong, the rules of which one must then break, the faults that bring it out, and how long that takes."""

    meaning: str
    rules: set[str]
    kinds: tuple[str, ...]
    days: float = 0.04
    faults: int = 6


BUGS = {
    "acknowledged-before-commit": Bug("a record counts as taken before its commit", LOSSES, CUTS),
    "place-before-acknowledgement": Bug(
        "a place moves when a message goes out", {"I1", "I2"}, ("broker-forgets", "kill", "broker-hangs")
    ),
    "missing-fsync": Bug("what SQLite asks to be synced is not", LOSSES, CUTS),
    "synchronous-normal": Bug("the log commits without a sync", LOSSES, CUTS),
    "valve-not-homed": Bug(
        "nobody brings the inlet home after a start", {"I8"}, ("power-cut-in-calibration",), days=0.06, faults=4
    ),
    "gap-not-written": Bug("a start does not say what was missed", {"I5"}, ("outage",), days=0.25, faults=1),
    "centre-acknowledges-early": Bug("the centre acknowledges before its commit", LOSSES, ("centre-killed",)),
    "averages-forgotten": Bug("a start does not know which minutes were written", {"I5"}, ("kill", "power-cut")),
}


def plant(bug: str) -> None:
    """Change the programs, before they are made."""
    {
        "acknowledged-before-commit": _acknowledged_first,
        "place-before-acknowledgement": _place_first,
        "synchronous-normal": _normal,
        "valve-not-homed": _not_homed,
        "gap-not-written": _no_gap,
        "centre-acknowledges-early": _centre_early,
        "averages-forgotten": _forgotten,
    }.get(bug, lambda: None)()


def plant_in(bug: str, world: "World") -> None:
    """Change the world of a run."""
    if bug == "missing-fsync":
        world.disk.without_sync = True


def _acknowledged_first() -> None:
    from agent.store.log import Log

    durably, tasks = Log._durably, set()

    async def at_once(self: Any, *rows: Any) -> None:
        task = asyncio.create_task(durably(self, *rows))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    Log._durably = at_once  # type: ignore[method-assign]


def _place_first() -> None:
    from agent.store.log import Place
    from agent.uplinks.mqtt_sender import Sender

    async def save_place(self: Any) -> None:
        epoch, window = next(iter(self._windows.items()))
        await self._log.save_place(self._name, Place(epoch, window.end))

    Sender.save_place = save_place  # type: ignore[method-assign]


def _normal() -> None:
    import agent.store.segment as segment

    opened = segment.open_database

    def normal(*arguments: Any, **more: Any) -> Any:
        connection = opened(*arguments, **more)
        if not more["read_only"]:
            connection.pragma("synchronous", "NORMAL")
        return connection

    segment.open_database = normal


def _not_homed() -> None:
    from agent.gas.valves import CoilBlock

    async def to_sample(self: Any) -> bool:
        return True

    CoilBlock.to_sample = to_sample  # type: ignore[method-assign]


def _no_gap() -> None:
    import agent.daemon

    async def nothing(*_: Any) -> None:
        pass

    agent.daemon.write_gap = nothing  # type: ignore[attr-defined]


def _centre_early() -> None:
    from central.coverage import read_coverage
    from central.ingest_mqtt import MqttIngest
    from protocols.mqtt.coverage import Coverage

    commit = MqttIngest._commit

    def early(self: Any, letters: Any) -> Any:
        letters = list(letters)
        covered: dict[Any, Coverage] = {}
        for letter in letters:
            if (one := self._read(*letter, {})) is not None:
                before = covered.get(one.tree) or read_coverage(self._store.db, *one.tree)
                covered[one.tree] = before.add(one.prev, one.last)
        asyncio.get_running_loop().call_later(20.0, commit, self, letters)
        return covered, {}

    MqttIngest._commit = early  # type: ignore[method-assign]


def _forgotten() -> None:
    import agent.clock.turns
    import agent.daemon
    from agent.values.averaging import Averager

    def made(index: Any, specs: Any, now: Any, day_offset_s: int) -> Averager:
        from datetime import timedelta

        return Averager(specs, now - timedelta(minutes=3), day_offset_s)

    async def nothing(self: Any) -> None:
        pass

    agent.daemon.restored_averager = made  # type: ignore[attr-defined]
    # The second look, which would give what is made again its next revision.
    agent.clock.turns.Turns._see_ahead = nothing  # type: ignore[method-assign]
