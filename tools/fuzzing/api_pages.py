"""Requests to the centre's pages and API over HTTP, by somebody signed in and by a stranger, at the application's door.

What must hold: every request gets a whole answer below 500; the headers that protect a page are on it; JSON is JSON; a
stranger gets nothing but the sign-in, and an auditor changes nothing.
"""

import asyncio
import json
import os
import random
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlencode

from must import need
from seldom import Seldom

from central.app import Pages
from central.config import Config
from central.ingest_hj212 import Hj212Ingest
from central.store import Store
from central.writer import Writer
from host.clock import ManualClock
from web.accounts import Accounts
from web.guard import BODY_BYTES_MAX

Header = tuple[bytes, bytes]

MEMORY: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
FOLDER: Final = MEMORY / f"plumeline-fuzz-pages-{os.getuid()}"
PASSWORD: Final = "a heron over the weir"
HOST: Final = b"127.0.0.1"
# Bits of an input's first byte, above the method: who asks, from where, with a header of the input's own, and whether
# the body comes in pieces (which may be too many, or stop coming).
KNOWN, OWN, HEADER, AUDITOR, PIECES = 8, 16, 32, 64, 128
HEADERS: Final = (
    b"host: centre.example:8080", b"host: [::1]:80", b"host: elsewhere.example", b"host: a@127.0.0.1",
    b"origin: http://[", b"origin: null", b"sec-fetch-site: same-origin", b"sec-fetch-site: cross-site",
    b"accept-language: zh-CN,zh;q=0.9", b"cookie: lang=zh", b"cookie: a=b; =;", b"content-length: 99999999",
    b"content-length: x", b"content-type: text/plain", b"transfer-encoding: chunked", b"upgrade: websocket",
)  # fmt: skip
ORIGIN: Final = b"http://127.0.0.1"
MN: Final = "A000000000000000000000ZZ"
PATHS: Final = (
    "/", "/station/tower", "/events", "/health", "/api/stations", "/api/stations/tower/values?measurand=ch4",
    "/api/stations/tower/averages?series=crds.ch4&period_s=60&to=2026-05-01T08:00:00Z",
    "/api/stations/tower/gases",
    "/api/attribution?measurand=ch4", "/api/events?before=2026-05-01T08:00:00Z",
    "/api/health", "/api/layer",
    "/account", "/sign-in", "/api/stations/tower/hj212", f"/api/stations/tower/hj212/{MN}/dialogue",
    f"/api/stations/tower/hj212/{MN}/send", "/static/shell.css", "/healthz", "/lang/zh?next=/events",
)  # fmt: skip
WORDS: Final = (
    b"%00", b"%2e%2e/", b"..;/", b"?", b"&", b"=", b"%ff", b"\r\n", b"tower", b"main", b"end=", b"1e999", b"-1", b"NaN",
    b"99999999999999999999", b"'--", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59Z", "中".encode(),
)  # fmt: skip
VKEY: Final = "example.com/station/A0001+0345a97d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
NEEDED: Final = (b"content-security-policy", b"x-content-type-options", b"cache-control")


