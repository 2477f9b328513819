"""What a running daemon does about its own software: records it, says how it fares, tells what became of an update."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.update.guard import HEALTH
from agent.update.software import software
from agent.update.versions import Update, Versions, of_this_program
from host.control import Handler, RequestError
from metrology.periods import iso

if TYPE_CHECKING:
    from agent.daemon import Daemon

HEALTH_WALL_S: Final = 20.0


async def recorded_software(daemon: "Daemon") -> None:
    """The `software` event of each start; in a versioned installation then the news of the last update, and health."""
    found = await asyncio.to_thread(software)
    await daemon.log.append("event", {"what": "software", "origin": "daemon", **found.fields()})
    if versions := of_this_program():
        await lived(daemon, versions, found.version)


async def lived(daemon: "Daemon", versions: Versions, version: str) -> None:
    """Say three times a minute how the daemon fares, for the guard of an update; record what became of one."""
    path = Path(daemon.config.store.path) / HEALTH
    run, began = f"{iso(daemon.started)} {os.getpid()}", daemon.log.next_seq
    told = await asyncio.to_thread(_told, path)
    while True:
        last = await asyncio.to_thread(versions.update)
        if last and (news := f"{last.id} {last.phase}") != told:
            await daemon.log.append("event", _event(last))
            told = news
        said = {"version": version, "run": run, "records": daemon.log.next_seq - began, "told": told}
        await asyncio.to_thread(_write, path, said)
        await daemon.clock.sleep_wall(HEALTH_WALL_S)


def _event(last: Update) -> dict[str, Any]:
    members = {"id": last.id, "version": last.version, "former": last.former, "manifest": last.manifest}
    reason = {"reason": last.reason} if last.reason else {}
    kept, trial = last.phase == "kept", last.phase == "trial"
    return {
        "what": "update-kept" if kept else "update-installed" if trial else "update-rolled-back",
        "origin": "update",
        "who": last.who,
        **members,
        **reason,
    }


def _told(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("told", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _write(path: Path, said: Mapping[str, Any]) -> None:
    """Nothing here is owed to anybody: what a full disk refuses, the guard takes for a bad look."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(said), encoding="utf-8")
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """`update-begin`: somebody is about to take another version into use; refused while gas flows or may soon."""

    async def _begin(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        words = {name: text(request, name) for name in ("id", "version", "manifest", "who")}
        if daemon.calibrator.busy:
            raise RequestError("a run with gas is going on: install when it is over")
        former = software().version
        record = await daemon.log.append(
            "event", {"what": "update-begun", "origin": words["who"], "former": former, **words}
        )
        await daemon.log.post_checkpoint()
        yield {"seq": record.seq}

    return {"update-begin": _begin}
