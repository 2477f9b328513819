"""The centre's pages and their API: map, station pages, events, health. Everything behind the sign-in."""

import json
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from central import queries, views
from central.config import Config, Http, Listen
from central.gases import gases
from central.hj212_desk import Desk
from central.hj212_pages import DeskPages
from central.page_access import ACCESS
from host.secrets import path_of
from metrology.clock import Clock
from metrology.periods import iso, parse_iso
from web.accounts import Accounts
from web.serve import Settings
from web.shell import Audit, Shell

SPANS: Final = {60: timedelta(hours=6), 3600: timedelta(days=7), 86400: timedelta(days=90)}
# What the map colours its instruments by, where no attribution is configured: one gas, dry before wet.
MAP_MEASURANDS: Final = ["ch4_dry", "ch4"]


def accounts(config: Config) -> Accounts:
    """The accounts of the centre's page, which lie beside its store."""
    return Accounts(Path(config.store).parent)


def settings(page: Http) -> Settings:
    """How the page is reached. Raises SecretError."""
    certificate, key = (page.tls.certificate, str(path_of(page.tls.key))) if page.tls else (None, None)
    names = None if page.reached_by is None else frozenset(name.lower() for name in page.reached_by)
    return Settings(
        certificate, key, page.behind_proxy, names, page.idle_min * 60, page.session_h * 3600, notice=page.notice
    )


def listen(address: Listen | Http) -> socket.socket:
    """A listening socket for the pages. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family)


class Pages:
    """Routes over one store. Each request opens a connection of its own: reads are short, never block the writer."""

    def __init__(
        self, config: Config, clock: Clock, status: Callable[[], Mapping[str, Any]], desk: Desk | None, audit: Audit
    ) -> None:
        self._config = config
        self._desk = desk
        self._clock = clock
        self._status = status
        page = settings(config.http) if config.http else None
        self._shell = Shell("central", accounts(config), ACCESS, audit, settings=page)
        self._layer = Path(config.store).with_name("layer.geojson")

    def application(self) -> Starlette:
        """Everything the centre answers by HTTP."""
        return self._shell.application(
            [
                Route("/", self._map),
                Route("/station/{station}", self._station),
                Route("/events", self._events),
                Route("/health", self._health),
                Route("/api/stations", self._api_stations),
                Route("/api/stations/{station}/values", self._api_values),
                Route("/api/stations/{station}/averages", self._api_averages),
                Route("/api/stations/{station}/gases", self._api_gases),
                Route("/api/attribution", self._api_attribution),
                Route("/api/events", self._api_events),
                Route("/api/health", self._api_health),
                Route("/api/layer", self._api_layer),
                *(DeskPages(self._config, self._desk, self._shell).routes() if self._desk else ()),
            ]
        )

    # -- pages

    async def _map(self, request: Request) -> Response:
        settings = self._config.attribution
        values = {
            "measurands": settings.measurands if settings else MAP_MEASURANDS,
            "meteorology": settings.meteorology.model_dump() if settings else None,
        }
        return self._page(request, "map.html", "map", values)

    async def _station(self, request: Request) -> Response:
        station = self._known_station(request)
        block = self._config.stations[station]
        values = {"station": station, "block": block, "hj212": bool(self._desk and block.outlets)}
        return self._page(request, "station.html", "map", values)

    async def _events(self, request: Request) -> Response:
        return self._page(request, "events.html", "events", {})

    async def _health(self, request: Request) -> Response:
        return self._page(request, "health.html", "health", {})

    def _page(self, request: Request, template: str, here: str, values: dict[str, Any]) -> Response:
        lang = self._shell.words(request).lang
        names = {
            name: block.name_zh if lang == "zh" else block.name_en for name, block in self._config.stations.items()
        }
        return self._shell.page(request, template, {**values, "here": here, "names": names, "rate": self._clock.rate})

    # -- API

    async def _api_stations(self, request: Request) -> Response:
        found = await self._read(views.stations, self._config, self._clock)
        return JSONResponse({**found, "layer": await run_in_threadpool(_modified, self._layer)})

    async def _api_values(self, request: Request) -> Response:
        return JSONResponse(await self._read(views.values, self._config, self._clock, self._known_station(request)))

    async def _api_averages(self, request: Request) -> Response:
        station, query = self._known_station(request), request.query_params
        try:
            period_s = int(query.get("period_s", "60"))
            longest = SPANS[period_s]
            end = parse_iso(query["to"]) if "to" in query else self._clock.now()
            start = parse_iso(query["from"]) if "from" in query else end - longest
            span = iso(start), iso(end)
        except (ValueError, KeyError, OverflowError):
            raise self._refusal(request, "bad_period") from None
        series = query.get("series", "")
        return JSONResponse(await self._read(views.averages, station, series, period_s, *span))

    async def _api_gases(self, request: Request) -> Response:
        return JSONResponse(await self._read(gases, self._clock, self._known_station(request)))

    async def _api_attribution(self, request: Request) -> Response:
        return JSONResponse(await self._read(views.attribution))

    async def _api_events(self, request: Request) -> Response:
        query = request.query_params
        try:
            before = iso(parse_iso(query["before"])) if "before" in query else "9"
        except (ValueError, OverflowError):
            raise self._refusal(request, "bad_time") from None
        return JSONResponse({"events": await self._read(queries.events, query.get("station"), before)})

    async def _api_health(self, request: Request) -> Response:
        found = await self._read(views.health, self._config, self._clock)
        return JSONResponse({**found, "programs": dict(self._status())})

    async def _api_layer(self, request: Request) -> Response:
        """An extra layer a site keeps beside the store (`layer.geojson`): known facilities, say."""
        try:
            document = json.loads(await run_in_threadpool(self._layer.read_bytes))
        except FileNotFoundError:
            document = {"type": "FeatureCollection", "features": []}
        except ValueError:
            raise HTTPException(500, self._shell.words(request)("bad_layer")) from None
        return JSONResponse(document)

    def _known_station(self, request: Request) -> str:
        station: str = request.path_params["station"]
        if station not in self._config.stations:
            raise HTTPException(404)
        return station

    def _refusal(self, request: Request, word: str) -> HTTPException:
        return HTTPException(400, self._shell.words(request)(word))

    async def _read(self, view: Callable[..., Any], *values: Any) -> Any:
        return await run_in_threadpool(self._read_now, view, *values)

    def _read_now(self, view: Callable[..., Any], *values: Any) -> Any:
        connection = queries.open_reader(self._config.store)
        try:
            return view(connection, *values)
        finally:
            connection.close()


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def build(
    config: Config,
    clock: Clock,
    audit: Audit,
    status: Callable[[], Mapping[str, Any]] = dict,
    desk: Desk | None = None,
) -> Starlette:
    """The web application of a centre, over a store that is there.

    `audit` puts acts of people on record, `status` is what its daemon says of itself, `desk` sends commands by HJ 212.
    """
    return Pages(config, clock, status, desk, audit).application()
