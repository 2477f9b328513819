"""The shell of a page: sign-in, languages, static files, templates; what guards it stands in `web.guard`."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from web.access import Access
from web.accounts import Account, Accounts
from web.entry import Entry
from web.guard import Bounds, Guard, Headers, headers_of, place_of
from web.serve import Settings
from web.signin import Door
from web.words import Words, language

YEAR_S: Final = 365 * 86400
# A path of this page: `//host` and `/\host` are addresses of somebody else, and browsers drop what does not print.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[!-~]*")

# Puts an act of a person on record before it is done; raises AuditError where it cannot, and nothing is done.
Audit = Callable[[Mapping[str, Any]], Awaitable[None]]


class AuditError(Exception):
    """An act that could not be put on record."""


class Shell:
    """Builds one application of a program's own routes. `package` holds its `templates/`, `static/` and words.

    `audit_requests`: the page itself puts each changing request on record, not who it asks to do it.
    """

    def __init__(
        self,
        package: str,
        accounts: Accounts,
        access: Access,
        audit: Audit,
        *,
        audit_requests: bool = True,
        settings: Settings | None = None,
    ) -> None:
        self._package = package
        self.accounts = accounts
        self.access = access
        self.audit = audit
        self._audit_requests = audit_requests
        self.settings = settings or Settings()
        self.door = Door(accounts, time.monotonic, self.settings.idle_s, self.settings.session_s)
        # One password is tried at a time: each costs memory and time, and the brake must see it before the next.
        self.turn = asyncio.Lock()
        accounts.begin_setup()
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("web")]),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
        )

    def application(self, routes: Sequence[BaseRoute]) -> Starlette:
        """The program's routes behind the sign-in. A route refuses by HTTPException with a sentence as its detail."""
        own = [
            Mount("/static", StaticFiles(packages=[("web", "static"), (self._package, "static")])),
            *Entry(self).routes(),
            Route("/lang/{lang}", self._language),
            Route("/healthz", self._healthz),
        ]
        return Starlette(
            routes=[*own, *routes],
            middleware=[Middleware(Headers), Middleware(Bounds), Middleware(Guard, self)],
            exception_handlers={HTTPException: self._refused, AuditError: self._unrecorded, Exception: self._broken},
        )

    def person(self, request: Request, *, moves: bool = False) -> Account | None:
        """Whose session the request belongs to."""
        return self.door.person(request.cookies.get(self.accounts.cookie), moves=moves)

    def words(self, request: Request) -> Words:
        """Words in the visitor's language."""
        return Words(self._package, language(request.cookies, request.headers.get("accept-language", "")))

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Render a template of the program, or one of the shell's."""
        words, person = self.words(request), self.person(request)
        query = f"?{request.url.query}" if request.url.query else ""
        common = {
            "w": words,
            "lang": words.lang,
            "texts": words.all(),
            "path": request.url.path + query,
            "signed_in": person is not None,
            "person": person,
        }
        return HTMLResponse(self._templates.get_template(template).render(**common, **values), status)

    def secure(self, request: Request) -> bool:
        """Whether the visitor speaks TLS; one behind a proxy does, whose word is heard from this machine alone."""
        return request.url.scheme == "https" or self.settings.behind_proxy

    async def record(self, request: Request, do: str, outcome: str, **more: Any) -> None:
        """Put an act on record with where it came from. Raises AuditError."""
        await self.audit({"do": do, "outcome": outcome, "address": place_of(request), **more})

    async def refusal(
        self, request: Request, status: int, word: str, *, outcome: str, person: Account | None = None
    ) -> Response:
        """Say why a request is refused; it is on record where a person who signed in sent it."""
        person = person or self.person(request)
        if person is not None:
            await self.record(request, _act(request), f"refused: {outcome}", who=person.name, role=person.role)
        return self._said(request, self.words(request)(word), status)

    async def noted(self, request: Request, rule: str, person: Account) -> Response | None:
        """Put a changing request on record before it is done; an answer where that cannot be."""
        if self._audit_requests and rule not in ("POST /sign-out", "POST /account"):
            try:
                await self.record(request, _act(request), "asked", who=person.name, role=person.role)
            except AuditError as error:
                return await self._unrecorded(request, error)
        return None

    def _said(self, request: Request, text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": text}, status, headers)
        answer = self.page(request, "refused.html", {"text": text}, status)
        answer.headers.update(headers or {})
        return answer

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = self.words(request)("not_found") if error.status_code == 404 else error.detail
        return self._said(request, text, error.status_code, error.headers)

    async def _unrecorded(self, request: Request, error: Exception) -> Response:
        return self._said(request, self.words(request)("unrecorded"), 503)

    async def _broken(self, request: Request, error: Exception) -> Response:
        """Our bug goes to the journal, and nothing of it to the visitor."""
        return PlainTextResponse(self.words(request)("broken"), 500, dict(headers_of(request.scope)))

    async def _language(self, request: Request) -> Response:
        target = request.query_params.get("next", "/")
        answer = RedirectResponse(target if _OWN_PATH.fullmatch(target) else "/", 303)
        if request.path_params["lang"] in ("en", "zh"):
            secure = self.secure(request)
            answer.set_cookie(
                "lang", request.path_params["lang"], YEAR_S, httponly=True, samesite="strict", secure=secure
            )
        return answer

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"ok": True})


def _act(request: Request) -> str:
    return f"{request.method} {request.url.path}"[:200]
