"""Requests to the centre's pages and API over HTTP, by somebody signed in and by a stranger, at the application's door.

What must hold: every request gets a whole answer below 500; the headers that protect a page are on it; JSON is JSON; a
stranger gets nothing but the sign-in.
"""

import asyncio
import json
import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from must import need
from seldom import Seldom

from central.app import Pages
from central.config import Config
from central.ingest_hj212 import Hj212Ingest
from central.store import Store
from central.writer import Writer
from host.clock import ManualClock
from web.accounts import Accounts

MEMORY: Final = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
FOLDER: Final = MEMORY / f"plumeline-fuzz-pages-{os.getuid()}"
PASSWORD: Final = "a heron over the weir"
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
        Accounts(FOLDER).add("admin", "admin", PASSWORD)
        self.app = self._application()
        body = urlencode({"name": "admin", "password": PASSWORD}).encode()
        _, headers, _ = self.ask("POST", "/sign-in", [(b"origin", ORIGIN)], body)
        self.cookie = dict(headers).get(b"set-cookie", b"").split(b";")[0]
        need(self.ask("GET", "/account", [(b"cookie", self.cookie)], b"")[0] == 200, "nobody could sign in")

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
            {"store": str(FOLDER / "central.db"), "hj212": {"port": 0}, "stations": {"tower": station}}
        )
        store = Store(config.store, config.stations, lambda: 0.0)
        clock = ManualClock(datetime(2026, 5, 1, 8, tzinfo=UTC))
        assert config.hj212 is not None
        desk = Hj212Ingest(config.hj212, config.stations, store, Writer(), clock).desk

        async def recorded(act: Any) -> None:
            json.dumps(dict(act), ensure_ascii=False).encode()

        return Pages(config, clock, dict, desk, recorded).application()

    def ask(self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes) -> tuple[int, Any, bytes]:
        """Status, headers and body of the answer."""
        return self.loop.run_until_complete(self._ask(method, target, headers, body))

    async def _ask(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, Any, bytes]:
        from urllib.parse import unquote

        path, _, query = target.partition("?")
        kind = b"application/json" if body[:1] == b"{" else b"application/x-www-form-urlencoded"
        form = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(path), "raw_path": path.encode("utf-8", "replace"), "root_path": "",
            "query_string": query.encode("utf-8", "replace"), "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80),
            "headers": [(b"host", b"127.0.0.1"), *form, *headers],
        }  # fmt: skip
        said: list[Any] = []
        sent = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if sent:
                return sent.pop()
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
    """The target: who asks and how (a byte), the request target, LF, the body."""
    if len(data) < 2:
        return
    if not _made:
        _made.append(Centre())
    centre = _made[0]
    method = ("GET", "GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS")[data[0] & 7]
    known, own = data[0] & 8, data[0] & 16
    line, _, body = data[1:].partition(b"\n")
    target = "/" + line.decode("latin-1").lstrip("/")
    headers = [(b"cookie", centre.cookie)] if known else []
    headers += [(b"origin", ORIGIN)] if own else []
    if known and target.startswith(("/sign-out", "/account")) and method == "POST":
        return
    status, answered, whole = centre.ask(method, target, headers, body)
    names = {name.lower() for name, _ in answered}
    need(status < 500, f"status {status}")
    need(all(name in names for name in NEEDED), "an answer without what protects it")
    kind = dict(answered).get(b"content-type", b"")
    if kind.startswith(b"application/json") and method != "HEAD":
        json.loads(whole)
    path = target.partition("?")[0]
    if not known and status == 200 and method not in ("OPTIONS",):
        need(path.startswith(("/sign-in", "/static/", "/healthz", "/set-up")), f"{path} is open to strangers")


def end() -> None:
    """Close what was made for all inputs."""
    while _made:
        _made.pop().loop.close()


def seeds() -> list[bytes]:
    """The first inputs of this target."""
    command = json.dumps({"cn": "1061", "fields": []}).encode()
    sent = [bytes((3 | 8 | 16,)) + path.encode() + b"\n" + command for path in PATHS if path.endswith("/send")]
    return [*sent, *(bytes((who,)) + path.encode() for path in PATHS for who in (0, 8))]


def inside(data: bytes, room: int, seed: int, mutate: Any) -> bytes:
    """Damage a part of a path that is known, or one value of its query; or the body alone."""
    rng = random.Random(seed)
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
