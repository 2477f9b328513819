"""Who may do what on a page: one table of method and path for each page, denied where it says nothing."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Scope

from web.accounts import ROLES, Account, Role

# `GET /events` -> roles. A page's own table is asked first, then that of the shell.
Access = Mapping[str, frozenset[Role]]

EVERYBODY: Final[frozenset[Role]] = frozenset(ROLES)
ADMIN: Final[frozenset[Role]] = frozenset({"admin"})
# What strangers may ask for.
OPEN: Final = frozenset({
    "GET /sign-in", "POST /sign-in", "GET /set-up", "POST /set-up", "GET /healthz", "GET /lang/{lang}", "GET /static",
})  # fmt: skip
SHELL_ACCESS: Final[Access] = {
    "POST /sign-out": EVERYBODY,
    "GET /account": EVERYBODY,
    "POST /account": EVERYBODY,
}
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# Whose request is being answered.
PERSON: ContextVar[Account | None] = ContextVar("person", default=None)


def rule_of(routes: Sequence[BaseRoute], scope: Scope) -> str | None:
    """`METHOD /path/{template}` of the route a request leads to, None where it leads nowhere."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL and isinstance(route, Route | Mount):
            return f"{method} {route.path}"
    return None


def rules(routes: Sequence[BaseRoute]) -> set[str]:
    """Every rule the routes need."""
    found = {f"GET {route.path}" for route in routes if isinstance(route, Mount)}
    for route in routes:
        if isinstance(route, Route):
            found |= {f"{method} {route.path}" for method in (route.methods or ()) if method != "HEAD"}
    return found


def allowed(rule: str, access: Access) -> frozenset[Role]:
    """Roles that may ask; what no table names is for administrators."""
    return access.get(rule) or SHELL_ACCESS.get(rule) or ADMIN


def is_of_own_page(request: Request) -> bool:
    """Whether a page of this very host sent the request, as the browser itself says.

    Fetch Metadata where the browser has it, else Origin against Host; a program that sends neither is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site is not None
    try:
        sender = urlsplit(origin).netloc
    except ValueError:  # brackets that hold no address
        return False
    return bool(sender) and sender == request.headers.get("host")
