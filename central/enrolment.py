"""Where stations enrol and renew: an HTTPS server of its own, under a certificate of the centre's authority.

It is no part of the page: its visitors are stations, it knows no accounts, no cookies and no other route. A code, or
the present certificate, is what lets in; requests are bounded and guessing is braked as at the page's door.
"""

import asyncio
import logging
import math
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from central import enrolments
from central.ca import Authority, opened
from central.config import AuthorityBlock, Station
from central.events import put_event
from central.people import NO_STATION
from central.store import Store
from central.writer import Writer
from host.enrolment import Enrolled, Enrolling, Renewing
from host.secrets import SecretRef, read_secret
from host.tls import certificate_of
from metrology.clock import Clock
from metrology.periods import iso
from web.brake import Brake
from web.guard import Bounds, Headers
from web.serve import Settings, serve, visitor_of

DAY_WALL_S: Final = 86400.0
SOON: Final = timedelta(days=30)
# What the centre itself shows: made by `ca init` and `ca renew`.
OWN: Final = ("enrolment.pem", "centre.pem")
SLOW_DOWN: Final = 429
STATUS: Final = {"code-wrong": 403, "code-used": 403, "code-expired": 403, "code-replaced": 403, "csr": 400,
                 "vkey": 400, "too-soon": SLOW_DOWN}  # fmt: skip

log = logging.getLogger(__name__)


def broker_folder(block: AuthorityBlock) -> Path:
    """Where the files lie that the broker reads."""
    return Path(block.broker_folder or Path(block.folder) / "broker")


def authority_of(block: AuthorityBlock) -> Authority:
    """The authority of a configuration. Raises AuthorityError and SecretError."""
    folder = Path(block.folder)
    passphrase = read_secret(block.passphrase) if block.passphrase else None
    return opened(folder, block.key or SecretRef(file=str(folder / "ca.key")), passphrase)


class Enrolment:
    """The server, around the store's one writer. `witness` is the key of the centre's cosignatures."""

    def __init__(
        self, block: AuthorityBlock, stations: Mapping[str, Station], store: Store, writer: Writer, clock: Clock,
        witness: str | None,
    ) -> None:  # fmt: skip
        """Raises AuthorityError, SecretError, and OSError where the address cannot be had."""
        self._block = block
        self._stations = stations
        self._store = store
        self._writer = writer
        self._clock = clock
        self._witness = witness
        self._authority = authority_of(block)
        self._brake = Brake(time.monotonic)
        family = socket.AF_INET6 if ":" in block.listen.host else socket.AF_INET
        self._listener = socket.create_server((block.listen.host, block.listen.port), family=family)
        self.port: int = self._listener.getsockname()[1]

    async def run(self) -> None:
        """Serve until cancelled."""
        folder = Path(self._block.folder)
        names = [str(folder / name) for name in ("enrolment.pem", "enrolment.key", "ca.pem")]
        settings = Settings(names[0], names[1], client_ca=names[2], names=None)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(serve(self.application(), self._listener, settings))

    def application(self) -> Starlette:
        """Its three routes."""
        routes = [
            Route("/authority", self._give_authority),
            Route("/enrol", self._enrol, methods=["POST"]),
            Route("/renew", self._renew, methods=["POST"]),
        ]
        return Starlette(routes=routes, middleware=[Middleware(Headers), Middleware(Bounds)])

    async def _give_authority(self, request: Request) -> Response:
        return Response(self._authority.pem, media_type="application/x-pem-file")

    async def _enrol(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if wait_s := self._brake.wait_s("", address):
            return JSONResponse({"error": "slow-down"}, SLOW_DOWN, {"retry-after": str(math.ceil(wait_s))})
        try:
            asked = Enrolling.model_validate_json(await request.body())
            made = await self._writer.run(
                enrolments.enrol, self._store.db, self._authority, self._stations, self._block.days, asked, address,
                self._store.wall(),
            )  # fmt: skip
        except ValidationError:
            return JSONResponse({"error": "form"}, 400)
        except enrolments.RefusedError as refused:
            if refused.code == "code-wrong":
                self._brake.failed("", address)
                await self._writer.run(self._store.count_refused, "enrolment", address, refused.code)
            return self._refused(refused, address)
        log.info("%s enrolled from %s", asked.station, address)
        return self._given(made)

    async def _renew(self, request: Request) -> Response:
        shown = visitor_of(request.scope)
        if shown is None:
            return JSONResponse({"error": "certificate-missing"}, 401)
        try:
            csr = Renewing.model_validate_json(await request.body()).csr
            made = await self._writer.run(
                enrolments.renew, self._store.db, self._authority, self._stations, self._block.days, shown, csr,
                self._store.wall(),
            )  # fmt: skip
        except ValidationError:
            return JSONResponse({"error": "form"}, 400)
        except enrolments.RefusedError as refused:
            name = certificate_of(shown.encode()).name
            await self._writer.run(self._store.count_refused, "enrolment", name, refused.code)
            return self._refused(refused, name)
        return self._given(made)

    def _given(self, certificate: bytes) -> Response:
        broker = self._block.broker
        answer = Enrolled(certificate=certificate.decode(), host=broker.host, port=broker.port, witness=self._witness)
        return JSONResponse(answer.model_dump())

    def _refused(self, refused: enrolments.RefusedError, who: str) -> Response:
        log.warning("enrolment of %s refused: %s", who, refused.code)
        return JSONResponse({"error": refused.code}, STATUS.get(refused.code, 409))

    async def _watch(self) -> None:
        """Say once a day which certificate of our own ends soon: `plumeline-central ca renew` makes new ones."""
        files = [Path(self._block.folder) / name for name in OWN] + [broker_folder(self._block) / "broker.pem"]
        while True:
            now = datetime.fromtimestamp(self._store.wall(), UTC)
            ends = {str(file): _end(file) for file in files}
            soon = {file: iso(end) for file, end in ends.items() if end is not None and end < now + SOON}
            if soon:
                log.warning("certificates end soon: %s; run plumeline-central ca renew", soon)
                await self._writer.run(self._say, now, soon)
            await self._clock.sleep_wall(DAY_WALL_S)

    def _say(self, now: datetime, soon: Mapping[str, Any]) -> None:
        with self._store.db:
            key = f"certificate-expires-soon/{now.date()}"
            put_event(self._store.db, key, NO_STATION, iso(now), "certificate-expires-soon", {"until": dict(soon)})


def _end(file: Path) -> datetime | None:
    """When a certificate ends; None where it lies elsewhere by now, or is closed to us."""
    try:
        return certificate_of(file.read_bytes()).ends
    except (OSError, ValueError):
        return None
