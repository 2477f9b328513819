"""What a daemon does all the time beside measuring and sending, each a task of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from agent.enrol_renewal import renewals
from agent.ledger.checkpoints import checkpoints
from agent.ledger.daily import walks
from agent.people import waiting_acts
from agent.space.keeper import space
from agent.update.running import recorded_software
from host.notify import WATCHDOG, notify, watchdog_s
from host.secrets import SecretError, path_of

if TYPE_CHECKING:
    from agent.config import Config, Page
    from agent.daemon import Daemon

PAGE_RESTART_WALL_S: Final = 30.0
# A password costs 19 MiB for a moment: they go back to the system at once.
PAGE_ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}


def _started(config: "Config", page: "Page") -> dict[str, Any]:
    """What the page's process is told; a key is told by its place."""
    return {
        "socket": config.socket,
        "host": page.host,
        "port": page.port,
        "folder": config.store.path,
        "certificate": page.tls.certificate if page.tls else None,
        "key": str(path_of(page.tls.key)) if page.tls else None,
        "behind_proxy": page.behind_proxy,
        "names": page.reached_by,
        "idle_s": page.idle_min * 60,
        "session_s": page.session_h * 3600,
        "notice": page.notice,
    }


async def page(daemon: "Daemon") -> None:
    """The page is a process of its own: it may fail, and is started again, without touching a measurement."""
    configured = daemon.config.page
    while configured is not None:
        try:
            told = json.dumps(_started(daemon.config, configured))
        except SecretError as error:
            daemon.event("page-ended", {"code": None, "reason": str(error)})
            await daemon.clock.sleep_wall(PAGE_RESTART_WALL_S)
            continue
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.page", told, env={**os.environ, **PAGE_ENVIRONMENT}
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        daemon.event("page-ended", {"code": code})
        await daemon.clock.sleep_wall(PAGE_RESTART_WALL_S)


async def watchdog(daemon: "Daemon") -> None:
    """Feed the service manager only while commits go on: a loop that turns without storing is no life."""
    limit_s = watchdog_s()
    if limit_s is None:
        return
    seen = -1
    while True:
        await daemon.clock.sleep_wall(limit_s / 4)
        committed = daemon.log.next_seq
        # A quiet station has a record a minute, which may be longer than the manager waits.
        if committed != seen or (not daemon.log.pending and await daemon.log.beat()):
            notify(WATCHDOG)
        seen = committed


# Each runs until the end; a station without what one needs has it return.
DUTIES: Final[tuple[Callable[["Daemon"], Coroutine[Any, Any, None]], ...]] = (
    checkpoints, walks, watchdog, page, space, waiting_acts, recorded_software, renewals,
)  # fmt: skip
