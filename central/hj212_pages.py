"""HJ 212 on a station's page: its outlets, what they uploaded beside values, what was said, a form for commands."""

import asyncio
import json
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from central.config import Config
from central.hj212_desk import Desk, RefusedError
from web.access import PERSON
from web.shell import Shell

BODY_BYTES_MAX: Final = 4096
# A command that takes longer goes on; its end is in the dialogue and on record.
PATIENCE_S: Final = 15.0


class DeskPages:
    """Routes over the desk of the running centre."""

    def __init__(self, config: Config, desk: Desk, shell: Shell) -> None:
        self._config = config
        self._desk = desk
        self._shell = shell

    def routes(self) -> list[BaseRoute]:
        """The paths under a station."""
        own = "/api/stations/{station}/hj212"
        return [
            Route(own, self._outlets),
            Route(own + "/{mn}/dialogue", self._dialogue),
            Route(own + "/{mn}/send", self._send, methods=["POST"]),
        ]

    async def _outlets(self, request: Request) -> Response:
        station = request.path_params["station"]
        if station not in self._config.stations:
            raise HTTPException(404)
        outlets = await self._desk.outlets(station)
        commands = {one["mn"]: self._desk.commands(one["mn"]) for one in outlets}
        return JSONResponse({"outlets": outlets, "items": await self._desk.items(station), "commands": commands})

    async def _dialogue(self, request: Request) -> Response:
        return JSONResponse({"lines": await self._desk.dialogue(self._mn(request))})

    async def _send(self, request: Request) -> Response:
        mn, body = self._mn(request), await self._body(request)
        cn, fields = body.get("cn"), body.get("fields")
        if not isinstance(cn, str) or not isinstance(fields, list) or not all(isinstance(f, str) for f in fields):
            raise HTTPException(400, self._shell.words(request)("bad_command"))
        try:
            task = self._desk.send(mn, cn, fields, _who())
        except RefusedError as error:
            raise HTTPException(409, str(error)) from error
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        return JSONResponse(task.result() if done else {"outcome": "under way", "code": None, "data": []})

    def _mn(self, request: Request) -> str:
        """MN of the path, where it is one of the station's outlets."""
        route = self._desk.routes.get(request.path_params["mn"])
        if route is None or route.station_id != request.path_params["station"]:
            raise HTTPException(404)
        return route.outlet.mn

    async def _body(self, request: Request) -> dict[str, Any]:
        """A JSON object of our own page: no form of another site can send this type, nor read what comes of it."""
        size = int(request.headers.get("content-length", BODY_BYTES_MAX + 1))
        if request.headers.get("content-type") != "application/json" or size > BODY_BYTES_MAX:
            raise HTTPException(403, self._shell.words(request)("bad_command"))
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise HTTPException(400, self._shell.words(request)("bad_command"))
        return body


def _who() -> str:
    person = PERSON.get()
    assert person is not None, "the guard let nobody else in"
    return person.name
