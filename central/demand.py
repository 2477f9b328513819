"""`plumeline-central challenge`: an inspector demands to see all records of a span as they lie at the station now."""

import argparse
import sys
import time
from collections.abc import Iterator

import apsw

from central import beginning
from central.challenge import DEMANDED_MAX, TOLD_MAX, demand
from central.config import Config
from central.history import StoreSource
from central.reports import OFFSET_H
from central.store import Store
from host.hjson import load
from host.problems import ConfigErrors
from host.reports.spans import interval
from metrology.periods import iso
from protocols.tlog import Frontier


def challenge(line: argparse.Namespace) -> int:
    """Put the records on the list of the running centre; 1 where there is none to ask, 2 for a wrong request."""
    try:
        config = load(line.config, Config, line.lang)
        since, until = interval(line.since, line.until, OFFSET_H)
        if line.station not in config.stations:
            raise ValueError(f"--station {line.station}: one of {', '.join(sorted(config.stations))}")
        if config.witness is None:
            raise ValueError(f"{line.config}: witness: without this block nobody asks the stations")
        if line.every < 1:
            raise ValueError("--every: 1 or more")
        store = Store(config.store, config.stations, time.time)
    except (ConfigErrors, ValueError, OSError, apsw.Error) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        wanted = list(_wanted(store.db, line.station, iso(since), iso(until), line.every))
        if len(wanted) > DEMANDED_MAX:
            least = -(-len(wanted) * line.every // DEMANDED_MAX)
            print(f"{len(wanted)} records, at most {DEMANDED_MAX} at once: write --every {least}", file=sys.stderr)
            return 2
        count = demand(store.db, line.station, wanted, time.time())
        print(f"{count} / {len(wanted)}: {-(-count // TOLD_MAX)} min; plumeline-central verify")
        return int(not wanted)
    finally:
        store.close()


def _wanted(db: apsw.Connection, station_id: str, since: str, until: str, every: int) -> Iterator[tuple[int, int]]:
    """Numbers behind accepted checkpoints that were written in the span, every so many-th."""
    source = StoreSource(db, station_id)
    for epoch in source.epochs():
        frontier: bytes | None = db.execute(
            "SELECT frontier FROM witness WHERE station_id = ? AND epoch = ?", (station_id, epoch)
        ).get
        end = min(source.seq_at(epoch, until), Frontier.from_bytes(frontier).size if frontier else 0)
        begin = max(source.seq_at(epoch, since), beginning.first_listed(db, (station_id, epoch)))
        for seq in range(begin, end, every):
            yield epoch, seq
