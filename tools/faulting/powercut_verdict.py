"""What a start finds behind a power cut, held against what callers had been told before it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from powercut_disk import lay
from powercut_writer import SIGNER, START, open_log

from agent.store.index import Index
from agent.store.log import Log
from agent.store.salvaging import Salvaging
from agent.store.segment import Record
from agent.store.witness import Seen, seen
from host.clock import ManualClock
from protocols import record
from protocols.tlog import Frontier, leaf_hash, open_checkpoint

Key = tuple[int, int]
START_S = 20.0


@dataclass
class Told:
    """What callers know at a point: leaves by (epoch, seq), places by uplink, how far the last checkpoint reached."""

    leaves: dict[Key, bytes] = field(default_factory=dict)
    places: dict[str, Key] = field(default_factory=dict)
    checkpoint: Key = (0, -1)

    def copy(self) -> "Told":
        """As it stands now."""
        return Told(dict(self.leaves), dict(self.places), self.checkpoint)

    def hear(self, line: bytes) -> None:
        """One line of the writer."""
        what, *words = line.decode().split()
        if what == "ACK":
            self.leaves[int(words[0]), int(words[1])] = bytes.fromhex(words[2])
        elif what == "CHECKPOINT":
            self.checkpoint = (int(words[0]), int(words[1]))
        elif what == "PLACE":
            self.places[words[0]] = (int(words[1]), int(words[2]))


@dataclass
class Verdict:
    """`lost`: acknowledged, neither there nor declared; `declared`: acknowledged, gone, and said so."""

    lost: int = 0
    declared: int = 0
    doubled: int = 0
    out_of_order: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Nothing is missing, not even with a word about it: the disk has kept what it synced."""
        return not (self.lost or self.declared or self.doubled or self.out_of_order or self.broken)


def _declared(rows: list[Record]) -> Iterator[Key]:
    """Numbers that a `gap` record says are lost."""
    for row in rows:
        if row.kind == "gap" and "of_epoch" in (fields := row.fields):
            yield from ((fields["of_epoch"], seq) for seq in range(fields["first"], fields["last"] + 1))


async def _all(log: Log) -> list[Record]:
    found: list[Record] = []
    for epoch in await log.epochs():
        after = -1
        while rows := await log.read(after, kinds=record.KINDS, limit=500, epoch=epoch):
            found += rows
            after = rows[-1].seq
    return found


def _tree(rows: list[Record]) -> list[str]:
    """What does not hold of the trees: a signed checkpoint's root, or a number left out in the midst."""
    found = []
    holes = {epoch for epoch, _ in _declared(rows)}
    trees: dict[int, Frontier] = defaultdict(Frontier)
    for row in rows:
        tree = trees[row.epoch]
        if row.epoch in holes:
            continue
        if row.seq != tree.size:
            found.append(f"number {row.seq} of epoch {row.epoch} stands behind {tree.size - 1}")
            break
        if row.kind == "checkpoint":
            said = open_checkpoint(str(row.fields["note"]), [SIGNER.vkey])
            if (said.size, said.root) != (tree.size, tree.root()):
                found.append(f"checkpoint {row.seq}: its root is not that of the records before it")
        trees[row.epoch] = tree.append(leaf_hash(row.body))
    return found


async def _open(folder: Path, told: Told, verdict: Verdict) -> None:
    log, index = open_log(folder, ManualClock(START))
    given = (log.epoch, log.next_seq)
    task = asyncio.create_task(log.run())
    try:
        await _compare(folder, log, index, given, told, verdict)
    finally:
        task.cancel()
        await asyncio.wait([task])
    index.close()


async def _compare(folder: Path, log: Log, index: Index, given: Key, told: Told, verdict: Verdict) -> None:
    await Salvaging(folder / "segments", log, index, START).run()
    row = await log.append("event", {"what": "after the cut"})
    rows = await _all(log)
    there = {(row.epoch, row.seq): leaf_hash(row.body) for row in rows}
    declared = set(_declared(rows))
    missing = [key for key in told.leaves if key not in there]
    verdict.declared = sum(key in declared for key in missing)
    verdict.lost = len(missing) - verdict.declared
    verdict.doubled = len(rows) - len(there)
    verdict.out_of_order = sum(a.seq >= b.seq for a, b in pairwise(rows) if a.epoch == b.epoch)
    if other := [key for key, leaf in told.leaves.items() if there.get(key, leaf) != leaf]:
        verdict.broken.append(f"record {other[0]} is not what was acknowledged")
    verdict.broken += _tree(rows)
    _places(log, told, verdict)
    if any(given <= key for key in told.leaves):
        verdict.broken.append(f"numbers from {given} on are given again")
    if index.newest("event", None, 1)[0]["seq"] != row.seq:
        verdict.broken.append("the index does not hold the newest event")


def _places(log: Log, told: Told, verdict: Verdict) -> None:
    for uplink, place in log.places.items():
        if place.epoch == log.epoch and place.through >= log.next_seq:
            verdict.broken.append(f"place of {uplink} is {place.through}, records end before {log.next_seq}")
        before = told.places.get(uplink)
        if before and (place.epoch, place.through) < before:
            verdict.broken.append(f"place of {uplink} fell from {before} to {place.through}")


def judge(folder: Path, files: dict[str, bytes], told: Told, loop: asyncio.AbstractEventLoop) -> Verdict:
    """Lay the files out, start on them, and compare. Whatever a start raises is a failure of its own."""
    verdict = Verdict()
    lay(folder, files)
    witness = seen(folder / "segments") or Seen(0, 0)
    if witness < (told.checkpoint[0], told.checkpoint[1] + 1):
        verdict.broken.append(f"the witness says {tuple(witness)}, a checkpoint told of is {told.checkpoint}")
    try:
        loop.run_until_complete(asyncio.wait_for(_open(folder, told, verdict), START_S))
    except Exception as error:  # noqa: BLE001 - any of them is the finding
        verdict.broken.append(f"the start fails: {type(error).__name__}: {error}")
    return verdict
