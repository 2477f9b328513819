"""Accounts, sign-in and sessions as a visitor meets them, over real HTTP."""

import base64
import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web.access import EVERYBODY
from web.accounts import AccountError, Accounts
from web.brake import (
    DELAY_MAX_S,
    DELAY_S,
    EVERYBODY_FAILURES,
    EVERYBODY_WINDOW_S,
    FORGET_S,
    FREE_FAILURES,
    FREE_OF_EITHER,
    KNOWN_MAX,
    Brake,
)
from web.passwords import hash_password, is_outdated, matches, weakness
from web.serve import Settings
from web.shell import Shell
from web.signin import IDLE_S, SESSION_S, SESSIONS_MAX, Door

PASSWORD = "a heron over the weir"
OTHER = "seven otters at noon"


async def secret(request: Request) -> Response:
    return JSONResponse({"secret": 42})


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path)


@pytest.fixture
def address(accounts: Accounts, serve_page: Callable[[Any], str], recorded: Any) -> str:
    """A page with nothing but a secret, before its first account."""
    access = {"GET /api/secret": EVERYBODY, "GET /page": EVERYBODY}
    routes = [Route("/api/secret", secret), Route("/page", secret)]
    return serve_page(Shell("central", accounts, access, recorded).application(routes))


@pytest.fixture
def guest(address: str, visitor: Any) -> Any:
    """Somebody who has not signed in."""
    return visitor(address)


@pytest.fixture
def person(guest: Any, accounts: Accounts) -> Any:
    """Somebody who has."""
    accounts.add("Li Wei", "qa", PASSWORD)
    accounts.add("Zhao Min", "admin", PASSWORD)
    assert guest.sign_in().status == 303
    return guest


def code_of(accounts: Accounts) -> str:
    return accounts.setup_path.read_text().strip()


def test_the_operators_notice_stands_above_every_sign_in_as_it_was_written(
    accounts: Accounts, serve_page: Callable[[Any], str], recorded: Any, visitor: Any
) -> None:
    accounts.add("Li Wei", "qa", PASSWORD)
    settings = Settings(notice="Station of <the city>.\n一切操作均被记录。")
    guest = visitor(serve_page(Shell("central", accounts, {}, recorded, settings=settings).application([])))
    for page in (guest.get("/sign-in"), guest.sign_in("Li Wei", "wrong it is, and long")):
        assert "Station of &lt;the city&gt;.\n一切操作均被记录。" in page.text
        assert page.text.index('class="notice"') < page.text.index("<input")


def test_before_the_first_account_nobody_gets_in(guest: Any) -> None:
    assert guest.get("/api/secret").status == 401
    assert guest.get("/page").headers["location"] == "/sign-in"
    assert guest.get("/sign-in").headers["location"] == "/set-up"
    for name, guess in (("admin", ""), ("admin", "admin"), ("plumeline", "plumeline")):
        assert guest.sign_in(name, guess).headers["location"] == "/set-up"
    assert guest.get("/api/secret").status == 401


def test_the_code_from_the_file_makes_the_first_account(
    guest: Any, accounts: Accounts, visitor: Any, recorded: Any
) -> None:
    code = code_of(accounts)
    new = {"name": "李伟", "password": PASSWORD, "again": PASSWORD}
    assert guest.post("/set-up", code="a guess", **new).status == 403
    assert accounts.all() == {}
    assert guest.post("/set-up", code=code, **new).status == 303
    assert guest.get("/api/secret").json == {"secret": 42}
    assert accounts.all()["李伟"].role == "admin"
    assert not accounts.setup_path.exists()
    assert [(act["do"], act["outcome"]) for act in recorded] == [("set-up", "wrong code"), ("set-up", "asked")]
    # A second set-up with the code of before is none.
    thief = visitor(guest.address)
    again = {"name": "me", "password": OTHER, "again": OTHER}
    assert thief.post("/set-up", code=code, **again).headers["location"] == "/sign-in"
    assert thief.sign_in("me", OTHER).status == 403
    assert thief.sign_in("李伟").status == 303


