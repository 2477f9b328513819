"""What stands before every route: headers of the answer, bounds of the request, the sign-in, roles, own pages alone."""

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.access import OPEN, PERSON, SAFE_METHODS, allowed, is_of_own_page, rule_of

if TYPE_CHECKING:
    from web.shell import Shell

ADDRESS_MAX: Final = 64
BODY_BYTES_MAX: Final = 64 * 1024
# Between two pieces of a request's body, and for a visitor to take a piece of the answer.
PIECE_WALL_S: Final = 10.0
BODY_WALL_S: Final = 30.0
HSTS: Final = ("strict-transport-security", "max-age=31536000")
HEADERS: Final = {
    # Nothing on a page may come from, or go to, anywhere else. uPlot and Leaflet set styles on elements.
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline';"
    " object-src 'none'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# Static files are asked for again with their ETag: after an upgrade no page runs with the scripts of before.
STATIC_HEADERS: Final = {**HEADERS, "cache-control": "no-cache"}


def headers_of(scope: Scope) -> Iterable[tuple[str, str]]:
    """Headers every answer carries."""
    own = STATIC_HEADERS if scope["path"].startswith("/static/") else HEADERS
    return (*own.items(), HSTS) if scope.get("scheme") == "https" else own.items()


class Headers:
    """Adds the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in headers_of(scope)]
            await send(message)

        await self._app(scope, receive, with_headers)


class _TooLargeError(Exception):
    pass


class Bounds:
    """No body beyond BODY_BYTES_MAX, none that comes slower than BODY_WALL_S, no visitor who takes nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = False
        patient = _Body(receive)

        async def sent(message: Message) -> None:
            nonlocal began
            began = True
            async with asyncio.timeout(PIECE_WALL_S):
                await send(message)

        length = Request(scope).headers.get("content-length", "0")
        try:
            if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
                raise _TooLargeError
            await self._app(scope, patient, sent)
        except (_TooLargeError, TimeoutError) as error:
            if began or not (patient.late or isinstance(error, _TooLargeError)):
                raise
            status = 408 if isinstance(error, TimeoutError) else 413
            # What is left of the body is not read: the line ends with the answer.
            answer = PlainTextResponse("", status, {"connection": "close"})
            await answer(scope, receive, send)


class _Body:
    """A request's body, piece by piece, within its bounds."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._whole = False
        self._end = asyncio.get_running_loop().time() + BODY_WALL_S
        self.late = False

    async def __call__(self) -> Message:
        """ASGI."""
        if self._whole:
            return await self._receive()  # waits for the visitor to go away, as long as the answer takes
        try:
            async with asyncio.timeout_at(min(self._end, asyncio.get_running_loop().time() + PIECE_WALL_S)):
                message = await self._receive()
        except TimeoutError:
            self.late = True
            raise
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > BODY_BYTES_MAX:
            raise _TooLargeError
        return message


class Guard:
    """Lets a request through where its host, sender, person and role are right; says why not elsewhere."""

    def __init__(self, app: ASGIApp, shell: "Shell") -> None:
        self._app = app
        self._shell = shell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Request(scope)
        answer = await self._turned_away(request)
        if answer is not None:
            return await answer(scope, receive, send)
        mark = PERSON.set(self._shell.person(request))
        try:
            await self._app(scope, receive, send)
        finally:
            PERSON.reset(mark)

    async def _turned_away(self, request: Request) -> Response | None:
        words, path = self._shell.words(request), request.url.path
        if not self._is_our_name(request):
            return PlainTextResponse(words("wrong_host"), 421)
        if request.method not in SAFE_METHODS and not is_of_own_page(request):
            return await self._shell.refusal(request, 403, "foreign_page", outcome="foreign")
        rule = rule_of(request.app.routes, request.scope)
        if rule in OPEN:
            return None
        person = self._shell.person(request, moves=not path.startswith("/api/"))
        if person is None:
            if path.startswith("/api/"):
                return JSONResponse({"error": words("sign_in_first")}, 401)
            return RedirectResponse("/sign-in", 303)
        if rule is not None and person.role not in allowed(rule, self._shell.access):
            return await self._shell.refusal(request, 403, "wrong_role", outcome="role", person=person)
        if rule is not None and request.method not in SAFE_METHODS:
            return await self._shell.noted(request, rule, person)
        return None

    def _is_our_name(self, request: Request) -> bool:
        """Whether the Host header names this machine: another one was made to lead here (DNS rebinding)."""
        names = self._shell.settings.names
        if names is None:
            return True
        host = request.headers.get("host", "").rpartition("@")[2]
        name = host.rsplit(":", 1)[0] if host.rfind(":") > host.rfind("]") else host
        return name.strip("[]").lower() in names or is_address(name.strip("[]"))


def is_address(name: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def place_of(request: Request) -> str:
    """The address a request comes from. Behind a proxy that is what its header says: nothing else than one counts."""
    host = request.client.host[:ADDRESS_MAX] if request.client else ""
    return host if is_address(host) else ""
