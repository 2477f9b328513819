"""TLS for clients that show a certificate (MQTT uplinks and the centre's subscriber)."""

import ssl
from pathlib import Path


def client_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Context that believes `ca` alone, checks the host name, speaks TLS 1.2 or newer, and shows the certificate.

    All three are PEM files, the key without a passphrase. Raises OSError for an unreadable file and ssl.SSLError for
    one that is no certificate or a key that does not belong to it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context
