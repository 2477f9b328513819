"""Whether five years fit: what the configured rates will write, beside quota and disk; and what may give way."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from agent.checks.findings import Findings
from agent.checks.stacks import flow_source
from agent.config import Config, Instrument, MqttUplink
from agent.store.packing import pack
from metrology.declaration import DriverInfo
from metrology.reading import Reading, Scan
from protocols.record import encode, scan_fields

GB: Final = 1e9
YEARS_KEPT: Final = 5
YEAR_S: Final = 366 * 86400
# A row beside its packed body (its leaf hash, here and in a checkpoint) and what pages leave empty, so that the sum is
# what `tools/bench storage` measures.
ROW_BYTES: Final = 66
PAGES: Final = 1.4
# A number as instruments give it, and one as it is computed: they differ in their digits.
READ: Final = 1234.5678
_GOLDEN: Final = 0.6180339887
COMPUTED: Final = 1234.5678901234567
# One row of an average record, for each series, with its share of the members around it; in the log and in the index.
AVERAGE_BYTES: Final = 2 * 60
AVERAGES_PER_YEAR: Final = 366 * (1440 + 24 + 1)


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes a year: of raw, and of what is never dropped."""

    raw: float
    averages: float

    @property
    def five_years(self) -> float:
        """GB that all of five years take."""
        return YEARS_KEPT * (self.raw + self.averages) / GB


def check_space(
    config: Config, known: Mapping[str, DriverInfo], series: Mapping[str, DriverInfo], find: Findings
) -> None:
    """Everything is kept five years by law: compare; `known` are the drivers, `series` with what is derived."""
    need = needed(config, known, series)
    needed_GB, quota_GB = need.five_years, config.store.quota_GB
    if needed_GB > quota_GB:
        years = YEARS_KEPT * quota_GB / needed_GB
        find.warn("quota-short", "store", "quota_GB", needed=f"{needed_GB:.0f}", years=f"{years:.1f}")
    path = Path(config.store.path)
    if path.is_dir():
        _disk(path, min(needed_GB, quota_GB), find)
    _ladder(config, find)
    _kept(config, find)


def needed(config: Config, known: Mapping[str, DriverInfo], series: Mapping[str, DriverInfo]) -> Need:
    """Bytes a year of a whole station."""
    rows = [
        _a_year(name, info, series[name], _per_minute(config.instruments[name]), READ) for name, info in known.items()
    ]
    for name, block in config.stacks.items():
        source = config.instruments.get(flow_source(block))
        if source:
            rows.append(_a_year(name, series[name], series[name], _per_minute(source), COMPUTED))
    return Need(sum(row.raw for row in rows), sum(row.averages for row in rows))


def _per_minute(instrument: Instrument) -> float:
    return instrument.expected_per_minute or (60 / instrument.poll_s if instrument.poll_s else 60)


def _a_year(name: str, info: DriverInfo, series: DriverInfo, per_minute: float, like: float) -> Need:
    at, digits = datetime(2026, 1, 1, tzinfo=UTC), len(repr(like).partition(".")[2])
    values = (round(like * (1 + number * _GOLDEN % 1), digits) for number in range(1, len(info.measurands) + 1))
    rows = zip(info.measurands.items(), values, strict=True)
    scan = Scan(name, at, tuple(Reading(name, one, value, unit, at) for (one, unit), value in rows))
    body = encode({"v": 1, "epoch": 1, "seq": 10**8, "kind": "scan", "t": at.isoformat(), **scan_fields(scan)})
    averages = len(series.measurands) * AVERAGES_PER_YEAR * AVERAGE_BYTES
    return Need((PAGES * len(pack(body)) + ROW_BYTES) * per_minute * YEAR_S / 60, averages)


def _disk(path: Path, wanted_GB: float, find: Findings) -> None:
    """Only where the store is: a draft checked at a desk says nothing of that desk's disk."""
    disk = os.statvfs(path)
    used = sum(one.lstat().st_blocks * 512 for one in path.rglob("*") if one.is_file())
    room_GB = (disk.f_bavail * disk.f_frsize + used) / GB
    if room_GB < wanted_GB:
        find.warn("disk-short", "store", "path", wanted=f"{wanted_GB:.0f}", room=f"{room_GB:.0f}")


def _ladder(config: Config, find: Findings) -> None:
    space = config.store.space
    steps = ("warning_percent", "alarm_percent", "optional_percent", "reserve_percent")
    for above, below in pairwise(steps):
        if getattr(space, above) < getattr(space, below):
            find.error("space-order", "store", "space", above=above, below=below)
    if space.ballast_MB / 1000 > config.store.quota_GB / 4:
        find.error("ballast-large", "store", "space", ballast=f"{space.ballast_MB:g}", quota=config.store.quota_GB)


def _kept(config: Config, find: Findings) -> None:
    """Less than five years only where a second copy is trusted, and can be made."""
    store = config.store
    if store.keep_raw_years < YEARS_KEPT and not store.second_copy:
        find.error("keep-short", "store", "keep_raw_years", years=f"{store.keep_raw_years:g}")
    witnessed = any(
        isinstance(one, MqttUplink) and one.witness is not None and "scan" in one.kinds
        for one in config.uplinks.values()
    )
    if "centre" in store.second_copy and not witnessed:
        find.error("second-copy-centre", "store", "second_copy")
