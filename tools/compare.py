#!/usr/bin/env python3
"""Compare what the simulated instruments answered with what the centre's store holds, from outside.

    tools/compare.py DIR STORE.sqlite [--outage FROM,TO]... [--tolerance-s S] [--json]

DIR is the `--out` folder of `plumeline-sim`; STORE is read by SQL, read-only; no program under test is asked or
imported. Run it after everything stopped: the simulation first, so that nothing is answered that nobody can keep.

For each (station, instrument, measurand) the multiset of journalled values is laid beside the stored one, both rounded
to nine significant digits. lost: answered, not stored, and not inside a signed gap record of the station, widened on
both sides by the tolerance (wall seconds: an answer under way when a process was killed). duplicates: stored more often
than answered. Age: wall seconds from answer to commit, each stored value paired with the answer of the same value
nearest in world time; answers inside an outage (wall unix seconds) and the five seconds after it are left out.
Exit 0: nothing lost or doubled, and something was answered. 1: not so. 2: cannot be compared.
"""

import argparse
import bisect
import json
import math
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

DIGITS = 9
AFTER_OUTAGE_S = 5.0
LISTED_MAX = 20

Key = tuple[str, str, str, str]  # station, instrument, measurand, value
Interval = tuple[float, float]


class Answer(NamedTuple):
    """One value on the wire: unix seconds, world and wall."""

    world: float
    wall: float


class Stored(NamedTuple):
    """One value at the centre: world time of the reading, wall time of the commit."""

    at: float
    committed: float


def seconds(iso: str) -> float:
    """Unix seconds of an ISO time."""
    return datetime.fromisoformat(iso).timestamp()


def rounded(value: float) -> str:
    """A value to nine significant digits; -0 is 0."""
    return f"{value + 0.0:.{DIGITS}g}"


