"""The station page, a process of its own: it asks the daemon over its socket and holds no data.

Started by the daemon where `page` is configured: `python -m agent.page JSON`, the members of `Started`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
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
from agent.page_access import ACCESS
from agent.page_gases import GasPages
from host.acts import WaitingActs
from host.control import RequestError, ask
from host.hardening import keep_memory_private
from web.access import PERSON
from web.accounts import Accounts
from web.serve import Settings, config
from web.shell import AuditError, Shell

LOOK_UP_WALL_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Started:
    """What the daemon tells the page's process. `folder` holds its accounts; `certificate` and `key` are PEM files."""

    socket: str
    host: str
    port: int
    folder: str
    certificate: str | None
    key: str | None
    behind_proxy: bool
    names: list[str] | None
    idle_s: float
    session_s: float
    notice: str

    @property
    def settings(self) -> Settings:
        """How the page is reached."""
        names = None if self.names is None else frozenset(name.lower() for name in self.names)
        return Settings(
            self.certificate, self.key, self.behind_proxy, names, self.idle_s, self.session_s, notice=self.notice
        )


class Page:
    """State of one station; `socket` is the daemon's, `folder` holds the accounts."""

    def __init__(self, socket: str, folder: Path, settings: Settings | None = None) -> None:
        self._socket = socket
        self._waiting = WaitingActs(folder)
        # The daemon puts on record what it is asked to do; the page only what happens at its door.
        self._shell = Shell("agent", Accounts(folder), ACCESS, self._record, audit_requests=False, settings=settings)
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
        if "\0" in "".join(line):
            return {}, "a name or a time with a zero in it"
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

    async def _record(self, act: Mapping[str, Any]) -> None:
        """Have the daemon put an act on record; where it is away the act waits for it. Raises AuditError."""
        try:
            await self._once({"do": "act", "act": act})
        except RequestError:
            try:
                await asyncio.to_thread(self._waiting.add, act)
            except OSError as error:
                raise AuditError(str(error)) from error

    async def _once(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The daemon's one answer to a request, which says for whom it is asked. Raises RequestError."""
        person = PERSON.get()
        told = {} if person is None else {"person": {"account": person.name, "role": person.role}}
        try:
            answers = [answer async for answer in ask(self._socket, {**request, **told})]
        except OSError as error:
            raise RequestError(str(error)) from error
        if not answers:
            raise RequestError(f"{self._socket}: hung up")
        return answers[0]


def main() -> None:
    """Serve until SIGTERM."""
    keep_memory_private()
    started = Started(**json.loads(sys.argv[1]))
    page = Page(started.socket, Path(started.folder), started.settings)
    os.umask(0o077)
    uvicorn.Server(config(page.application(), started.host, started.port, started.settings)).run()


if __name__ == "__main__":
    main()
