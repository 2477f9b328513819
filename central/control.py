"""What may be asked of a running centre over its socket, which lies beside its store (mode 0600)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from central.config import Config
from central.hj212_desk import Desk, RefusedError
from host.control import Control, Gate, Handler, RequestError

MODE: Final = 0o600


def socket_path(config: Config) -> Path:
    """Where the centre of a configuration listens for its command line."""
    return Path(config.store).with_name("control.sock")


def control(config: Config, desk: Desk, gate: Gate | None = None) -> Control:
    """The socket, ready to run."""
    return Control(socket_path(config), handlers(desk), MODE, gate)


def handlers(desk: Desk) -> Mapping[str, Handler]:
    """Handlers by name; each gives one answer."""

    async def _stations(_: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield {"outlets": await desk.outlets()}

    async def _dialogue(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"lines": await desk.dialogue(_text(request, "mn"))}
        except RefusedError as error:
            raise RequestError(str(error)) from error

    async def _send(request: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        fields = request.get("fields")
        if not isinstance(fields, list) or not all(isinstance(one, str) for one in fields):
            raise RequestError("fields: a list of texts is needed")
        try:
            task = desk.send(_text(request, "mn"), _text(request, "cn"), fields, _text(request, "who"))
        except RefusedError as error:
            raise RequestError(str(error)) from error
        # Who asked may go away: the command goes on, and its end is on record.
        yield await asyncio.shield(task)

    return {"hj212-stations": _stations, "hj212-dialogue": _dialogue, "hj212-send": _send}


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise RequestError(f"{name}: a text of 1 to 200 characters is needed")
    return value
