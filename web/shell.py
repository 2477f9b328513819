"""The shell of a page: sign-in, languages, static files, templates and the headers every answer carries."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.credentials import Credentials
from web.signin import PASSWORD_LENGTH_MIN, Door, hash_password
from web.words import Words, language

FORM_BYTES_MAX: Final = 4096
COOKIE: Final = "plumeline"
OPEN_PATHS: Final = ("/static/", "/sign-in", "/set-up", "/lang/", "/healthz")
HEADERS: Final = {
    # Nothing on a page may come from, or go to, anywhere else. uPlot and Leaflet set styles on elements.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


class _Headers:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                static = scope["path"].startswith("/static/")
                own = {**HEADERS, "cache-control": "max-age=3600"} if static else HEADERS
                message["headers"] += [(name.encode(), value.encode()) for name, value in own.items()]
            await send(message)

        await self._app(scope, receive, with_headers)


class _Guard:
    """Lets nobody past the sign-in page without a session; scripts get 401, people the page."""

    def __init__(self, app: ASGIApp, door: Door, credentials: Credentials) -> None:
        self._app = app
        self._door = door
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS):
            return await self._app(scope, receive, send)
        request = Request(scope)
        answer: Response
        if self._door.knows(request.cookies.get(COOKIE)):
            return await self._app(scope, receive, send)
        if scope["path"].startswith("/api/"):
            answer = JSONResponse({"error": "sign in first"}, 401)
        else:
            answer = RedirectResponse("/sign-in" if self._credentials.stored() else "/set-up", 303)
        await answer(scope, receive, send)


class Shell:
    """Builds one application of a program's own routes. `package` holds its `templates/`, `static/` and words."""

    def __init__(self, package: str, credentials: Credentials) -> None:
        self._package = package
        self._credentials = credentials
        self._door = Door(time.monotonic)
        credentials.begin_setup()
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("web")]),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
        )

    def application(self, routes: Sequence[BaseRoute]) -> Starlette:
        """The program's routes behind the sign-in."""
        own = [
            Mount("/static", StaticFiles(packages=[("web", "static"), (self._package, "static")])),
            Route("/sign-in", self._sign_in, methods=["GET", "POST"]),
            Route("/set-up", self._set_up, methods=["GET", "POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/lang/{lang}", self._language),
            Route("/healthz", self._healthz),
        ]
        guard = Middleware(_Guard, self._door, self._credentials)
        return Starlette(routes=[*own, *routes], middleware=[Middleware(_Headers), guard])

    def words(self, request: Request) -> Words:
        """Words in the visitor's language."""
        return Words(self._package, language(request.cookies, request.headers.get("accept-language", "")))

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Render a template of the program, or one of the shell's."""
        words = self.words(request)
        signed_in = self._door.knows(request.cookies.get(COOKIE))
        common = {"w": words, "lang": words.lang, "path": request.url.path, "signed_in": signed_in}
        return HTMLResponse(self._templates.get_template(template).render(**common, **values), status)

    async def _sign_in(self, request: Request) -> Response:
        stored = self._credentials.stored()
        if stored is None:
            return RedirectResponse("/set-up", 303)
        problem = ""
        if request.method == "POST":
            form = await _form(request)
            if self._door.closed:
                problem = self.words(request)("too_many")
            elif token := await run_in_threadpool(self._door.open_with, form.get("password", ""), stored):
                return _with_session(RedirectResponse("/", 303), token, request)
            else:
                problem = self.words(request)("wrong_password")
        return self.page(request, "sign_in.html", {"problem": problem}, 403 if problem else 200)

    async def _set_up(self, request: Request) -> Response:
        if self._credentials.stored() is not None:
            return RedirectResponse("/sign-in", 303)
        words, problem = self.words(request), ""
        if request.method == "POST":
            form = await _form(request)
            password = form.get("password", "")
            if not self._credentials.is_setup_code(form.get("code", "")):
                problem = words("wrong_code")
            elif len(password) < PASSWORD_LENGTH_MIN or password != form.get("again"):
                problem = words("short_password", length=PASSWORD_LENGTH_MIN)
            else:
                self._credentials.save(await run_in_threadpool(hash_password, password))
                return _with_session(RedirectResponse("/", 303), self._door.new_session(), request)
        values = {"problem": problem, "file": Path(self._credentials.setup_path).name}
        return self.page(request, "set_up.html", values, 403 if problem else 200)

    async def _sign_out(self, request: Request) -> Response:
        self._door.leave(request.cookies.get(COOKIE))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _language(self, request: Request) -> Response:
        target = request.query_params.get("next", "/")
        # Only a path of this page: `//host` and `/\host` are addresses of somebody else.
        safe = target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
        answer = RedirectResponse(safe, 303)
        if request.path_params["lang"] in ("en", "zh"):
            answer.set_cookie("lang", request.path_params["lang"], max_age=365 * 86400, samesite="strict")
        return answer

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"ok": True})


async def _form(request: Request) -> dict[str, str]:
    """Text fields of a small form; a larger body than FORM_BYTES_MAX is read as empty."""
    if int(request.headers.get("content-length", FORM_BYTES_MAX + 1)) > FORM_BYTES_MAX:
        return {}
    async with request.form() as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _with_session(answer: Response, token: str, request: Request) -> Response:
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token, max_age=12 * 3600, httponly=True, samesite="strict", secure=secure)
    return answer
