"""Once a day the closed days of the log are walked as `plumeline verify` does, by a process of the lowest priority.

What it finds is an event, so the centre hears of it. It is help and no proof: whoever altered the log may have altered
the walk; the centre's own challenge is what counts.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.ledger.places import closed_files, rows_of
from agent.ledger.walk import Finding, Walk
from metrology.periods import DAY_S

if TYPE_CHECKING:
    from agent.daemon import Daemon

# After a start the station has other things to do; then once a day from there on.
FIRST_S: Final = 1800.0
SHOWN_MAX: Final = 20
# Findings remembered as told; what is beyond is told again.
TOLD_MAX: Final = 10_000
NICE: Final = 19
WALK_FAILED: Final = "walk-failed"
# Files removed since the last daily walk are few; a first one after a big clean-up may be many.
DELETIONS_MAX: Final = 10_000
# A walk of five years takes some hours on a small machine.
WALL_S: Final = 20 * 3600.0


async def walks(daemon: "Daemon") -> None:
    """Walk each day; what was found is told once for as long as the station runs."""
    told: set[str] = set()
    pause = FIRST_S
    while True:
        await daemon.clock.sleep(pause)
        pause = DAY_S
        found = await walk_once(Path(daemon.config.store.path) / "segments", daemon.log.vkeys)
        new = [one for one in found["findings"] if _key(one) not in told and not await _explained(daemon, one)]
        told.update(_key(one) for one in new[: TOLD_MAX - len(told)])
        if new:
            detail = {"findings": new[:SHOWN_MAX], "count": found["count"], "records": found["records"]}
            daemon.event("ledger-broken", {"origin": "ledger", **detail})


async def _explained(daemon: "Daemon", finding: dict[str, Any]) -> bool:
    """Whether the file still being written, which the walk does not see, tells why; or a key of an epoch is lost."""
    if daemon.index is None or finding["what"] not in ("raw-missing", "checkpoint-signature"):
        return False
    epoch, span = finding["epoch"], finding["detail"]
    if finding["what"] == "checkpoint-signature":
        rows = await daemon.log.call(daemon.index.newest, "event", "key-lost", DELETIONS_MAX)
        return any(row["epoch"] > epoch for row in rows)
    rows = await daemon.log.call(daemon.index.newest, "event", "raw-deleted", DELETIONS_MAX)
    return any(row["of_epoch"] == epoch and row["first"] <= span["from"] <= span["to"] <= row["last"] for row in rows)


def _key(finding: dict[str, Any]) -> str:
    return f"{finding['what']} {finding['epoch']} {finding['seq']}"


async def walk_once(folder: Path, vkeys: Sequence[str]) -> dict[str, Any]:
    """What a walk over the closed files found: `findings`, their `count`, how many `records`; or `failed`, why."""
    line = (sys.executable, "-m", "agent.ledger.daily", str(folder), *vkeys)
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WALL_S):
            out, said = await process.communicate()
        return dict(json.loads(out))
    except (TimeoutError, ValueError):
        why = "not done in time" if process.returncode is None else said.decode(errors="replace")[-300:]
        return {"findings": [{"what": WALK_FAILED, "epoch": 0, "seq": None, "why": why}], "count": 1, "records": 0}
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _found(folder: Path, vkeys: Sequence[str]) -> dict[str, Any]:
    walk = Walk(vkeys)
    # The newest checkpoint of a closed day lies before its end: what is behind it is judged tomorrow.
    findings = [one for one in _all(walk, folder) if not one.told]
    shown = [{"what": f.what, "epoch": f.epoch, "seq": f.seq, "detail": dict(f.detail)} for f in findings[:1000]]
    return {"findings": shown, "count": len(findings), "records": walk.counts["records"]}


def _all(walk: Walk, folder: Path) -> Iterator[Finding]:
    for row in rows_of(closed_files(folder)):
        if isinstance(row, Finding):
            yield row
        else:
            yield from walk.take(row)
    yield from walk.end()


def main() -> None:
    """The process: prints what it found as JSON."""
    parser = argparse.ArgumentParser(prog="agent.ledger.daily")
    parser.add_argument("folder", type=Path)
    parser.add_argument("vkeys", nargs="+")
    line = parser.parse_args()
    os.nice(NICE)
    print(json.dumps(_found(line.folder, line.vkeys)))


if __name__ == "__main__":
    main()
