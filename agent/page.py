"""The station page, a process of its own: it asks the daemon over its socket and holds no data.

Started by the daemon where `page` is configured: `python -m agent.page SOCKET HOST PORT CREDENTIALS`.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import uvicorn
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.analysis.nodes import fragment
from agent.analysis.tree import tree
from agent.page_gases import GasPages
from host.control import RequestError, ask
from web.credentials import Credentials
from web.serve import config
from web.shell import Shell

LOOK_UP_WALL_S: Final = 120.0


class Page:
    """State of one station; `socket` is the daemon's."""

    def __init__(self, socket: str, credentials: Credentials) -> None:
        self._socket = socket
        self._shell = Shell("agent", credentials)
        # One look into the past at a time, whoever asks.
        self._turn = asyncio.Lock()

    def application(self) -> Starlette:
        """Everything the page answers."""
        return self._shell.application(
            [
                Route("/", self._state),
                Route("/trace", self._trace),
                Route("/api/status", self._status),
                Route("/api/events", self._events),
                *GasPages(self._shell, self._once).routes(),
            ]
        )

    async def _state(self, request: Request) -> Response:
        return self._shell.page(request, "state.html", {})

    async def _status(self, request: Request) -> Response:
        return await self._asked("status")

    async def _events(self, request: Request) -> Response:
        return await self._asked("events")

    async def _trace(self, request: Request) -> Response:
        """What stands behind an average, looked up by a process of its own: the page itself stays small."""
        words = self._shell.words(request)
        series, at, period = (request.query_params.get(name, "") for name in ("series", "at", "period"))
        found, error = await self._looked_up(series, at, period or "1h")
        told = tree(found, words.lang) if found else None
        values = {
            "series": series,
            "at": at,
            "period": period or "1h",
            "title": told.text if told else series,
            "inner": Markup(fragment(told)) if told else "",
            "problem": error,
        }
        return self._shell.page(request, "trace.html", values, 200 if found else 404)

    async def _looked_up(self, series: str, at: str, period: str) -> tuple[dict[str, Any], str]:
        line = ("trace", f"--period={period}", "--socket", self._socket, "--json", "--", series, at)
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent", *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            try:
                async with asyncio.timeout(LOOK_UP_WALL_S):
                    out, said = await process.communicate()
            except TimeoutError:
                return {}, f"{LOOK_UP_WALL_S:g} s"
            finally:
                if process.returncode is None:
                    process.kill()
        return (json.loads(out), "") if out else ({}, said.decode(errors="replace").strip()[-500:])

    async def _asked(self, what: str) -> Response:
        """The daemon's one answer; 503 with its reason where there is none."""
        try:
            return JSONResponse(await self._once({"do": what}))
        except RequestError as error:
            return JSONResponse({"error": str(error)}, 503)

    async def _once(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The daemon's one answer to a request. Raises RequestError."""
        try:
            answers = [answer async for answer in ask(self._socket, request)]
        except OSError as error:
            raise RequestError(str(error)) from error
        if not answers:
            raise RequestError(f"{self._socket}: hung up")
        return answers[0]


def main() -> None:
    """Serve until SIGTERM."""
    socket, host, port, credentials = sys.argv[1:]
    page = Page(socket, Credentials(Path(credentials)))
    uvicorn.Server(config(page.application(), host, int(port))).run()


if __name__ == "__main__":
    main()