def former(password: str) -> str:
    """A page's one password as it was kept before there were accounts (scrypt)."""
    salt = b"sixteen of salt!"
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2, r=1, p=1)
    return "$".join(["scrypt", "2", "1", "1", *(base64.b64encode(part).decode() for part in (salt, digest))])


def test_the_one_password_of_before_opens_the_set_up_once(guest: Any, accounts: Accounts) -> None:
    kept = accounts.path.with_name("page-password")
    kept.write_text(former("ten letters") + "\n")
    new = {"name": "Li Wei", "password": PASSWORD, "again": PASSWORD}
    assert guest.post("/set-up", code="not this one", **new).status == 403
    assert guest.post("/set-up", code="ten letters", **new).status == 303
    assert (accounts.all()["Li Wei"].role, kept.exists()) == ("admin", False)
    assert not accounts.is_setup_code("ten letters")


@pytest.mark.parametrize(
    ("password", "again", "told"),
    [
        ("short", "short", "12 to 200 characters"),
        ("eleven char", "eleven char", "12 to 200 characters"),
        (PASSWORD, "another", "same password twice"),
        ("x" * 201, "x" * 201, "12 to 200 characters"),
        ("Password1234!!", "Password1234!!", "Too many people"),
        ("123456789012", "123456789012", "Too many people"),
        ("aaaaaaaaaaaab", "aaaaaaaaaaaab", "Too many people"),
        ("li wei 20261122", "li wei 20261122", "Too many people"),
    ],
)
def test_a_bad_first_password_is_refused_with_words(
    guest: Any, accounts: Accounts, password: str, again: str, told: str
) -> None:
    answer = guest.post("/set-up", code=code_of(accounts), name="Li Wei", password=password, again=again)
    assert answer.status == 403
    assert told in answer.text
    assert accounts.all() == {}


def test_what_lies_on_disk_is_for_the_service_alone(accounts: Accounts) -> None:
    accounts.begin_setup()
    first = code_of(accounts)
    accounts.begin_setup()
    assert code_of(accounts) == first, "a code that waits stays"
    assert stat.S_IMODE(accounts.setup_path.stat().st_mode) == 0o600
    accounts.add("Li Wei", "admin", PASSWORD)
    assert stat.S_IMODE(accounts.path.stat().st_mode) == 0o600
    (row,) = json.loads(accounts.path.read_text())["accounts"]
    assert row["hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$"), "OWASP's least for argon2id"
    assert PASSWORD not in accounts.path.read_text()


def test_accounts_are_changed_one_at_a_time_and_the_last_administrator_stays(accounts: Accounts) -> None:
    accounts.add("Li Wei", "admin", PASSWORD)
    stamps = {accounts.all()["Li Wei"].stamp}
    for refused in (lambda: accounts.disable("Li Wei"), lambda: accounts.set_role("Li Wei", "qa")):
        with pytest.raises(AccountError, match="account_last_admin"):
            refused()
    with pytest.raises(AccountError, match="account_known"):
        accounts.add("LI WEI", "qa", PASSWORD)
    for name in ("", "../x", "a\nb", "a" * 41, "-x", "x "):
        with pytest.raises(AccountError, match="account_name") if name != "x " else pytest.raises(AccountError):
            accounts.add(name, "qa", "short" if name == "x " else PASSWORD)
    accounts.add("Zhao Min", "admin", PASSWORD)
    Accounts(accounts.path.parent).set_role("Li Wei", "auditor")
    assert accounts.all()["Li Wei"].role == "auditor", "what another program wrote is seen"
    stamps.add(accounts.all()["Li Wei"].stamp)
    accounts.set_password("Li Wei", OTHER)
    stamps.add(accounts.all()["Li Wei"].stamp)
    assert len(stamps) == 3
    with pytest.raises(AccountError, match="account_unknown"):
        accounts.disable("nobody")


