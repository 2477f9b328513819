"""A scripted attack list against both real pages, over real sockets."""

import os
import re
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from web.access import OPEN, rules
from web.brake import FREE_OF_EITHER
from web.guard import BODY_BYTES_MAX
from web.serve import CONNECTIONS_MAX, CONNECTIONS_OF_ONE_MAX

COOKIE = "plumeline-"


def raw(site: Any, data: bytes, *more: bytes) -> bytes:
    """Send bytes as they are; everything that comes until the line ends."""
    place = urlsplit(site.address)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        for piece in (data, *more):
            line.sendall(piece)
        answer = b""
        try:
            while piece := line.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
    return answer


def head(method: str, path: str, site: Any, **headers: str) -> bytes:
    host = headers.pop("host", urlsplit(site.address).netloc)
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"host: {host}", "connection: close", *lines, "", ""]).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def cookie_of(person: Any) -> str:
    return "; ".join(f"{name}={value}" for name, value in person.cookies.items())


@pytest.mark.parametrize("cookie", [
    "", "plumeline-00000000=x", "plumeline-=; plumeline=1", "lang=zh; " + "a=b; " * 100,
])  # fmt: skip
def test_without_a_session_nothing_is_read(site: Any, cookie: str) -> None:
    name = site.accounts.cookie
    for value in (cookie, f"{name}=", f"{name}=null", f"{name}=" + "A" * 43, f"{name}=../../etc/passwd"):
        for path in ("/", "/api/events", "/api/status", "/account", "/nowhere"):
            answer = raw(site, head("GET", path, site, cookie=value))
            assert status(answer) in (303, 401)
            assert b"events" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("forged", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}, {},
    {"sec_fetch_site": "same-site", "origin": "http://127.0.0.1:1"}, {"referer": "http://evil.example/"},
    {"origin": "http://evil.example", "sec_fetch_site": "same-origin"},
    {"origin": "http://["}, {"origin": "http://[::1"}, {"origin": "http://a]b"},
])  # fmt: skip
def test_requests_of_other_pages_change_nothing(site: Any, signed_in: Any, forged: dict[str, str]) -> None:
    person = signed_in("admin")
    for rule in sorted(rule for rule in rules(site.app.routes) if rule.startswith("POST ")):
        path = re.sub(r"\{\w+\}", "x", rule.split(" ", 1)[1])
        sent = head("POST", path, site, cookie=cookie_of(person), content_length="0", **forged)
        assert status(raw(site, sent)) == 403, rule
    assert person.get("/account").status == 200, "the session is as it was"
    assert any(act["outcome"] == "refused: foreign" for act in site.acts())


@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/static/../../../etc/passwd", "/static/%2e%2e/%2e%2e/words.toml", "/static//etc/passwd",
    "/static/..%5c..%5cwords.toml", "//etc/passwd", "/static/%00", "/lang/..%2f..%2fetc",
    "/static/shell.css/../../words.toml", "/static/%c0%ae%c0%ae/words.toml",
])  # fmt: skip
@pytest.mark.parametrize("who", ["stranger", "admin"])
def test_no_path_leads_out_of_the_static_files(site: Any, signed_in: Any, path: str, who: str) -> None:
    cookie = cookie_of(signed_in("admin")) if who == "admin" else "a=b"
    answer = raw(site, head("GET", path, site, cookie=cookie))
    assert status(answer) in (303, 400, 404)
    assert b"root:" not in answer
    assert b"[sign_in]" not in answer


