"""Once a day closed days of the log are walked as `plumeline verify` does, by a process of the lowest priority.

Each time the newest, and a month of the others in turn. What was walked and what was found are events, so the centre
hears of both, and of a station that no longer walks. It is help and no proof: whoever altered the log may have altered
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

from agent.ledger.places import closed_files, ended_with, rows_of
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
# Days walked beside the newest, in turn: five years are through in two months.
FILES_MAX: Final = 31
WALK_FAILED: Final = "walk-failed"
# Files removed since the last daily walk are few; a first one after a big clean-up may be many.
DELETIONS_MAX: Final = 10_000
# A month takes some minutes on a small machine; one that a person wrote to without end takes no longer than this.
WALL_S: Final = 20 * 3600.0


async def walks(daemon: "Daemon") -> None:
    """Walk each day; what was found is told once for as long as the station runs."""
    told: set[str] = set()
    pause = FIRST_S
    while True:
        await daemon.clock.sleep(pause)
        pause = DAY_S
        found = await walk_once(Path(daemon.config.store.path) / "segments", daemon.log.vkeys, await _after(daemon))
        if "parts" in found:
            said = {name: found[name] for name in ("records", "count", "files", "of_files", "parts", "next")}
            daemon.event("ledger-walked", {"origin": "ledger", **said})
        new = [one for one in found["findings"] if _key(one) not in told and not await _explained(daemon, one)]
        told.update(_key(one) for one in new[: TOLD_MAX - len(told)])
        if new:
            detail = {"findings": new[:SHOWN_MAX], "count": found["count"], "records": found["records"]}
            daemon.event("ledger-broken", {"origin": "ledger", **detail})


async def _after(daemon: "Daemon") -> str:
    """Name of the file up to which days were walked in turn, as the last walk says; '' to begin anew."""
    rows = await daemon.log.look_up(daemon.index.newest, "event", "ledger-walked", 1) if daemon.index else []
    return str(rows[0]["next"]) if rows else ""


async def _explained(daemon: "Daemon", finding: dict[str, Any]) -> bool:
    """Whether the file still being written, which the walk does not see, tells why; or a key of an epoch is lost."""
    if daemon.index is None or finding["what"] not in ("raw-missing", "checkpoint-signature", "numbers-missing"):
        return False
    epoch, span = finding["epoch"], finding["detail"]
    if finding["what"] == "numbers-missing":
        told = [
            row
            for what in ("log-damaged", "log-salvaged")
            for row in await daemon.log.look_up(daemon.index.newest, "event", what, DELETIONS_MAX)
        ]
        return any(_lost(row, epoch, span["from"], span["to"]) for row in told)
    if finding["what"] == "checkpoint-signature":
        rows = await daemon.log.look_up(daemon.index.newest, "event", "key-lost", DELETIONS_MAX)
        return any(row["epoch"] > epoch for row in rows)
    rows = await daemon.log.look_up(daemon.index.newest, "event", "raw-deleted", DELETIONS_MAX)
    return any(row["of_epoch"] == epoch and row["first"] <= span["from"] <= span["to"] <= row["last"] for row in rows)


def _lost(row: dict[str, Any], epoch: int, first: int, last: int) -> bool:
    """Whether a record tells that these numbers were lost."""
    if row.get("of_epoch") != epoch:
        return False
    if row["what"] == "log-salvaged":
        return any(low <= first and last <= high for low, high in row["lost"])
    until = row.get("until")
    return bool(row["first"] <= first and (until is None or last < until))


def _key(finding: dict[str, Any]) -> str:
    return f"{finding['what']} {finding['epoch']} {finding['seq']}"


async def walk_once(folder: Path, vkeys: Sequence[str], after: str = "") -> dict[str, Any]:
    """What a walk over closed files found: `findings`, their `count`, how many `records`, and what was walked:
    `files` of `of_files`, `parts` with the newest signed tree of each, `next` (give it as `after` the next time).
    A walk that failed is a finding and has no parts.
    """
    line = (sys.executable, "-m", "agent.ledger.daily", str(folder), f"--after={after}", *vkeys)
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


def parts(paths: Sequence[Path], after: str) -> tuple[list[tuple[int, int]], str]:
    """Which of the closed files are walked, as [begin, end) of their list, and the last of those taken in turn."""
    if len(paths) <= FILES_MAX + 1:
        return [(0, len(paths))] if paths else [], ""
    newest = len(paths) - 1
    begin = next((at for at in range(newest) if paths[at].name > after), 0)
    end = min(begin + FILES_MAX, newest)
    if end == newest:
        return [(begin, len(paths))], ""
    return [(begin, end), (newest, len(paths))], paths[end - 1].name


def _found(folder: Path, vkeys: Sequence[str], after: str) -> dict[str, Any]:
    paths = closed_files(folder)
    spans, following = parts(paths, after)
    findings: list[Finding] = []
    told, records = [], 0
    for begin, end in spans:
        walk = Walk(vkeys, held=ended_with(paths[begin - 1]) if begin else None)
        # The newest checkpoint of a closed day lies before its end: what is behind it is judged tomorrow.
        findings += [one for one in _all(walk, paths[begin:end]) if not one.told]
        records += walk.counts["records"]
        newest = walk.newest
        tree = {"origin": newest.origin, "size": newest.size, "root": newest.root.hex()} if newest else {}
        told.append({"from": walk.first, "to": walk.last, "records": walk.counts["records"], **tree})
    shown = [{"what": f.what, "epoch": f.epoch, "seq": f.seq, "detail": dict(f.detail)} for f in findings[:1000]]
    return {
        "findings": shown, "count": len(findings), "records": records, "parts": told, "next": following,
        "files": sum(end - begin for begin, end in spans), "of_files": len(paths),
    }  # fmt: skip


def _all(walk: Walk, paths: Sequence[Path]) -> Iterator[Finding]:
    for row in rows_of(paths):
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
    parser.add_argument("--after", default="")
    line = parser.parse_args()
    os.nice(NICE)
    print(json.dumps(_found(line.folder, line.vkeys, line.after)))


if __name__ == "__main__":
    main()