def test_a_session_is_a_cookie_scripts_cannot_read(guest: Any, accounts: Accounts) -> None:
    accounts.add("Li Wei", "admin", PASSWORD)
    answer = guest.sign_in()
    (cookie,) = answer.headers.get_all("set-cookie")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie
    assert "Secure" not in cookie, "plain HTTP: a browser would not keep it"
    assert guest.get("/api/secret").json == {"secret": 42}


def test_behind_a_proxy_the_cookie_is_for_tls_alone(
    accounts: Accounts, serve_page: Callable[[Any], str], recorded: Any, visitor: Any
) -> None:
    """The proxy may stand on another machine, whose word on the visitor's TLS nobody here believes."""
    accounts.add("Li Wei", "qa", PASSWORD)
    settings = Settings(behind_proxy=True)
    guest = visitor(serve_page(Shell("central", accounts, {}, recorded, settings=settings).application([])))
    (cookie,) = guest.sign_in().headers.get_all("set-cookie")
    assert "; Secure" in cookie


def test_signing_out_ends_the_session_on_the_server(person: Any, recorded: Any) -> None:
    kept = dict(person.cookies)
    assert person.get("/sign-out").status == 405, "a link must not sign anybody out"
    assert person.post("/sign-out").headers["location"] == "/sign-in"
    person.cookies = kept
    assert person.get("/api/secret").status == 401
    assert [(act["do"], act["outcome"], act["who"]) for act in recorded] == [
        ("sign-in", "ok", "Li Wei"), ("sign-out", "ok", "Li Wei")
    ]  # fmt: skip


@pytest.mark.parametrize("change", [
    lambda accounts: accounts.set_password("Li Wei", OTHER),
    lambda accounts: accounts.set_role("Li Wei", "auditor"),
    lambda accounts: accounts.disable("Li Wei"),
])  # fmt: skip
def test_every_change_of_an_account_ends_its_sessions(person: Any, accounts: Accounts, change: Any) -> None:
    assert person.get("/api/secret").status == 200
    change(accounts)
    assert person.get("/api/secret").status == 401


def test_a_disabled_account_is_as_unknown_until_it_is_enabled(person: Any, accounts: Accounts) -> None:
    accounts.disable("Li Wei")
    assert person.sign_in().status == 403
    accounts.disable("Li Wei", False)
    assert person.sign_in().status == 303


def test_a_person_changes_the_own_password_and_signs_others_out(
    person: Any, visitor: Any, accounts: Accounts, recorded: Any
) -> None:
    elsewhere = visitor(person.address)
    elsewhere.sign_in()
    assert "quality assurance" in person.get("/account").text
    new = {"password": OTHER, "again": OTHER}
    assert person.post("/account", old="not this one", **new).status == 403
    assert person.post("/account", old=PASSWORD, password="short", again="short").status == 403
    assert person.post("/account", old=PASSWORD, **new).status == 303
    assert person.get("/api/secret").status == 200
    assert elsewhere.get("/api/secret").status == 401
    assert elsewhere.sign_in().status == 403
    assert elsewhere.sign_in(password=OTHER).status == 303
    assert ("password", "wrong password") in [(act["do"], act["outcome"]) for act in recorded]


def test_unknown_names_and_wrong_passwords_are_told_alike(person: Any, visitor: Any) -> None:
    answers = [visitor(person.address).sign_in(name, "a wrong guess") for name in ("Li Wei", "nobody")]
    assert [answer.status for answer in answers] == [403, 403]
    assert answers[0].text == answers[1].text.replace("nobody", "Li Wei")