class Centre:
    """The application over an empty store, and the cookie of somebody signed in."""

    def __init__(self) -> None:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        self.loop = asyncio.SelectorEventLoop(Seldom())
        asyncio.set_event_loop(self.loop)
        for role in ("admin", "auditor"):
            Accounts(FOLDER).add(role, role, PASSWORD)  # type: ignore[arg-type]
        self.app = self._application()
        self.admin, self.auditor = self._signed_in("admin"), self._signed_in("auditor")

    def _signed_in(self, name: str) -> bytes:
        body = urlencode({"name": name, "password": PASSWORD}).encode()
        _, headers, _ = self.ask("POST", "/sign-in", [(b"origin", ORIGIN)], [body])
        cookie: bytes = dict(headers).get(b"set-cookie", b"").split(b";")[0]
        need(self.ask("GET", "/account", [(b"cookie", cookie)], [b""])[0] == 200, "nobody could sign in")
        return cookie

    def _application(self) -> Any:
        (FOLDER / "pw").write_text("123456")
        (FOLDER / "pw").chmod(0o600)
        factors = {"a05001": {"series": "gas.co2", "unit": "mg/m3", "decimals": 1, "state": "ambient-298K"}}
        outlet = {"mn": MN, "pw": {"file": str(FOLDER / "pw")}, "factors": factors}
        station = {
            "network": "n", "name_zh": "塔", "name_en": "Tower", "outlets": {"main": outlet}, "vkey": VKEY,
            "position": {"latitude": 31, "longitude": 121, "height_m": 10, "datum": "WGS-84"},
        }  # fmt: skip
        config = Config.model_validate(
            {
                "store": str(FOLDER / "central.db"), "hj212": {"port": 0}, "stations": {"tower": station},
                "http": {"port": 1, "names": ["centre.example"]},
            }
        )  # fmt: skip
        store = Store(config.store, config.stations, lambda: 0.0)
        clock = ManualClock(datetime(2026, 5, 1, 8, tzinfo=UTC))
        assert config.hj212 is not None
        desk = Hj212Ingest(config.hj212, config.stations, store, Writer(), clock).desk

        async def recorded(act: Any) -> None:
            json.dumps(dict(act), ensure_ascii=False).encode()

        return Pages(config, clock, dict, desk, recorded).application()

    def ask(self, method: str, target: str, headers: list[Header], body: list[bytes]) -> tuple[int, Any, bytes]:
        """Status, headers and body of the answer; a body of no pieces never comes."""
        return self.loop.run_until_complete(self._ask(method, target, headers, body))

    async def _ask(self, method: str, target: str, headers: list[Header], body: list[bytes]) -> tuple[int, Any, bytes]:
        path, _, query = target.partition("?")
        kind = b"application/json" if body and body[0][:1] == b"{" else b"application/x-www-form-urlencoded"
        length = [(b"content-length", b"%d" % len(body[0]))] if len(body) == 1 else []
        usual = [(b"host", HOST), (b"content-type", kind), *length]
        own = {name for name, _ in headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(path), "raw_path": path.encode("utf-8", "replace"), "root_path": "",
            "query_string": query.encode("utf-8", "replace"), "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80),
            "headers": [*(one for one in usual if one[0] not in own), *headers],
        }  # fmt: skip
        said: list[Any] = []
        left = list(body)

        async def receive() -> Any:
            if left:
                return {"type": "http.request", "body": left.pop(0), "more_body": len(left) > 0}
            if not body:
                raise TimeoutError  # as the guard's own, when a visitor sends too slowly
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        async with asyncio.timeout(5):
            await self.app(scope, receive, send)
        start = next(one for one in said if one["type"] == "http.response.start")
        whole = b"".join(one.get("body", b"") for one in said if one["type"] == "http.response.body")
        return int(start["status"]), start["headers"], whole


_made: list[Centre] = []


def one_input(data: bytes) -> None:
    """The target: who asks and how (a byte), a header where that says so and LF, the request target, LF, the body."""
    if len(data) < 2:
        return
    if not _made:
        _made.append(Centre())
    centre = _made[0]
    method = ("GET", "GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS")[data[0] & 7]
    known, auditor = data[0] & KNOWN, data[0] & AUDITOR
    given, rest = data[1:].split(b"\n", 1) if data[0] & HEADER and b"\n" in data else (b"", data[1:])
    line, _, body = rest.partition(b"\n")
    target = "/" + line.decode("latin-1").lstrip("/")
    headers = [(b"cookie", centre.auditor if auditor else centre.admin)] if known else []
    headers += [(b"origin", ORIGIN)] if data[0] & OWN else []
    headers += [one for one in [_header(given)] if one is not None and not (known and one[0] == b"cookie")]
    if known and target.startswith(("/sign-out", "/account")) and method == "POST":
        return
    status, answered, whole = centre.ask(method, target, headers, _pieces(body) if data[0] & PIECES else [body])
    names = {name.lower() for name, _ in answered}
    need(status < 500, f"status {status}")
    need(all(name in names for name in NEEDED), "an answer without what protects it")
    kind = dict(answered).get(b"content-type", b"")
    if kind.startswith(b"application/json") and method != "HEAD":
        json.loads(whole)
    path = target.partition("?")[0]
    if not known and status == 200 and method not in ("OPTIONS",):
        need(path.startswith(("/sign-in", "/static/", "/healthz", "/set-up")), f"{path} is open to strangers")
    if known and auditor and method not in ("GET", "HEAD", "OPTIONS"):
        need(status >= 300, f"{method} {path} does what an auditor may not do")