def test_what_is_too_large_is_cut_off(site: Any, signed_in: Any) -> None:
    own = {"cookie": cookie_of(signed_in("admin")), "origin": site.address}
    announced = head("POST", "/sign-in", site, content_length=str(10**12), **own)
    assert status(raw(site, announced)) == 413
    assert status(raw(site, head("POST", "/account", site, content_length="1e9", **own))) in (400, 413)
    assert status(raw(site, head("POST", "/sign-in", site, content_length="-1", **own))) in (400, 413)
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    chunked = head("POST", "/account", site, transfer_encoding="chunked",
                   content_type="application/x-www-form-urlencoded", **own)  # fmt: skip
    assert status(raw(site, chunked, chunk * (BODY_BYTES_MAX // 4096 + 2))) in (403, 413)
    endless = b"GET /" + b"a" * 300_000
    assert status(raw(site, endless)) in (0, 400), "hung up on, with or without a word"
    assert status(raw(site, b"GET / HTTP/1.1\r\nx: " + b"a" * 300_000)) in (0, 400)
    assert status(raw(site, head("GET", "/healthz", site))) == 200


def test_silent_connections_take_a_bounded_number_of_places(site: Any) -> None:
    place, before = urlsplit(site.address), len(os.listdir("/proc/self/fd"))
    one_address = (place.hostname, place.port)
    quiet = [socket.create_connection(one_address, timeout=10) for _ in range(4 * CONNECTIONS_OF_ONE_MAX)]
    ended = [one for one in quiet[CONNECTIONS_OF_ONE_MAX:] if one.recv(1) == b""]
    assert len(ended) == 3 * CONNECTIONS_OF_ONE_MAX, "hung up on at once"
    assert len(os.listdir("/proc/self/fd")) - before <= 5 * CONNECTIONS_OF_ONE_MAX + 10
    for one in quiet:
        one.close()
    until = time.monotonic() + 10
    while status(answer := raw(site, head("GET", "/healthz", site))) != 200:
        assert time.monotonic() < until, answer


def test_who_sends_a_password_slowly_keeps_nobody_waiting(site: Any, signed_in: Any) -> None:
    person = signed_in("technician")
    place = urlsplit(site.address)
    slow = socket.create_connection((place.hostname, place.port), timeout=10)
    own = {"cookie": cookie_of(person), "origin": site.address}
    form = "application/x-www-form-urlencoded"
    slow.sendall(head("POST", "/account", site, content_length="100", content_type=form, **own) + b"old=")
    began = time.monotonic()
    signed_in("qa")
    assert time.monotonic() - began < 5
    slow.close()


def test_two_lengths_of_one_request_are_refused(site: Any) -> None:
    both = head("POST", "/sign-in", site, content_length="4", transfer_encoding="chunked", origin=site.address)
    answer = raw(site, both + b"0\r\n\r\nGET /api/status HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") <= 1, "no second request is smuggled in"
    twice = head("POST", "/sign-in", site, content_length="4", Content_Length="5", origin=site.address)
    assert status(raw(site, twice, b"aaaaa")) == 400


def closes(line: socket.socket) -> bool:
    try:
        return line.recv(1000) == b"" or line.recv(1000) == b""
    except ConnectionResetError:
        return True


def drips_until_closed(line: socket.socket) -> bool:
    """Send a byte of a head now and then, as long as the other side lets us."""
    line.settimeout(0.02)
    for _ in range(500):
        try:
            line.sendall(b"x")
            if line.recv(10) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_who_drips_the_head_or_the_body_loses_the_place(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.serve.HEAD_WALL_S", 0.2)
    monkeypatch.setattr("web.guard.PIECE_WALL_S", 0.2)
    place = urlsplit(site.address)
    slow = [socket.create_connection((place.hostname, place.port), timeout=10) for _ in range(20)]
    for number, line in enumerate(slow):
        line.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n" if number % 2 else b"")
    assert all(closes(line) for line in slow)
    body = head("POST", "/sign-in", site, content_length="100", origin=site.address,
                content_type="application/x-www-form-urlencoded")  # fmt: skip
    assert status(raw(site, body, b"name=")) == 408
    dripping = socket.create_connection((place.hostname, place.port), timeout=10)
    assert drips_until_closed(dripping)
    for line in (*slow, dripping):
        line.close()
    assert status(raw(site, head("GET", "/healthz", site))) == 200


def test_one_address_does_not_take_every_place(site: Any) -> None:
    place = urlsplit(site.address)
    lines = [socket.create_connection((place.hostname, place.port), timeout=10) for _ in range(CONNECTIONS_OF_ONE_MAX)]
    late = socket.create_connection((place.hostname, place.port), timeout=10)
    assert closes(late), "the next is hung up on"
    assert CONNECTIONS_OF_ONE_MAX < CONNECTIONS_MAX
    lines[0].sendall(head("GET", "/healthz", site))
    assert b" 200 " in lines[0].recv(1000), "who came before is served"
    for line in (*lines, late):
        line.close()


@pytest.mark.parametrize(
    "value", ["/%0d%0aset-cookie:%20a=b", "/\r\nx: y", "%0d%0a", "//evil.example", "/\\evil.example"]
)
def test_no_header_is_injected(site: Any, value: str) -> None:
    for path in (f"/lang/zh?next={value}", f"/lang/zh%0d%0aset-cookie:a=b?next={value}"):
        answer = raw(site, head("GET", path.replace("\r\n", "%0d%0a").replace(" ", "%20"), site))
        top = answer.partition(b"\r\n\r\n")[0].lower()
        assert b"\r\nset-cookie: a=b" not in top
        assert b"\r\nx: y" not in top
        assert b"evil" not in top
    assert status(raw(site, head("GET", "/", site, cookie="a\r\n b"))) in (303, 400)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "a@b", "[::1", "x" * 300]
)
def test_a_strange_host_is_refused_and_never_repeated(site: Any, host: str) -> None:
    answer = raw(site, head("GET", "/sign-in", site, host=host))
    assert status(answer) in (400, 421)
    assert b"evil" not in answer
    for good in ("localhost", "127.0.0.1:8080", "[::1]:80"):
        assert status(raw(site, head("GET", "/sign-in", site, host=good))) == 200


@pytest.mark.parametrize("trick", [
    {"x_http_method_override": "POST"}, {"x_method_override": "DELETE"}, {"x_original_url": "/healthz"},
    {"x_rewrite_url": "/healthz"}, {"x_forwarded_proto": "https"}, {"x_forwarded_host": "evil.example"},
    {"x_forwarded_for": "1.2.3.4"},
])  # fmt: skip
def test_headers_that_say_something_else_are_not_believed(site: Any, signed_in: Any, trick: dict[str, str]) -> None:
    person = signed_in("admin")
    assert status(raw(site, head("GET", "/api/nothing", site, **trick))) == 401
    answer = raw(site, head("GET", "/sign-out?_method=POST", site, cookie=cookie_of(person), **trick))
    assert status(answer) == 405
    assert b"evil" not in answer
    assert b"strict-transport-security" not in answer
    assert person.get("/account").status == 200, "still signed in"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "FOO"])
