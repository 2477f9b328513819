"""A station renews its own certificate before it ends, under the present one; where that fails, people hear of it.

The key stays the same, so that one file changes as a whole; the connections that come next show the new certificate.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.config import Config, MqttUplink
from agent.config_tls import StationTls
from host.enrolment import EnrolError
from host.private import PUBLIC, write_whole
from host.secrets import SecretError, path_of, read_secret
from host.tls import Certificate, ClientContext, certificate_of
from metrology.clock import Clock
from metrology.periods import iso

if TYPE_CHECKING:
    from agent.daemon import Daemon

LOOK_WALL_S: Final = 3600.0
# Shares of a certificate's span that are left: renewed from the first on, told to people from the second on.
RENEW_LEFT: Final = 1 / 3
TELL_LEFT: Final = 1 / 6

logger = logging.getLogger(__name__)


async def renewals(daemon: "Daemon") -> None:
    """Look at each certificate once an hour. A station that shows none has nothing to look at."""
    told: dict[str, date] = {}
    while files := dict(certificates(daemon.config)):
        for file, (uplink, tls) in files.items():
            await _look(daemon, uplink, tls, Path(file), told)
        await daemon.clock.sleep_wall(LOOK_WALL_S)


def certificates(config: Config) -> Iterator[tuple[str, tuple[str, StationTls]]]:
    """Each certificate file that an uplink to a centre shows, with the uplink's name and block."""
    for name, uplink in config.uplinks.items():
        if isinstance(uplink, MqttUplink) and uplink.tls is not None:
            yield uplink.tls.certificate, (name, uplink.tls)


async def _look(daemon: "Daemon", uplink: str, tls: StationTls, file: Path, told: dict[str, date]) -> None:
    now = _real(daemon.clock)
    try:
        own = certificate_of(file.read_bytes())
    except (OSError, ValueError) as error:
        logger.warning("%s: %s", file, error)
        return
    left, detail = own.left(now), {"origin": f"uplink {uplink}", "serial": own.serial, "until": iso(own.ends)}
    # Peers are held against the certificate's own beginning meanwhile (host/tls.py).
    if now < own.begins and _is_new(told, f"clock {file}", now):
        daemon.event("clock-before-certificate", {**detail, "from": iso(own.begins)})
    if left >= RENEW_LEFT:
        return
    reason = "tls.renew is not configured" if tls.renew is None else ""
    if tls.renew is not None:
        try:
            made = await asyncio.to_thread(renewed, tls, daemon.config.station.id)
        except (EnrolError, SecretError, OSError, ValueError) as error:
            reason = str(error)
            logger.warning("uplink %s: the certificate is not renewed: %s", uplink, reason)
        else:
            new = {"serial": made.serial, "former": own.serial, "until": iso(made.ends)}
            daemon.event("certificate-renewed", {**detail, **new})
            return
    if left < TELL_LEFT and _is_new(told, f"end {file}", now):
        soon = {"days": (own.ends - now) // timedelta(days=1), "reason": reason}
        daemon.event("certificate-expires-soon", {**detail, **soon})


def _is_new(told: dict[str, date], what: str, now: datetime) -> bool:
    """Whether that was not told today; it is now."""
    new = told.get(what) != now.date()
    told[what] = now.date()
    return new


def renewed(tls: StationTls, station_id: str) -> Certificate:
    """Put a new certificate in place of the present one; blocks. Raises EnrolError, SecretError, OSError."""
    # A heavy library, and a client: only a station that renews pays for them.
    from agent.enrol import renew

    file = Path(tls.certificate)
    context = ClientContext(Path(tls.ca), file, path_of(tls.key))
    made = renew(str(tls.renew), context, Path(tls.ca).read_text("ascii"), station_id, read_secret(tls.key))
    write_whole(file, made.encode(), PUBLIC)
    return certificate_of(made.encode())


def _real(clock: Clock) -> datetime:
    """By which peers judge certificates: an accelerated world has its own."""
    return clock.now() if clock.rate == 1.0 else datetime.now(UTC)
