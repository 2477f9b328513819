"""A station comes back from a backup under a centre that had heard more of it than the backup holds."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.commands import said

from agent.__main__ import main as station_command
from central.cosigning import newest
from central.evidence import Evidence, wrong

Machines = Callable[..., Any]


async def test_a_restored_station_is_no_fork_to_its_centre(machine: Machines, centre: Any, tmp_path: Path) -> None:
    a = machine()
    await a.work(5)
    await asyncio.to_thread(said, station_command, "backup", a.file, tmp_path / "disk")
    [copy] = (tmp_path / "disk").iterdir()
    await a.work(5, 410.0)
    before = a.bodies()
    centre.take(before)

    # As docs/run-a-station.md has it: the disk is lost, the backup takes the place of the store.
    shutil.rmtree(a.folder / "store")
    shutil.copytree(copy, a.folder / "store")
    await a.work(5, 420.0)
    after = a.bodies()
    [epoch] = {epoch for epoch, _ in after} - {1}
    centre.take({key: body for key, body in after.items() if key[0] == epoch})
    assert centre.events() == []
    assert set(centre.verdicts(1) + centre.verdicts(epoch)) == {"consistent"}
    assert newest(centre.store.db, "tower-01", epoch) is not None
    # What the disk took with it is at the centre still, under its own numbers, and cosigned.
    stored = {(of, seq): body for of, seq, body in centre.store.db.execute("SELECT epoch, seq, body FROM record")}
    assert before.items() <= stored.items()
    vkey = centre.config.stations["tower-01"].vkey
    found = Evidence(centre.store.db, "tower-01", vkey, "2026-03-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z").report()
    assert wrong(found) == 0
    assert [one["epoch"] for one in found["epochs"]] == [1, epoch]
    assert found["averages"]["cosigned"] == 15
