"""`plumeline key rotate`: the station's key is changed, by the running daemon or in the log of a stopped one."""

import argparse
import asyncio
import getpass
import json
import sys
from pathlib import Path
from typing import Any

import apsw

from agent.cli.words import say
from agent.config import Config
from agent.ledger.keys import StationKeys, new_signer
from agent.store.log import Log
from host.clock import clock_from
from host.control import RequestError, ask
from host.hjson import load
from host.problems import ConfigErrors
from host.secrets import SecretError, read_secret
from metrology.periods import HOUR_S
from protocols.tlog import NoteError, signer_from_seed


def rotate(line: argparse.Namespace) -> int:
    """Change the key; 1 where that is refused, 2 where the configuration or a key cannot be read."""
    key = _reference(line.new_key)
    who = line.who or getpass.getuser()
    try:
        config = load(line.config, Config, line.lang)
        new = new_signer(key, f"plumeline/{config.station.id}")
    except (ConfigErrors, SecretError, NoteError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        told = asyncio.run(_rotated(config, key, new, who, line.reason))
    except (RequestError, SecretError, NoteError, apsw.Error, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if line.json:
        print(json.dumps(told))
    else:
        print(say("key.rotated", line.lang, vkey=told["vkey"], reference=json.dumps(key), config=line.config))
    return 0


def _reference(text: str) -> dict[str, str]:
    """`credential:NAME`, or the path of a file."""
    kind, colon, name = text.partition(":")
    return {"credential": name} if colon and kind == "credential" else {"file": str(Path(text).resolve())}


async def _rotated(config: Config, key: dict[str, str], new: Any, who: str, reason: str) -> dict[str, Any]:
    if await _runs(config.socket):
        request = {"do": "key-rotate", "key": key, "who": who, "reason": reason}
        return [answer async for answer in ask(config.socket, request)][-1]
    return await _offline(config, new, who, reason)


async def _runs(socket: str) -> bool:
    try:
        return bool([answer async for answer in ask(socket, {"do": "events"})])
    except RequestError:
        return False


async def _offline(config: Config, new: Any, who: str, reason: str) -> dict[str, Any]:
    """The same in the log of a stopped station. Raises apsw.BusyError where it is in use."""
    station, segments = config.station, Path(config.store.path) / "segments"
    seed = read_secret(config.ledger.key).decode("ascii", "replace")
    keys = StationKeys(segments, signer_from_seed(seed, f"plumeline/{station.id}"))
    log = Log(
        segments, clock_from(None), station_id=station.id, signer=keys.ring, simulated=station.simulated,
        day_offset_s=int(station.day_start_utc_offset_h * HOUR_S),
    )  # fmt: skip
    running = asyncio.create_task(log.run())
    try:
        await keys.begin(log)
        said, checkpoint = await keys.rotate(log, station.id, new, who, reason)
        return {"vkey": new.vkey, "record": [said.epoch, said.seq], "checkpoint": checkpoint.seq}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
