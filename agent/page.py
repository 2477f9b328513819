"""The station page, a process of its own: it asks the daemon over its socket and holds no data.

Started by the daemon where `page` is configured: `python -m agent.page SOCKET HOST PORT CREDENTIALS`.
"""

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from host.control import RequestError, ask
from web.credentials import Credentials
from web.serve import config
from web.shell import Shell


class Page:
    """State of one station; `socket` is the daemon's."""

    def __init__(self, socket: str, credentials: Credentials) -> None:
        self._socket = socket
        self._shell = Shell("agent", credentials)

    def application(self) -> Starlette:
        """Everything the page answers."""
        return self._shell.application(
            [Route("/", self._state), Route("/api/status", self._status), Route("/api/events", self._events)]
        )

    async def _state(self, request: Request) -> Response:
        return self._shell.page(request, "state.html", {})

    async def _status(self, request: Request) -> Response:
        return await self._asked("status")

    async def _events(self, request: Request) -> Response:
        return await self._asked("events")

    async def _asked(self, what: str) -> Response:
        """The daemon's one answer; 503 with its reason where there is none."""
        try:
            answers = [answer async for answer in ask(self._socket, {"do": what})]
        except (RequestError, OSError) as error:
            return JSONResponse({"error": str(error)}, 503)
        return JSONResponse(answers[0]) if answers else JSONResponse({"error": f"{self._socket}: hung up"}, 503)


def main() -> None:
    """Serve until SIGTERM."""
    socket, host, port, credentials = sys.argv[1:]
    page = Page(socket, Credentials(Path(credentials)))
    uvicorn.Server(config(page.application(), host, int(port))).run()


if __name__ == "__main__":
    main()
