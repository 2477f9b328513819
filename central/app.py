"""The centre's pages and their API: map, station pages, events, health. Everything behind the sign-in."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import apsw
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from central import queries
from central.config import Config
from metrology.clock import Clock
from metrology.measurand import catalogue
from metrology.periods import iso, parse_iso
from web.credentials import Credentials
from web.shell import Shell

SPANS: Final = {60: timedelta(hours=6), 3600: timedelta(days=7), 86400: timedelta(days=90)}
CHART_POINTS_MAX: Final = 2000


def credentials(config: Config) -> Credentials:
    """Where the centre's password lies: beside its store."""
    return Credentials(Path(config.store).with_name("page-password"))


class Pages:
    """Routes over one store. Each read opens a connection of its own: reads are short and never block the writer."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._shell = Shell("central", credentials(config))

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
                Route("/api/attribution", self._api_attribution),
                Route("/api/events", self._api_events),
                Route("/api/health", self._api_health),
                Route("/api/layer", self._api_layer),
            ]
        )

    # -- pages

    async def _map(self, request: Request) -> Response:
        return self._page(request, "map.html", {"here": "map"})

    async def _station(self, request: Request) -> Response:
        station = request.path_params["station"]
        if station not in self._config.stations:
            return self._page(request, "missing.html", {"here": "map"}, 404)
        block = self._config.stations[station]
        return self._page(request, "station.html", {"here": "map", "station": station, "block": block})

    async def _events(self, request: Request) -> Response:
        return self._page(request, "events.html", {"here": "events"})

    async def _health(self, request: Request) -> Response:
        return self._page(request, "health.html", {"here": "health"})

    def _page(self, request: Request, template: str, values: dict[str, Any], status: int = 200) -> Response:
        words = self._shell.words(request)
        return self._shell.page(request, template, {**values, "texts": words.all(""), "rate": self._clock.rate}, status)

    # -- API

    async def _api_stations(self, request: Request) -> Response:
        states = {row["station_id"]: row for row in await self._read(queries.station_states)}
        found = []
        for name, block in self._config.stations.items():
            state = states.get(name)
            values = {row["series"]: row for row in await self._read(queries.latest_values, name)}
            found.append(
                {
                    "id": name,
                    "name_zh": block.name_zh,
                    "name_en": block.name_en,
                    "position": block.position.model_dump(),
                    "state": None if state is None else ("online" if state["online"] else "offline"),
                    "newest": state["newest"] if state else None,
                    "instruments": {
                        instrument: {
                            "position": place.model_dump(),
                            "values": {
                                s.split(".", 1)[1]: v for s, v in values.items() if s.split(".")[0] == instrument
                            },
                        }
                        for instrument, place in block.instruments.items()
                    },
                }
            )
        return JSONResponse({"now": iso(self._clock.now()), "rate": self._clock.rate, "stations": found})

    async def _api_values(self, request: Request) -> Response:
        station = request.path_params["station"]
        rows = await self._read(queries.latest_values, station)
        return JSONResponse({"now": iso(self._clock.now()), "values": [{**row, **_names(row)} for row in rows]})

    async def _api_averages(self, request: Request) -> Response:
        query = request.query_params
        try:
            period_s = int(query.get("period_s", "60"))
            end = parse_iso(query["to"]) if "to" in query else self._clock.now()
            start = parse_iso(query["from"]) if "from" in query else end - SPANS[period_s]
        except (ValueError, KeyError):
            return _refusal("period_s is 60, 3600 or 86400; from and to are ISO times with a zone")
        station, series = request.path_params["station"], query.get("series", "")
        rows = await self._read(queries.averages, station, series, period_s, iso(start), iso(end), CHART_POINTS_MAX)
        return JSONResponse({"series": series, "period_s": period_s, "rows": rows})

    async def _api_attribution(self, request: Request) -> Response:
        run = await self._read(queries.newest_run)
        if run is None:
            return JSONResponse({"run": None, "sources": [], "cells": []})
        return JSONResponse(
            {
                "run": run,
                "sources": await self._read(queries.sources, run["id"]),
                "cells": await self._read(queries.cells, run["id"]),
            }
        )

    async def _api_events(self, request: Request) -> Response:
        station = request.query_params.get("station")
        before = request.query_params.get("before", "9")
        return JSONResponse({"events": await self._read(queries.events, station, before)})

    async def _api_health(self, request: Request) -> Response:
        wall = datetime.now(UTC).timestamp()
        health = await self._read(queries.health, wall, self._clock.now(), self._clock.rate)
        ledger = {name: await self._read(queries.checkpoints, name) for name in self._config.stations}
        return JSONResponse({**health, "ledger": ledger})

    async def _api_layer(self, request: Request) -> Response:
        """An extra layer a site keeps beside the store (`layer.geojson`): known facilities, say."""
        path = Path(self._config.store).with_name("layer.geojson")
        if not path.exists():
            return JSONResponse({"type": "FeatureCollection", "features": []})
        return Response(await run_in_threadpool(path.read_bytes), media_type="application/geo+json")

    async def _read(self, query: Any, *values: Any) -> Any:
        return await run_in_threadpool(self._read_now, query, *values)

    def _read_now(self, query: Any, *values: Any) -> Any:
        try:
            connection = queries.open_reader(self._config.store)
        except apsw.CantOpenError:
            return None if query is queries.newest_run else []
        try:
            return query(connection, *values)
        finally:
            connection.close()


def _names(row: dict[str, Any]) -> dict[str, str]:
    measurand = catalogue().get(row["series"].split(".", 1)[-1])
    return {"name_en": measurand.name_en, "name_zh": measurand.name_zh} if measurand else {}


def _refusal(text: str) -> JSONResponse:
    return JSONResponse({"error": text}, 400)


class _Server(uvicorn.Server):
    """A server that leaves the signals to the daemon."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def server(config: Config, clock: Clock) -> uvicorn.Server:
    """The web server of a centre, not yet running; config.http must be given."""
    if config.http is None:
        raise ValueError("no http address is configured")
    settings = uvicorn.Config(
        build(config, clock), host=config.http.host, port=config.http.port, loop="asyncio", http="h11", ws="none", lifespan="off",
        log_level="warning", server_header=False, access_log=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    return _Server(settings)


def build(config: Config, clock: Clock) -> Starlette:
    """The web application of a centre."""
    return Pages(config, clock).application()
