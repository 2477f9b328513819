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
from collections.abc import Iterator
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
NICE: Final = 19
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
        found = await walk_once(Path(daemon.config.store.path) / "segments", daemon.signer.vkey)
        new = [one for one in found["findings"] if _key(one) not in told and not await _removed_today(daemon, one)]
        told.update(_key(one) for one in new)
        if new:
            detail = {"findings": new[:SHOWN_MAX], "count": found["count"], "records": found["records"]}
            daemon.event("ledger-broken", {"origin": "ledger", **detail})


async def _removed_today(daemon: "Daemon", finding: dict[str, Any]) -> bool:
    """Whether raw that is gone is on record in the file that is still being written, which the walk does not see."""
    if finding["what"] != "raw-missing" or daemon.index is None:
        return False
    span, epoch = finding["detail"], finding["epoch"]
    rows = await daemon.log.call(daemon.index.newest, "event", "raw-deleted", DELETIONS_MAX)
    return any(row["of_epoch"] == epoch and row["first"] <= span["from"] <= span["to"] <= row["last"] for row in rows)


def _key(finding: dict[str, Any]) -> str:
    return f"{finding['what']} {finding['epoch']} {finding['seq']}"


async def walk_once(folder: Path, vkey: str) -> dict[str, Any]:
    """What a walk over the closed files found: `findings`, their `count`, how many `records`; or `failed`, why."""
    line = (sys.executable, "-m", "agent.ledger.daily", str(folder), vkey)
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WALL_S):
            out, said = await process.communicate()
        return dict(json.loads(out))
    except (TimeoutError, ValueError):
        why = "not done in time" if process.returncode is None else said.decode(errors="replace")[-300:]
        return {"findings": [{"what": "walk-failed", "epoch": 0, "seq": None, "why": why}], "count": 1, "records": 0}
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _found(folder: Path, vkey: str) -> dict[str, Any]:
    walk = Walk([vkey])
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
    parser.add_argument("vkey")
    line = parser.parse_args()
    os.nice(NICE)
    print(json.dumps(_found(line.folder, line.vkey)))


if __name__ == "__main__":
    main()