def journal(folder: Path) -> dict[Key, list[Answer]]:
    """Every answered value, in the order of answering."""
    found: dict[Key, list[Answer]] = defaultdict(list)
    for path in sorted(folder.glob("*/*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            answer = Answer(seconds(line["world"]), line["wall"])
            for measurand, value in line["values"].items():
                found[path.parent.name, path.stem, measurand, rounded(value)].append(answer)
    return found


def stored(store: sqlite3.Connection) -> dict[Key, list[Stored]]:
    """Every stored raw value that is one, ordered by the time of the reading."""
    found: dict[Key, list[Stored]] = defaultdict(list)
    rows = store.execute(
        "SELECT r.station_id, r.instrument, r.measurand, r.value, r.at, k.committed_wall FROM raw r "
        "JOIN record k ON k.station_id = r.station_id AND k.epoch = r.epoch AND k.seq = r.seq "
        "WHERE r.value IS NOT NULL ORDER BY r.at"
    )
    for station, instrument, measurand, value, at, committed in rows:
        found[station, instrument, measurand, rounded(value)].append(Stored(seconds(at), committed))
    return found


def gaps(store: sqlite3.Connection, tolerance_s: float) -> dict[str, list[Interval]]:
    """Declared and signed gaps of each station in world seconds, widened by the tolerance (world seconds).

    A gap counts where a checkpoint that the centre found consistent with the station's ledger stands over its record.
    """
    found: dict[str, list[Interval]] = defaultdict(list)
    signed = (
        "SELECT station_id, from_at, to_at FROM gap WHERE EXISTS (SELECT 1 FROM checkpoint c WHERE c.station_id = "
        "gap.station_id AND c.epoch = gap.epoch AND c.size > gap.seq AND c.verdict = 'consistent')"
    )
    for station, start, end in store.execute(signed):
        found[station].append((seconds(start) - tolerance_s, seconds(end) + tolerance_s))
    return found


def world_rate(answers: Iterable[list[Answer]]) -> float:
    """World seconds per wall second, from the first and the last answer; 1 where there are too few to tell."""
    every = [answer for group in answers for answer in group]
    if not every:
        return 1.0
    first, last = min(every, key=lambda a: a.wall), max(every, key=lambda a: a.wall)
    wall = last.wall - first.wall
    return (last.world - first.world) / wall if wall > 1.0 else 1.0


def inside(moment: float, intervals: Iterable[Interval]) -> bool:
    """Whether a moment lies in one of the intervals."""
    return any(start <= moment <= end for start, end in intervals)


def differences(
    answered: dict[Key, list[Answer]], kept: dict[Key, list[Stored]], holes: dict[str, list[Interval]]
) -> tuple[dict[Key, int], dict[Key, int], int]:
    """Values lost, values doubled, and how many were not stored but lie in a declared gap."""
    lost: dict[Key, int] = {}
    doubled: dict[Key, int] = {}
    in_gap = 0
    for key in answered.keys() | kept.keys():
        answers = answered.get(key, [])
        missing = len(answers) - len(kept.get(key, []))
        if missing < 0:
            doubled[key] = -missing
        elif missing:
            excused = min(missing, sum(inside(answer.world, holes.get(key[0], [])) for answer in answers))
            in_gap += excused
            if missing > excused:
                lost[key] = missing - excused
    return lost, doubled, in_gap


def nearest(answers: list[Answer], worlds: list[float], at: float) -> Answer:
    """The answer whose world time is nearest to `at`; `worlds` are the times of `answers`, ascending."""
    place = bisect.bisect_left(worlds, at)
    return min(answers[max(place - 1, 0) : place + 1], key=lambda answer: abs(answer.world - at))


def ages(answered: dict[Key, list[Answer]], kept: dict[Key, list[Stored]], outages: list[Interval]) -> Iterator[float]:
    """Wall seconds from answer to commit, of every stored value answered outside the outages."""
    shut = [(start, end + AFTER_OUTAGE_S) for start, end in outages]
    for key in answered.keys() & kept.keys():
        answers = sorted(answered[key])
        worlds = [answer.world for answer in answers]
        for row in kept[key]:
            answer = nearest(answers, worlds, row.at)
            if not inside(answer.wall, shut):
                yield row.committed - answer.wall


def percentile_95(values: Iterable[float]) -> float | None:
    """Nearest-rank 95th percentile; None of nothing."""
    ordered = sorted(values)
    return round(ordered[math.ceil(0.95 * len(ordered)) - 1], 3) if ordered else None


def count(store: sqlite3.Connection, query: str) -> int:
    """The single number of a query."""
    return int(store.execute(query).fetchone()[0])


def counts(store: sqlite3.Connection) -> dict[str, int]:
    """How much the centre holds, and how much of it was acknowledged on each way."""
    return {
        "averages": count(store, "SELECT count(*) FROM average"),
        "central_rows": count(store, "SELECT count(*) FROM raw"),
        "hj212_acked": count(store, "SELECT count(*) FROM hj212_frame WHERE acknowledged"),
        "mqtt_acked": count(
            store,
            "SELECT count(*) FROM record r WHERE EXISTS (SELECT 1 FROM coverage c WHERE c.station_id = r.station_id "
            "AND c.epoch = r.epoch AND r.seq BETWEEN c.from_seq AND c.to_seq)",
        ),
    }


def listed(found: dict[Key, int]) -> list[dict[str, Any]]:
    """The first few of what is wrong, for a person."""
    names = ("station", "instrument", "measurand", "value")
    return [{**dict(zip(names, key, strict=True)), "times": n} for key, n in sorted(found.items())[:LISTED_MAX]]


def compare(folder: Path, store: sqlite3.Connection, outages: list[Interval], tolerance_s: float) -> dict[str, Any]:
    """The whole comparison as one object."""
    answered, kept = journal(folder / "journal"), stored(store)
    rate = world_rate(answered.values())
    lost, doubled, in_gap = differences(answered, kept, gaps(store, tolerance_s * rate))
    readings = sum(map(len, answered.values()))
    return {
        "ok": readings > 0 and not lost and not doubled,
        "readings": readings,
        **counts(store),
        "lost": sum(lost.values()),
        "duplicates": sum(doubled.values()),
        "in_gap": in_gap,
        "p95_age_s": percentile_95(ages(answered, kept, outages)),
        "rate": round(rate, 3),
        "tolerance_s": tolerance_s,
        "lost_values": listed(lost),
        "duplicate_values": listed(doubled),
    }


def interval(text: str) -> Interval:
    """`FROM,TO` in unix seconds."""
    start, end = (float(part) for part in text.split(","))
    return start, end


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description="Compare the simulation's journal with the centre's store.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the simulation's --out folder")
    parser.add_argument("store", type=Path, metavar="STORE", help="the centre's SQLite store")
    parser.add_argument("--outage", type=interval, action="append", default=[], metavar="FROM,TO", help="wall unix s")
    parser.add_argument("--tolerance-s", type=float, default=0.5, help="wall seconds around a declared gap")
    parser.add_argument("--json", action="store_true", help="the object on one line")
    arguments = parser.parse_args()
    try:
        store = sqlite3.connect(f"{arguments.store.resolve().as_uri()}?mode=ro", uri=True)
        result = compare(arguments.folder, store, arguments.outage, arguments.tolerance_s)
    except (sqlite3.Error, OSError, ValueError, KeyError) as error:
        print(f"compare: {arguments.folder}, {arguments.store}: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, ensure_ascii=False, indent=None if arguments.json else 1))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
