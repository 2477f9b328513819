"""Sign-in as a visitor sees it, over real HTTP."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web.credentials import Credentials
from web.shell import Shell
from web.signin import FAILURE_WINDOW_S, FAILURES_MAX, SESSION_S, SESSIONS_MAX, Door, hash_password, matches

PASSWORD = "a heron over the weir"


async def secret(request: Request) -> Response:
    return JSONResponse({"secret": 42})


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "page-password")


@pytest.fixture
def address(credentials: Credentials, serve_page: Callable[[Any], str]) -> str:
    """A page with nothing but a secret, before its first password."""
    routes = [Route("/api/secret", secret), Route("/page", secret)]
    return serve_page(Shell("central", credentials).application(routes))


@pytest.fixture
def guest(address: str, visitor: Any) -> Any:
    """Somebody who has not signed in, where a password is set."""
    return visitor(address)


@pytest.fixture
def stored(quick_hash: Callable[[str], str]) -> str:
    return quick_hash(PASSWORD)


@pytest.fixture
def with_password(credentials: Credentials, stored: str) -> None:
    credentials.save(stored)


def code_of(credentials: Credentials) -> str:
    return credentials.setup_path.read_text().strip()


def test_before_the_first_password_nobody_gets_in(guest: Any) -> None:
    assert guest.get("/api/secret").status == 401
    assert guest.get("/page").headers["location"] == "/sign-in"
    assert guest.get("/sign-in").headers["location"] == "/set-up"
    for guess in ("", "admin", "plumeline"):
        assert guest.post("/sign-in", password=guess).headers["location"] == "/set-up"
    assert guest.get("/api/secret").status == 401


def test_the_code_from_the_file_sets_the_first_password(guest: Any, credentials: Credentials, visitor: Any) -> None:
    code = code_of(credentials)
    new = {"password": PASSWORD, "again": PASSWORD}
    assert guest.post("/set-up", code="a guess", **new).status == 403
    assert credentials.stored() is None
    assert guest.post("/set-up", code=code, **new).status == 303
    assert guest.get("/api/secret").json == {"secret": 42}
    assert not credentials.setup_path.exists()
    # A second set-up with the code of before is none.
    thief = visitor(guest.address)
    assert thief.post("/set-up", code=code, password="another one!", again="another one!").headers["location"] == (
        "/sign-in"
    )
    assert thief.post("/sign-in", password="another one!").status == 403
    assert thief.post("/sign-in", password=PASSWORD).status == 303


@pytest.mark.parametrize(("password", "again"), [("short", "short"), (PASSWORD, "another"), ("x" * 201, "x" * 201)])
def test_a_bad_first_password_is_refused_with_words(
    guest: Any, credentials: Credentials, password: str, again: str
) -> None:
    answer = guest.post("/set-up", code=code_of(credentials), password=password, again=again)
    assert answer.status == 403
    assert "10 to 200 characters" in answer.text
    assert credentials.stored() is None


def test_what_lies_on_disk_is_for_the_service_alone(credentials: Credentials, stored: str) -> None:
    credentials.begin_setup()
    first = code_of(credentials)
    credentials.begin_setup()
    assert code_of(credentials) == first, "a code that waits stays"
    assert stat.S_IMODE(credentials.setup_path.stat().st_mode) == 0o600
    credentials.save(stored)
    (kept,) = credentials.setup_path.parent.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert PASSWORD not in kept.read_text()


@pytest.mark.usefixtures("with_password")
def test_a_session_is_a_cookie_scripts_cannot_read(guest: Any) -> None:
    answer = guest.post("/sign-in", password=PASSWORD)
    (cookie,) = answer.headers.get_all("set-cookie")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie
    assert guest.get("/api/secret").json == {"secret": 42}


@pytest.mark.usefixtures("with_password")
def test_signing_out_ends_the_session_on_the_server(guest: Any) -> None:
    guest.post("/sign-in", password=PASSWORD)
    kept = dict(guest.cookies)
    assert guest.get("/sign-out").status == 405, "a link must not sign anybody out"
    assert guest.post("/sign-out").headers["location"] == "/sign-in"
    guest.cookies = kept
    assert guest.get("/api/secret").status == 401


@pytest.mark.usefixtures("with_password")
def test_a_new_password_ends_every_session(
    guest: Any, credentials: Credentials, quick_hash: Callable[[str], str]
) -> None:
    guest.post("/sign-in", password=PASSWORD)
    assert guest.get("/api/secret").status == 200
    credentials.save(quick_hash("quite another one"))
    assert guest.get("/api/secret").status == 401


@pytest.mark.usefixtures("with_password")
def test_guessing_is_braked_for_everybody(guest: Any, visitor: Any) -> None:
    for _ in range(FAILURES_MAX):
        assert guest.post("/sign-in", password="a wrong guess").status == 403
    answer = visitor(guest.address).post("/sign-in", password=PASSWORD)
    assert answer.status == 429
    assert "Wait a minute" in answer.text
    assert not answer.headers.get_all("set-cookie")


def test_the_brake_opens_again_and_sessions_end(stored: str) -> None:
    now = [0.0]
    door = Door(lambda: now[0])
    for _ in range(FAILURES_MAX):
        assert door.open_with("x" * 201, stored) is None
        now[0] += 1
    assert door.closed
    now[0] = FAILURE_WINDOW_S + 0.1
    assert not door.closed
    token = door.open_with(PASSWORD, stored)
    now[0] += SESSION_S - 1
    assert door.knows(token, stored)
    now[0] += 2
    assert not door.knows(token, stored)


def test_sessions_are_bounded(stored: str) -> None:
    door = Door(lambda: 0.0)
    first, *_, last = [door.new_session(stored) for _ in range(SESSIONS_MAX + 1)]
    assert not door.knows(first, stored)
    assert door.knows(last, stored)
    assert not door.knows(None, None)


@pytest.mark.usefixtures("with_password")
def test_a_form_that_is_too_large_is_read_as_empty(guest: Any) -> None:
    assert guest.post("/sign-in", password=PASSWORD, more="x" * 5000).status == 403


def test_two_pages_of_one_host_keep_their_cookies_apart(tmp_path: Path) -> None:
    assert Credentials(tmp_path / "a").cookie != Credentials(tmp_path / "b").cookie


def test_a_hash_fits_its_password_alone_and_is_dear_to_try() -> None:
    found = hash_password(PASSWORD)
    assert matches(PASSWORD, found)
    assert not matches(PASSWORD + " ", found)
    assert hash_password(PASSWORD) != found, "salted"
    n, r, p = (int(part) for part in found.split("$")[1:4])
    # OWASP Password Storage Cheat Sheet, scrypt: N = 2^14, r = 8, p = 5 is among the least that will do.
    assert n * r * p >= 2**14 * 8 * 5
