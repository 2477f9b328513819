"""What a person may tell a running station of its clock."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.clock.state import BUILT
from host.control import Handler, RequestError
from metrology.periods import iso

if TYPE_CHECKING:
    from agent.daemon import Daemon


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """`clock-confirm`: a person looked at the clock and found it right."""

    async def _confirm(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        who, reason = text(request, "who"), text(request, "reason")
        if (shown := daemon.clock.now()) < BUILT:
            raise RequestError(
                f"the clock shows {iso(shown)}, which cannot be right: set it first (timedatectl set-time)"
            )
        told = {"what": "clock-confirmed", "origin": "clock", "who": who, "reason": reason}
        await daemon.log.append("event", {**told, **daemon.clock_state.now()})
        daemon.clock_state.was_set(who, stepped=False)
        daemon.clock_watch.look()
        yield daemon.clock_state.status()

    return {"clock-confirm": _confirm}
