"""What may be asked of the boards' management over the daemon's socket. The codec is loaded by the first question."""

import math
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from host.control import Handler, RequestError
from metrology.periods import parse_iso

if TYPE_CHECKING:
    from agent.daemon import Daemon
    from agent.firmware.boards import BoardDesk
    from agent.firmware.desk import FirmwareDesk
    from agent.firmware.parts import BoardParts


def handlers(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """Handlers by name; `text` takes a text out of a request, or refuses."""
    made: list[FirmwareDesk] = []

    def desk() -> "FirmwareDesk":
        if not made:
            made.append(_desk(daemon))
        return made[0]

    async def _list(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await desk().listed()

    async def _update(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        async for state in desk().update(request, text(request, "who")):
            yield state

    async def _stop(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield desk().stop(text(request, "who"))

    def boards() -> "BoardDesk":
        from agent.firmware.boards import BoardDesk

        return BoardDesk(daemon.sources.lines, daemon.clock, daemon.event)

    async def _find(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await boards().find(_number(request, "first"), _number(request, "last"), text(request, "who"))

    async def _time(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await boards().set_time(text(request, "boards"), text(request, "who"))

    async def _setting(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        value = None if request.get("value") is None else text(request, "value")
        yield await boards().setting(text(request, "board"), text(request, "name"), value, text(request, "who"))

    return {
        "firmware-list": _list,
        "firmware-update": _update,
        "firmware-stop": _stop,
        "board-find": _find,
        "board-time": _time,
        "board-setting": _setting,
        **_calibration(daemon, text),
    }


def _calibration(daemon: "Daemon", text: Callable[[Mapping[str, Any], str], str]) -> dict[str, Handler]:
    """Handlers of the tables and of the check against neighbours."""

    def parts() -> "BoardParts":
        if daemon.boards is None:
            raise RequestError("this station has no line with micro-sensor boards")
        return daemon.boards

    def optional(request: Mapping[str, Any], name: str) -> str | None:
        return None if request.get(name) is None else text(request, name)

    async def _list(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield parts().calibration.listed(optional(request, "board"))

    async def _show(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield parts().calibration.shown(text(request, "board"))

    async def _put(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await parts().calibration.put(request, text(request, "who"), text(request, "reason"))

    async def _import(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        who, reason, apply = text(request, "who"), text(request, "reason"), request.get("apply") is True
        yield await parts().calibration.imported(request.get("rows"), who, reason, apply=apply)

    async def _confirm(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        board, who, reason = (text(request, name) for name in ("board", "who", "reason"))
        yield await parts().calibration.confirm(board, who, reason)

    async def _drift(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield await parts().drift.shown(_number(request, "days"), optional(request, "reference"))

    async def _accept(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        names = ("board", "measurand", "proposal", "who", "reason")
        board, measurand, proposal, who, reason = (text(request, name) for name in names)
        yield await parts().drift.offers.accept(board, measurand, proposal, who, reason)

    async def _colocate(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        board, measurand, reference = (text(request, name) for name in ("board", "measurand", "reference"))
        since, until = _instant(text(request, "from")), _instant(text(request, "to"))
        u = request.get("u")
        if u is not None and not (isinstance(u, int | float) and 0 <= u < math.inf):
            raise RequestError("u: a standard uncertainty in the unit of the reference, not below 0")
        yield await parts().colocation.shown(board, measurand, reference, since, until, u)

    async def _accept_colocation(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        names = ("board", "measurand", "proposal", "who", "reason")
        board, measurand, proposal, who, reason = (text(request, name) for name in names)
        yield await parts().colocation.offers.accept(board, measurand, proposal, who, reason)

    return {
        "board-calibration-list": _list,
        "board-calibration-show": _show,
        "board-calibration-set": _put,
        "board-calibration-import": _import,
        "board-calibration-confirm": _confirm,
        "board-drift": _drift,
        "board-drift-accept": _accept,
        "board-colocate": _colocate,
        "board-colocate-accept": _accept_colocation,
    }


def _number(request: Mapping[str, Any], name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{name}: a whole number is needed")
    return value


def _instant(value: str) -> datetime:
    try:
        return parse_iso(value)
    except ValueError as error:
        raise RequestError(f"{value}: {error}") from error


def _desk(daemon: "Daemon") -> "FirmwareDesk":
    try:
        from agent.firmware.desk import FirmwareDesk
    except ModuleNotFoundError as error:
        raise RequestError(f"{error.name} is not installed: pip install plumeline[firmware]") from error
    return FirmwareDesk(daemon.config, daemon.sources.lines, daemon.intake, daemon.clock, daemon.event, daemon.jobs)
