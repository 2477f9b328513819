"""What may be asked of the boards' management over the daemon's socket. The codec is loaded by the first question."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from host.control import Handler, RequestError

if TYPE_CHECKING:
    from agent.daemon import Daemon
    from agent.firmware.boards import BoardDesk
    from agent.firmware.desk import FirmwareDesk


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
    }


def _number(request: Mapping[str, Any], name: str) -> int:
    value = request.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError(f"{name}: a whole number is needed")
    return value


def _desk(daemon: "Daemon") -> "FirmwareDesk":
    try:
        from agent.firmware.desk import FirmwareDesk
    except ModuleNotFoundError as error:
        raise RequestError(f"{error.name} is not installed: pip install plumeline[firmware]") from error
    return FirmwareDesk(daemon.config, daemon.sources.lines, daemon.intake, daemon.clock, daemon.event, daemon.jobs)
