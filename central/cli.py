"""What the centre's commands do."""

import argparse
import asyncio
import json
import logging
import os
import resource
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from central.config import Config, Station
from host.clock import clock_from
from host.hardening import keep_memory_private
from host.hjson import load
from host.problems import ConfigErrors
from metrology.clock import Clock
from metrology.periods import parse_iso

PRIVATE = 0o077


def _load(line: argparse.Namespace) -> Config | None:
    """The configuration; None after its errors were said."""
    try:
        return load(line.config, Config, line.lang)
    except ConfigErrors as errors:
        for problem in errors.problems:
            print(problem, file=sys.stderr)
        return None


def _clock(line: argparse.Namespace) -> Clock | None:
    try:
        return clock_from(line.clock)
    except ValueError as error:
        print(error, file=sys.stderr)
        return None


def run(line: argparse.Namespace) -> int:
    """Run the centre until SIGTERM. Its store is readable by its own user only: frames in it hold passwords."""
    from central.daemon import serve

    keep_memory_private()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    clock, config = _clock(line), _load(line)
    if clock is None:
        return 2
    if config is None:
        return 1
    os.umask(PRIVATE)
    # Each station is an open file; what a shell allows at first is meant for programs with a few.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(config, str(Path(line.config).resolve()), clock, line.clock))
    return 0


def check(line: argparse.Namespace) -> int:
    """Say what is wrong with a configuration, with line and column."""
    try:
        load(line.config, Config, line.lang)
        problems = []
    except ConfigErrors as errors:
        problems = errors.problems
    if line.json:
        print(json.dumps([asdict(problem) for problem in problems], ensure_ascii=False))
    else:
        for problem in problems:
            print(problem)
    return 1 if problems else 0


def attribute(line: argparse.Namespace) -> int:
    """Run one attribution and keep it; exit 1 with the reason where the data do not allow one."""
    clock, config = _clock(line), _load(line)
    at = _time(line.at, clock) if clock else None
    if clock is None or at is None:
        return 2
    if config is None or config.attribution is None:
        print("no attribution is configured", file=sys.stderr) if config else None
        return 1
    return _attribute(config, at, line.json)


def _attribute(config: Config, at: datetime, as_json: bool) -> int:
    # Heavy libraries: only this command pays for them.
    from central.attribution import attribute_window
    from central.results import keep, publish
    from central.store import Store
    from inversion.geojson import candidates

    assert config.attribution is not None
    os.nice(10)  # the ingest goes first
    os.umask(PRIVATE)
    store = Store(config.store, config.stations, time.time)
    try:
        began = time.monotonic()
        result = attribute_window(config, config.attribution, store.db, at)
        keep(store.db, config.attribution, at, result, time.monotonic() - began)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        store.close()
    publish(Path(config.store).parent, result)
    document = candidates(result)
    if as_json:
        print(json.dumps(document))
    else:
        for feature in document["features"]:
            print(feature["geometry"]["coordinates"], feature["properties"])
    return 0


def _time(text: str | None, clock: Clock) -> datetime | None:
    if text is None:
        return clock.now()
    try:
        return parse_iso(text)
    except ValueError as error:
        print(f"--at: {error}: write 2026-03-01T04:00:00Z", file=sys.stderr)
        return None


def enrol(line: argparse.Namespace) -> int:
    """Show what an enrolled station needs on its side; with --code make the one-time code by which it enrols."""
    config = _load(line)
    if config is None:
        return 1
    station = config.stations.get(line.station)
    if station is None:
        print(f"{line.station} is not among the stations: {', '.join(sorted(config.stations))}", file=sys.stderr)
        return 1
    if line.code:
        from central.ca_cli import code

        return code(line, config)
    block = _station_block(line.station, station, config)
    print(json.dumps(block, ensure_ascii=False, indent=None if line.json else 2))
    return 0


def _station_block(station_id: str, station: Station, config: Config) -> dict[str, Any]:
    """Blocks `station` and `uplinks` of the station's own configuration, and what else must agree."""
    uplinks: dict[str, Any] = {}
    if (broker := config.authority.broker if config.authority else config.mqtt) is not None:
        uplinks["centre"] = {"kind": "mqtt", "host": broker.host, "port": broker.port}
    for name, outlet in station.outlets.items():
        factors = {code: f.model_dump(exclude_none=True) for code, f in outlet.factors.items()}
        uplinks[f"platform-{name}"] = {
            "kind": "hj212",
            "host": config.hj212.host if config.hj212 else None,
            "port": config.hj212.port if config.hj212 else None,
            "outlet": name,
            "mn": outlet.mn,
            "st": outlet.st,
            "factors": factors,
        }
    own = {
        "id": station_id,
        "network": station.network,
        "name_zh": station.name_zh,
        "name_en": station.name_en,
        "position": station.position.model_dump(),
    }
    topics = f"plumeline/v1/{station.network}/{station_id}/"
    return {"station": own, "uplinks": uplinks, "topics": topics, "certificate_cn": station_id, "vkey": station.vkey}
