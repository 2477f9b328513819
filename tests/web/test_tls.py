"""A page with its own TLS: what it speaks, what its answers carry, what it refuses."""

import http.client
import ipaddress
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from web.serve import Settings
from web.shell import Shell

PASSWORD = "a heron over the weir"


@pytest.fixture
def secure(
    tmp_path: Path, serve_page: Callable[..., str], with_account: Callable[..., Any], recorded: Any
) -> tuple[int, Path]:
    """Port of a page with TLS, and its certificate."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "t")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1).not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = Settings(str(certificate), str(secret))
    shell = Shell("central", with_account(tmp_path), {}, recorded, settings=settings)
    return int(serve_page(shell.application([]), settings).rsplit(":", 1)[1]), certificate


def connection(port: int, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)


def test_cookies_are_secure_and_browsers_told_to_stay(secure: tuple[int, Path]) -> None:
    port, certificate = secure
    line = connection(port, ssl.create_default_context(cafile=certificate))
    form = {"content-type": "application/x-www-form-urlencoded", "origin": f"https://127.0.0.1:{port}"}
    line.request("POST", "/sign-in", f"name=Li+Wei&password={PASSWORD.replace(' ', '+')}", form)
    answer = line.getresponse()
    answer.read()
    assert answer.status == 303
    assert "; Secure" in str(answer.headers["set-cookie"])
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    line.close()


def test_old_tls_and_plain_http_are_refused(secure: tuple[int, Path]) -> None:
    port, certificate = secure
    old = ssl.create_default_context(cafile=certificate)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connection(port, old).connect()
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    plain.request("GET", "/healthz")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        plain.getresponse()
    plain.close()