def test_guessing_closes_the_name_known_or_not(person: Any, visitor: Any, recorded: Any) -> None:
    for name in ("Li Wei", "nobody"):
        for _ in range(FREE_FAILURES):
            assert visitor(person.address).sign_in(name, "a wrong guess").status == 403
        answer = visitor(person.address).sign_in(name)
        assert (answer.status, answer.headers["retry-after"]) == (429, "5")
        assert "Wait a while" in answer.text
        assert not answer.headers.get_all("set-cookie")
    assert visitor(person.address).sign_in("Zhao Min").status == 303, "others are let in"
    assert sum(act["outcome"] == "wrong name or password" for act in recorded) == 2 * FREE_FAILURES


def test_the_brake_grows_is_bounded_and_opens_again() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    waits = []
    for _ in range(14):
        brake.failed("a", "192.0.2.1")
        waits.append(brake.wait_s("a", "192.0.2.1"))
        now[0] += waits[-1] + 61
        assert brake.wait_s("a", "192.0.2.1") == 0
    assert waits[:5] == [0, 0, 5, 10, 20]
    assert waits[-1] == DELAY_MAX_S
    brake.passed("A", "192.0.2.1")
    assert brake.wait_s("a", "192.0.2.1") == 0
    for number in range(KNOWN_MAX + 50):
        brake.failed(f"name {number}", f"192.0.{number % 250}.9")
    assert len(brake._known) == KNOWN_MAX


def test_a_stranger_shuts_out_himself_and_none_who_was_let_in_before() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    brake.passed("Li Wei", "192.0.2.1")
    for number in range(FREE_OF_EITHER):
        brake.failed(f"name {number}", "198.51.100.7")
    assert brake.wait_s("another", "198.51.100.7") > 0
    assert brake.wait_s("another", "192.0.2.1") == 0
    # One name, from a new address each time; another spelling of it is no other name.
    for number in range(FREE_OF_EITHER):
        brake.failed("ＬＩ wei", f"203.0.113.{number}")
    assert brake.wait_s("li wei", "203.0.113.99") > 0
    assert brake.wait_s("li wei", "192.0.2.1") == 0
    # And so many guesses that nobody new is let in at all.
    for number in range(EVERYBODY_FAILURES):
        brake.failed(f"name {number}", f"203.0.{number}.7")
    assert brake.wait_s("Zhao Min", "192.0.2.8") == EVERYBODY_WINDOW_S
    assert brake.wait_s("Li Wei", "192.0.2.1") == 0
    now[0] += EVERYBODY_WINDOW_S
    assert brake.wait_s("Zhao Min", "192.0.2.8") == 0
    # Guesses at his name from his own place hold up even him.
    for _ in range(FREE_FAILURES):
        brake.failed("Li Wei", "192.0.2.1")
    assert brake.wait_s("Li Wei", "192.0.2.1") == DELAY_S


def test_an_office_that_errs_now_and_then_is_never_shut_out() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    for number in range(10 * FREE_OF_EITHER):
        brake.failed(f"name {number}", "192.0.2.1")
        assert brake.wait_s("somebody new", "192.0.2.1") == 0
        now[0] += FORGET_S / 2
    for _ in range(10 * FREE_FAILURES):
        brake.failed("Zhao Min", "192.0.2.1")
        assert brake.wait_s("Zhao Min", "192.0.2.1") == 0
        now[0] += FORGET_S + DELAY_MAX_S


def test_who_has_an_account_neither_guesses_on_nor_shuts_the_door() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    brake.passed("alice", "192.0.2.1")
    guesses = 0
    while now[0] < 3600:
        brake.passed("alice", "192.0.2.1")
        for spelling in ("admin", " admin", "admin \t", "\u3000ＡＤＭＩＮ", f"name {now[0]}"):
            if not brake.wait_s(spelling, "192.0.2.1"):
                brake.failed(spelling, "192.0.2.1")
                guesses += 1
        for _ in range(FREE_FAILURES - 1):
            brake.failed("alice", "192.0.2.1")
        now[0] += 1
    assert guesses < 3 * FREE_OF_EITHER
    assert brake.wait_s("Zhao Min", "192.0.2.8") == 0


