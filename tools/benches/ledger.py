"""How long `plumeline verify` walks: a made log of so many days, by a stopped station's files.

    tools/bench ledger [--days 30] [--scans-per-minute 60] [--folder DIR]

The log is written straight into segment files (no daemon): scans of one instrument with four gases, minute averages,
a cosigned checkpoint every five minutes. Prints records, bytes, seconds, records a second, and the largest memory.
"""

import argparse
import base64
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.ledger.places import rows_of_files
from agent.ledger.walk import Finding, Walk
from agent.store.segment import Record, Segment, segment_name
from metrology.periods import iso
from protocols.record import encode
from protocols.tlog import Frontier, checkpoint_text, leaf_hash, make_checkpoint, signer_from_seed
from protocols.tlog_cosign import cosigner_from_seed

SIGNER = signer_from_seed(base64.b64encode(b"k" * 32).decode(), "plumeline/bench-01")
WITNESS = cosigner_from_seed(base64.b64encode(b"w" * 32).decode(), "centre")
BEGIN = datetime(2026, 3, 1, 16, tzinfo=UTC)
GASES = ("co2", "ch4", "co", "h2o")
ROW = {"u": "umol/mol", "n": 60, "valid": 1.5, "mean": 400.5, "min": 399.1, "max": 402.2, "sd": 0.53, "rule": "ghg"}


class Maker:
    """Bodies in order, and the tree over them."""

    def __init__(self) -> None:
        self.seq, self.frontier = 0, Frontier()
        self._leaves: list[bytes] = []

    def record(self, kind: str, written: datetime, **members: Any) -> Record:
        body = encode({"v": 1, "epoch": 1, "seq": self.seq, "kind": kind, "t": iso(written), **members})
        leaf = leaf_hash(body)
        self.frontier = self.frontier.append(leaf)
        self._leaves.append(leaf)
        self.seq += 1
        return Record(1, self.seq - 1, kind, body)

    def checkpoint(self, at: datetime) -> Iterator[Record]:
        size, root = self.seq, self.frontier.root()
        note = make_checkpoint("plumeline/bench-01/1", size, root, SIGNER)
        leaves, self._leaves = b"".join(self._leaves), []
        listed = base64.b64encode(leaves).decode()
        yield self.record("checkpoint", at, size=size, root=base64.b64encode(root).decode(), note=note, leaves=listed)
        line = WITNESS.cosign(checkpoint_text("plumeline/bench-01/1", size, root), 1_800_000_000)
        told = {"epoch": 1, "size": size, "witness": WITNESS.name, "cosignature": line}
        yield self.record("event", at, what="cosigned", origin="uplink centre", checkpoint=told)

    def minute(self, start: datetime, scans: int) -> Iterator[Record]:
        for number in range(scans):
            at = start + timedelta(seconds=number * 60 / scans)
            values = {gas: {"x": 400.25 + number / 7, "u": "umol/mol"} for gas in GASES}
            yield self.record("scan", at, instrument="gas", at=iso(at), values=values, status={})
        end = start + timedelta(minutes=1)
        rows = {f"gas.{gas}": {**ROW, "rev": 0, "final": True} for gas in GASES}
        yield self.record("average", end, start=iso(start), end=iso(end), period_s=60, rows=rows)
        if end.minute % 5 == 0:
            yield from self.checkpoint(end)


def write(folder: Path, days: int, scans: int) -> None:
    """One file a day."""
    made = Maker()
    for day in range(days):
        segment = Segment.create(folder / segment_name(1, made.seq), 1, made.seq, made.frontier, [])
        for hour in range(24):
            start = BEGIN + timedelta(days=day, hours=hour)
            rows = [one for minute in range(60) for one in made.minute(start + timedelta(minutes=minute), scans)]
            segment.append(rows, made.frontier)
        segment.seal()
        segment.close()


def main() -> None:
    """Write, walk, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--scans-per-minute", type=int, default=60)
    parser.add_argument("--folder")
    line = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=line.folder) as name:
        folder = Path(name)
        write(folder, line.days, line.scans_per_minute)
        size = sum(path.stat().st_size for path in folder.iterdir())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        walk, began, findings = Walk([SIGNER.vkey], WITNESS.vkey), time.monotonic(), 0
        for row in rows_of_files(folder):
            findings += 1 if isinstance(row, Finding) else len(list(walk.take(row)))
        findings += len(list(walk.end()))
        seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records = walk.counts["records"]
    print(f"{line.days} d, {records:,} records, {size / 1e6:.0f} MB, {walk.counts['checkpoints']} checkpoints:")
    print(f"{seconds:.1f} s, {records / seconds:,.0f} records/s, {findings} findings")
    print(f"memory {after / 1024:.0f} MB, of which {before / 1024:.0f} for the writing before")


if __name__ == "__main__":
    main()
