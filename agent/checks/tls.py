"""Rules for TLS files: they are what they should be, and none runs out unnoticed."""

import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from agent.checks.findings import Findings
from host.secrets import SecretError, path_of
from host.shapes import Tls
from host.tls import client_context

# A new certificate, of a gas or for TLS, takes weeks: it is asked for before the old one ends.
SOON: Final = timedelta(days=30)


def check_tls(path: tuple[str | int, ...], tls: Tls, wall: datetime, find: Findings) -> None:
    """Check the files of the block at `path`; `wall` is real time, by which peers judge certificates."""
    good = [check_file((*path, key), getattr(tls, key), wall, find) for key in ("ca", "certificate")]
    try:
        key = path_of(tls.key)
    except SecretError:
        return  # told with the other secrets
    if all(good):
        try:
            client_context(Path(tls.ca), Path(tls.certificate), key)
        except ssl.SSLError:
            find.error("certificate-key", *path, "key", file=tls.certificate)


def check_file(path: tuple[str | int, ...], file: str, wall: datetime, find: Findings) -> bool:
    """Tell whether the file holds certificates, and note where it does not or where they end."""
    try:
        ends = _ends(file)
    except FileNotFoundError:
        find.error("certificate-missing", *path, file=file)
        return False
    except (OSError, ValueError) as error:
        find.error("certificate-form", *path, file=file, reason=str(error))
        return False
    # Of several authorities the last to expire counts; our own certificate stands first in its file (RFC 8446, 4.4.2).
    end = max(ends) if path[-1] == "ca" else ends[0]
    if end <= wall:
        find.warn("certificate-expired", *path, file=file, day=end.date())
    elif end <= wall + SOON:
        find.warn("certificate-expires", *path, file=file, day=end.date(), days=(end - wall).days)
    return True


def _ends(file: str) -> list[datetime]:
    """When each certificate of a PEM file ends, one at least. Raises OSError and ValueError."""
    data = Path(file).read_bytes()
    # A heavy library: only a station with certificates pays for it.
    from cryptography.x509 import load_pem_x509_certificates

    return [one.not_valid_after_utc for one in load_pem_x509_certificates(data)]