def _header(line: bytes) -> Header | None:
    """A header as a server would let it through: a token in small letters, and no control characters."""
    name, _, value = line.partition(b":")
    name, value = name.strip().lower(), value.strip()
    if not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9a-z-]+", name) or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
        return None
    return name, value


def _pieces(body: bytes) -> list[bytes]:
    """The body as one sends it who announces no length: `+` is endless, `-` never comes."""
    if body[:1] == b"-":
        return []
    if body[:1] == b"+":
        return [body * (BODY_BYTES_MAX // len(body) // 4 + 1)] * 5
    return [body[:7], body[7:14], body[14:]]


def end() -> None:
    """Close what was made for all inputs."""
    while _made:
        _made.pop().loop.close()


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    command = json.dumps({"cn": "1061", "fields": []}).encode()
    sent = [bytes((3 | 8 | 16,)) + path.encode() + b"\n" + command for path in PATHS if path.endswith("/send")]
    asked = [bytes((who,)) + path.encode() for path in PATHS for who in (0, KNOWN)]
    headed = [
        bytes((HEADER | who | method,)) + header + b"\n/api/events\n{}"
        for header in HEADERS
        for who, method in ((0, 0), (KNOWN, 0), (KNOWN, 3))
    ]
    door = bytes((3 | KNOWN | OWN | PIECES,))
    places, bodies = (b"/account/password", PATHS[16].encode(), b"/sign-in"), (command, b"+", b"-", b"")
    pieces = [door + path + b"\n" + body for path in places for body in bodies]
    turned_away = [bytes((3 | KNOWN | OWN | AUDITOR,)) + one[1:] for one in sent]
    return [*sent, *asked, *headed, *pieces, *turned_away]


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage a part of a path that is known, or one value of its query; or the body alone."""
    rng = random.Random(seed)
    if data and data[0] & HEADER and b"\n" in data[1:]:
        given, rest = data[1:].split(b"\n", 1)
        if rng.randrange(2):
            name, mark, value = rng.choice(HEADERS).partition(b": ")
            given = name + mark + (rng.choice(WORDS) if rng.randrange(2) else mutate(value, 80))
        whole = data[:1] + given.replace(b"\n", b"") + b"\n"
        left = max(3, room - len(whole) + 1)
        return (whole + inside(bytes((data[0] & ~HEADER,)) + rest, left, seed // 2, mutate)[1:])[:room]
    line, _, body = data[1:].partition(b"\n")
    if body and rng.randrange(2):
        return (data[:1] + line + b"\n" + mutate(body, max(1, room - len(line) - 2)))[:room]
    path, mark, query = rng.choice(PATHS).encode().partition(b"?")
    parts, pairs = path.split(b"/"), query.split(b"&")
    if mark and rng.randrange(3):
        at = rng.randrange(len(pairs))
        name, _, value = pairs[at].partition(b"=")
        pairs[at] = name + b"=" + (rng.choice(WORDS) if rng.randrange(2) else mutate(value, 60))
    else:
        at = rng.randrange(1, len(parts))
        parts[at] = mutate(parts[at] or b"a", 40)
    return (data[:1] or b"\x08") + (b"/".join(parts) + mark + b"&".join(pairs))[: room - 1].replace(b"\n", b"")
