"""The shell of a page: sign-in, languages, static files, templates and the headers every answer carries."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.credentials import Credentials
from web.signin import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, SESSION_S, Door, fits, hash_password
from web.words import Words, language

FORM_BYTES_MAX: Final = 4096
YEAR_S: Final = 365 * 86400
OPEN_PATHS: Final = ("/sign-in", "/set-up", "/healthz")
OPEN_FOLDERS: Final = ("/static/", "/lang/")
# A path of this page: `//host` and `/\host` are addresses of somebody else, and browsers drop what does not print.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[!-~]*")
HEADERS: Final = {
    # Nothing on a page may come from, or go to, anywhere else. uPlot and Leaflet set styles on elements.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " object-src 'none'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
# Static files are asked for again with their ETag: after an upgrade no page runs with the scripts of before.
STATIC_HEADERS: Final = {**HEADERS, "cache-control": "no-cache"}


class _Headers:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = STATIC_HEADERS if scope["path"].startswith("/static/") else HEADERS
                message["headers"] += [(name.encode(), value.encode()) for name, value in own.items()]
            await send(message)

        await self._app(scope, receive, with_headers)


class _Guard:
    """Lets nobody past the sign-in page without a session; scripts get 401, people the page."""

    def __init__(self, app: ASGIApp, shell: "Shell") -> None:
        self._app = app
        self._shell = shell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] == "lifespan" or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return await self._app(scope, receive, send)
        request = Request(scope)
        if self._shell.is_signed_in(request):
            return await self._app(scope, receive, send)
        answer: Response
        if path.startswith("/api/"):
            answer = JSONResponse({"error": self._shell.words(request)("sign_in_first")}, 401)
        else:
            answer = RedirectResponse("/sign-in", 303)
        await answer(scope, receive, send)


class Shell:
    """Builds one application of a program's own routes. `package` holds its `templates/`, `static/` and words."""

    def __init__(self, package: str, credentials: Credentials) -> None:
        self._package = package
        self._credentials = credentials
        self._door = Door(time.monotonic)
        # One password is tried at a time: each costs memory and time, and the brake must see it before the next.
        self._turn = asyncio.Lock()
        credentials.begin_setup()
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("web")]),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
        )

    def application(self, routes: Sequence[BaseRoute]) -> Starlette:
        """The program's routes behind the sign-in. A route refuses by HTTPException with a sentence as its detail."""
        own = [
            Mount("/static", StaticFiles(packages=[("web", "static"), (self._package, "static")])),
            Route("/sign-in", self._sign_in, methods=["GET", "POST"]),
            Route("/set-up", self._set_up, methods=["GET", "POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/lang/{lang}", self._language),
            Route("/healthz", self._healthz),
        ]
        return Starlette(
            routes=[*own, *routes],
            middleware=[Middleware(_Headers), Middleware(_Guard, self)],
            exception_handlers={HTTPException: self._refused},
        )

    def is_signed_in(self, request: Request) -> bool:
        """True where the visitor brings a session's cookie."""
        return self._door.knows(request.cookies.get(self._credentials.cookie), self._credentials.stored())

    def words(self, request: Request) -> Words:
        """Words in the visitor's language."""
        return Words(self._package, language(request.cookies, request.headers.get("accept-language", "")))

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Render a template of the program, or one of the shell's."""
        words = self.words(request)
        query = f"?{request.url.query}" if request.url.query else ""
        common = {
            "w": words,
            "lang": words.lang,
            "texts": words.all(),
            "path": request.url.path + query,
            "signed_in": self.is_signed_in(request),
        }
        return HTMLResponse(self._templates.get_template(template).render(**common, **values), status)

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = self.words(request)
        text = words("not_found") if error.status_code == 404 else error.detail
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": text}, error.status_code, error.headers)
        return self.page(request, "refused.html", {"text": text}, error.status_code)

    async def _sign_in(self, request: Request) -> Response:
        stored = self._credentials.stored()
        if stored is None:
            return RedirectResponse("/set-up", 303)
        problem, status = "", 200
        if request.method == "POST":
            password = (await form_of(request)).get("password", "")
            async with self._turn:
                if self._door.closed:
                    problem, status = self.words(request)("too_many"), 429
                elif token := await run_in_threadpool(self._door.open_with, password, stored):
                    return self._with_session(RedirectResponse("/", 303), token, request)
                else:
                    problem, status = self.words(request)("wrong_password"), 403
        return self.page(request, "sign_in.html", {"problem": problem}, status)

    async def _set_up(self, request: Request) -> Response:
        if self._credentials.stored() is not None:
            return RedirectResponse("/sign-in", 303)
        self._credentials.begin_setup()
        words, problem = self.words(request), ""
        if request.method == "POST":
            form = await form_of(request)
            password = form.get("password", "")
            if not self._credentials.is_setup_code(form.get("code", "")):
                problem = words("wrong_code")
            elif not fits(password) or password != form.get("again"):
                problem = words("bad_password", least=PASSWORD_LENGTH_MIN, most=PASSWORD_LENGTH_MAX)
            else:
                hashed = await run_in_threadpool(hash_password, password)
                self._credentials.save(hashed)
                return self._with_session(RedirectResponse("/", 303), self._door.new_session(hashed), request)
        values = {"problem": problem, "file": self._credentials.setup_path.name}
        return self.page(request, "set_up.html", values, 403 if problem else 200)

    def _with_session(self, answer: Response, token: str, request: Request) -> Response:
        answer.set_cookie(
            self._credentials.cookie,
            token,
            max_age=int(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        self._door.leave(request.cookies.get(self._credentials.cookie))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(self._credentials.cookie, httponly=True, samesite="strict")
        return answer

    async def _language(self, request: Request) -> Response:
        target = request.query_params.get("next", "/")
        answer = RedirectResponse(target if _OWN_PATH.fullmatch(target) else "/", 303)
        if request.path_params["lang"] in ("en", "zh"):
            answer.set_cookie("lang", request.path_params["lang"], YEAR_S, httponly=True, samesite="strict")
        return answer

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"ok": True})


async def form_of(request: Request) -> dict[str, str]:
    """Text fields of a small form; a larger body than FORM_BYTES_MAX, or one of unstated length, is read as empty."""
    if int(request.headers.get("content-length", FORM_BYTES_MAX + 1)) > FORM_BYTES_MAX:
        return {}
    async with request.form() as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}
