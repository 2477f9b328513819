"""Rules for the page: beyond this machine it speaks TLS, with a certificate that fits its key."""

import ssl
from datetime import datetime

from agent.checks.findings import Findings
from agent.checks.tls import check_file
from agent.config import Config
from host.secrets import SecretError, path_of


def check_page(config: Config, wall: datetime, find: Findings) -> None:
    """Check how people reach the page; `wall` is real time, by which browsers judge certificates."""
    page = config.page
    if page is None:
        return
    if page.exposed:
        find.error("page-exposed", "page", "host", host=page.host)
    if page.tls is None or not check_file(("page", "tls", "certificate"), page.tls.certificate, wall, find):
        return
    try:
        key = path_of(page.tls.key)
    except SecretError:
        return  # told with the other secrets
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(page.tls.certificate, key)
    except ssl.SSLError:
        find.error("certificate-key", "page", "tls", "key", file=page.tls.certificate)
