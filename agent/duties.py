"""What a daemon does all the time beside measuring and sending, each a task of its own."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.ledger.checkpoints import checkpoints
from agent.ledger.daily import walks
from agent.space.keeper import space
from host.notify import WATCHDOG, notify, watchdog_s

if TYPE_CHECKING:
    from agent.daemon import Daemon

PAGE_RESTART_WALL_S: Final = 30.0


async def page(daemon: "Daemon") -> None:
    """The page is a process of its own: it may fail, and is started again, without touching a measurement."""
    configured = daemon.config.page
    while configured is not None:
        credentials = str(Path(daemon.config.store.path) / "page-password")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.page", daemon.config.socket, configured.host, str(configured.port), credentials
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
DUTIES: Final[tuple[Callable[["Daemon"], Coroutine[Any, Any, None]], ...]] = (checkpoints, walks, watchdog, page, space)