def test_other_methods_do_nothing(site: Any, signed_in: Any, method: str) -> None:
    person = signed_in("admin")
    for path in ("/account", "/sign-out", "/api/events", "/"):
        answer = raw(site, head(method, path, site, cookie=cookie_of(person), origin=site.address))
        assert status(answer) in (400, 404, 405), (method, path)
    assert person.get("/account").status == 200


def test_a_session_given_beforehand_is_not_taken(site: Any, visitor: Any) -> None:
    victim, name = visitor(site.address), site.accounts.cookie
    victim.cookies[name] = fixed = "A" * 43
    assert victim.sign_in("admin").status == 303
    assert victim.cookies[name] != fixed
    thief = visitor(site.address)
    thief.cookies[name] = fixed
    assert thief.get("/account").status == 303
    # Nor does the session of before outlive a new sign-in of the same browser.
    old = victim.cookies[name]
    victim.sign_in("admin")
    thief.cookies[name] = old
    assert thief.get("/account").status == 303


def test_repeated_guesses_close_the_door_and_are_on_record(site: Any, visitor: Any) -> None:
    known = visitor(site.address)
    assert known.sign_in("admin").status == 303
    for number in range(FREE_OF_EITHER):
        assert visitor(site.address).sign_in(f"name {number}", "a wrong guess").status == 403
    answer = visitor(site.address).sign_in("auditor")
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) <= 60
    assert visitor(site.address).sign_in("admin").status == 303, "who was let in from here before is let in again"
    guesses = [act for act in site.acts() if act["outcome"] == "wrong name or password"]
    assert len(guesses) == FREE_OF_EITHER
    assert "a wrong guess" not in repr(site.acts())


def test_every_answer_of_every_route_carries_the_headers(site: Any, signed_in: Any) -> None:
    person = signed_in("admin")
    for rule in sorted(rules(site.app.routes) - {"POST /sign-out"}):
        method, path = rule.split(" ", 1)
        headers = person.ask(method, re.sub(r"\{\w+\}", "tower", path), None if method == "GET" else {}).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], rule
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_no_page_holds_a_script_of_its_own(site: Any, signed_in: Any) -> None:
    person = signed_in("admin")
    for rule in sorted(rule for rule in rules(site.app.routes) - OPEN if rule.startswith("GET /")):
        path = re.sub(r"\{\w+\}", "tower", rule.split(" ", 1)[1])
        text = person.get(path).text
        scripts = re.findall(r"<script([^>]*)>", text)
        assert all("src=" in one or "application/json" in one for one in scripts), path
        assert not re.search(r"\son\w+=", text), path
