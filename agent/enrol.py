"""Enrolment of a station at its centre: keys made here, a certificate had by a one-time code, nothing trusted unseen.

The first contact is pinned: the authority's certificate comes over a line nobody vouches for, and counts only where it
has the fingerprint a person brought. Everything secret goes over a second line, which that authority vouches for.
"""

import base64
import http.client
import json
import re
import secrets
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ValidationError

from host.enrolment import ANSWER_BYTES_MAX, EnrolError, Enrolled, Enrolling, Renewing, statement
from host.tls import explained
from protocols.tlog import Signer

CONTACT_WALL_S: Final = 20.0
PORT: Final = 8443
_FINGERPRINT: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Granted:
    """What a station got: the authority (PEM) that vouches for all, and the centre's answer."""

    authority: str
    answer: Enrolled


def new_seed() -> bytes:
    """Seed of a ledger's key, base64."""
    return base64.b64encode(secrets.token_bytes(32))


def new_key() -> bytes:
    """Private key for TLS, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_of(key: bytes, station_id: str) -> str:
    """Signing request (PEM) of a private key. Raises EnrolError for one that is none."""
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise EnrolError("key", reason=str(error)) from error
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, station_id)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return builder.sign(private, None).public_bytes(Encoding.PEM).decode()
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    raise EnrolError("key", reason="neither elliptic curve nor Ed25519")


def enrol(
    centre: str, fingerprint: str, code: str, station: tuple[str, str], signer: Signer, key: bytes, software: str
) -> Granted:
    """Ask for a certificate; `station` is id and network. Blocks, CONTACT_WALL_S for each step. Raises EnrolError."""
    csr = request_of(key, station[0])
    try:
        asked = Enrolling(
            code=code, station=station[0], network=station[1], vkey=signer.vkey, csr=csr,
            note=signer.sign(statement(station[0], csr)), software=software,
        )  # fmt: skip
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise EnrolError("form", reason=said) from error
    authority = _pinned(centre, fingerprint)
    context = ssl.create_default_context(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    answer = _answered(centre, context, "/enrol", asked)
    _believed(answer.certificate, authority, csr, station[0])
    return Granted(authority, answer)


def renew(centre: str, context: ssl.SSLContext, authority: str, station_id: str, key: bytes) -> str:
    """A new certificate (PEM) for the key, by the present one, which `context` shows. Raises EnrolError."""
    csr = request_of(key, station_id)
    made = _answered(centre, context, "/renew", Renewing(csr=csr)).certificate
    _believed(made, authority, csr, station_id)
    return made


def _pinned(centre: str, fingerprint: str) -> str:
    """The authority's certificate, where it is the one a person says it is."""
    wanted = fingerprint.replace(":", "").strip().lower()
    if not _FINGERPRINT.fullmatch(wanted):
        raise EnrolError("no-fingerprint", characters=len(wanted))
    nobody = ssl.create_default_context()
    nobody.minimum_version = ssl.TLSVersion.TLSv1_2
    # What comes is public, nothing is told: the fingerprint alone decides.
    nobody.check_hostname = False
    nobody.verify_mode = ssl.CERT_NONE
    status, body = _exchange(centre, nobody, "GET", "/authority", None)
    try:
        found = x509.load_pem_x509_certificate(body)
    except ValueError:
        raise EnrolError("no-enrolment", centre=centre, status=status) from None
    seen = found.fingerprint(hashes.SHA256()).hex()
    if not secrets.compare_digest(seen.encode(), wanted.encode()):
        raise EnrolError("fingerprint", centre=centre, seen=seen)
    return found.public_bytes(Encoding.PEM).decode()


def _believed(certificate: str, authority: str, csr: str, station_id: str) -> None:
    """Raises EnrolError where the certificate is not ours, or not of the authority."""
    try:
        made = x509.load_pem_x509_certificate(certificate.encode())
        # A file may name several authorities while one follows another.
        known = [one for one in x509.load_pem_x509_certificates(authority.encode()) if one.subject == made.issuer]
        made.verify_directly_issued_by(known[0])
    except (ValueError, TypeError, IndexError, InvalidSignature) as error:
        raise EnrolError("answer", reason=str(error)) from error
    names = [one.value for one in made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if made.public_key() != x509.load_pem_x509_csr(csr.encode()).public_key() or names != [station_id]:
        raise EnrolError("answer", reason="the certificate is not ours")


def _answered(centre: str, context: ssl.SSLContext, path: str, asked: BaseModel) -> Enrolled:
    status, body = _exchange(centre, context, "POST", path, asked.model_dump_json().encode())
    try:
        if status == http.client.OK:
            return Enrolled.model_validate_json(body)
        told: Any = json.loads(body)
        code = str(told["error"]) if isinstance(told, Mapping) and "error" in told else ""
    except (ValidationError, ValueError):
        code = ""
    raise EnrolError("refused" if code else "no-enrolment", centre=centre, status=status, why=code[:40])


def _exchange(centre: str, context: ssl.SSLContext, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    """One question; status and answer. Raises EnrolError."""
    try:
        found = urllib.parse.urlsplit(centre)
        host, port = found.hostname, found.port or PORT
    except ValueError:
        host, port = None, 0
    if host is None or found.scheme != "https":
        raise EnrolError("address", centre=centre)
    line = http.client.HTTPSConnection(host, port, timeout=CONTACT_WALL_S, context=context)
    try:
        line.request(method, path, body, {"content-type": "application/json"})
        answer = line.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException, socket.gaierror) as error:
        raise EnrolError("contact", centre=centre, reason=explained(error)) from error
    finally:
        line.close()