def test_a_network_of_version_6_is_one_place() -> None:
    brake = Brake(lambda: 0.0)
    for number in range(FREE_OF_EITHER):
        brake.failed(f"name {number}", f"2001:db8:1:2::{number:x}")
    assert brake.wait_s("another", "2001:db8:1:2:ffff::1") == DELAY_S
    assert brake.wait_s("another", "2001:db8:1:3::1") == 0
    for number in range(FREE_OF_EITHER):
        brake.failed(f"name {number}", "::ffff:192.0.2.1")
    assert brake.wait_s("another", "192.0.2.1") == DELAY_S
    assert brake.wait_s("another", "::ffff:192.0.2.2") == 0


def test_sessions_end_by_idleness_and_by_age(accounts: Accounts) -> None:
    accounts.add("Li Wei", "admin", PASSWORD)
    now = [0.0]
    door = Door(accounts, lambda: now[0])
    account = door.try_password("Li Wei", PASSWORD)
    assert account is not None
    token = door.open(account)
    while now[0] < SESSION_S - IDLE_S:
        now[0] += IDLE_S - 1
        assert door.person(token, moves=True) == account
    now[0] = SESSION_S
    assert door.person(token) is None
    token = door.open(account)
    for _ in range(3):
        now[0] += IDLE_S / 3
        shown = door.person(token)  # a page that asks by itself keeps nobody signed in
    assert shown is None


def test_sessions_are_bounded(accounts: Accounts) -> None:
    accounts.add("Li Wei", "admin", PASSWORD)
    account = accounts.all()["Li Wei"]
    door = Door(accounts, lambda: 0.0)
    first, *_, last = [door.open(account) for _ in range(SESSIONS_MAX + 1)]
    assert door.person(first) is None
    assert door.person(last) == account
    assert door.person(None) is None


def test_what_cannot_be_put_on_record_is_not_done(person: Any, visitor: Any, recorded: Any) -> None:
    recorded.full = True
    answer = visitor(person.address).sign_in()
    assert (answer.status, answer.headers.get_all("set-cookie")) == (503, None)
    assert "could not be put on record" in answer.text


def test_a_form_that_is_too_large_is_read_as_empty(person: Any) -> None:
    assert person.post("/sign-in", name="Li Wei", password=PASSWORD, more="x" * 5000).status == 403


def test_two_pages_of_one_host_keep_their_cookies_apart(tmp_path: Path) -> None:
    assert Accounts(tmp_path / "a").cookie != Accounts(tmp_path / "b").cookie


def test_a_hash_fits_its_password_alone_and_an_old_one_is_made_anew(accounts: Accounts) -> None:
    from argon2 import PasswordHasher

    found = hash_password(PASSWORD)
    assert matches(PASSWORD, found)
    assert not matches(PASSWORD + " ", found)
    assert not matches(PASSWORD, "no hash")
    assert hash_password(PASSWORD) != found, "salted"
    accounts.add("Li Wei", "admin", PASSWORD)
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    accounts._change("Li Wei", hash=weak)
    assert is_outdated(weak)
    account = Door(accounts, lambda: 0.0).try_password("Li Wei", PASSWORD)
    assert account is not None
    assert not is_outdated(account.hash)


@pytest.mark.parametrize("password", ["Qwertyuiop!!", "admin2026admin", "1q2w3e4r5t6y", "plumeline123", "abcdefghijkl"])
def test_what_many_people_take_is_refused(password: str) -> None:
    assert weakness(password) == "password_common"


@pytest.mark.parametrize("password", [PASSWORD, OTHER, "十二个字的密码要自己想出来", "correct-heron-battery"])
def test_what_few_people_take_is_allowed(password: str) -> None:
    assert weakness(password) is None
