"""What a checkpoint says of the tree it continues: enough to begin there without anything before it."""

import asyncio
import base64
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.store.log import Log
from agent.store.segment import Segment, segment_files
from host.clock import ManualClock
from protocols import record
from protocols.tlog import Frontier, leaf_hash, signer_from_seed, split_hashes

SIGNER = signer_from_seed(base64.b64encode(bytes(range(32))).decode(), "plumeline/test-01")
START = datetime(2026, 3, 1, tzinfo=UTC)


async def life(folder: Path, clock: ManualClock, acts: str) -> None:
    """A run: `r` a record, `c` a checkpoint, `d` a day goes by."""
    log = Log(folder, clock, station_id="test-01", signer=SIGNER, commit_s=0.0)
    task = asyncio.create_task(log.run())
    for act in acts:
        clock.step(86400.0 if act == "d" else 1.0)
        await (log.post_checkpoint() if act == "c" else log.append("event", {"what": act}))
    task.cancel()
    await asyncio.wait([task])


def bodies(folder: Path) -> list[bytes]:
    """All records, in order."""
    found = []
    for path in segment_files(folder):
        segment = Segment(path)
        found += [row.body for row in segment.read(-1, record.KINDS, 500, None)]
        segment.close()
    return found


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("rrcd", max_size=8), min_size=1, max_size=4))
def test_over_restarts_and_days_each_checkpoint_tells_the_tree_before_its_leaves(lives: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), ManualClock(START)
        for acts in lives:
            asyncio.run(life(folder, clock, acts))
        asyncio.run(life(folder, clock, "rc"))
        all_of_them = bodies(folder)
    leaves = [leaf_hash(body) for body in all_of_them]
    checkpoints = [fields for body in all_of_them if (fields := record.decode(body))["kind"] == "checkpoint"]
    assert checkpoints
    listed = 0
    for fields in checkpoints:
        before = Frontier.from_bytes(base64.b64decode(fields["before"]))
        mine = split_hashes(base64.b64decode(fields["leaves"]))
        assert before == Frontier().extend(leaves[:listed])
        assert mine == leaves[listed : fields["size"]]
        assert base64.b64encode(before.extend(mine).root()).decode() == fields["root"]
        listed = fields["size"]


def test_behind_a_checkpoint_of_an_older_version_the_tree_is_found_in_the_files(tmp_path: Path) -> None:
    clock = ManualClock(START)
    asyncio.run(life(tmp_path, clock, "rrd"))

    async def older() -> None:
        log = Log(tmp_path, clock, station_id="test-01", signer=SIGNER, commit_s=0.0)
        task = asyncio.create_task(log.run())
        members = log._head.checkpoint("plumeline/test-01/1", SIGNER)
        await log.append("checkpoint", {name: one for name, one in members.items() if name != "before"})
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(older())
    asyncio.run(life(tmp_path, clock, "rc"))
    found = bodies(tmp_path)
    first, second = (fields for body in found if (fields := record.decode(body))["kind"] == "checkpoint")
    assert "before" not in first
    leaves = [leaf_hash(body) for body in found]
    assert Frontier.from_bytes(base64.b64decode(second["before"])) == Frontier().extend(leaves[: first["size"]])
