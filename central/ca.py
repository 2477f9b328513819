"""The centre's own certificate authority: its key, what it signs, and the list of what it has revoked.

One authority, EC P-256, without levels between: a broker then needs one file, and a station one fingerprint. It signs
certificates of stations (clients), of the broker and the enrolment (servers), and of the centre's own subscriber.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host.private import PRIVATE, PUBLIC, write_whole
from host.secrets import SecretError, SecretRef, read_secret

AUTHORITY_DAYS: Final = 20 * 365
SERVER_DAYS: Final = 397
# Clocks differ: a certificate is valid a little before it was made.
BEFORE: Final = timedelta(hours=1)

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class AuthorityError(Exception):
    """An authority that is not there, cannot be read, or is asked for what it does not sign."""


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate (PEM) as `openssl x509 -fingerprint -sha256` shows it, without the colons."""
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


class Authority:
    """An authority that is there. Times are aware UTC, real time: peers judge by it."""

    def __init__(self, certificate: bytes, key: bytes, passphrase: bytes | None) -> None:
        """Both are PEM. Raises AuthorityError where they do not open or are no pair."""
        self.pem = certificate
        try:
            self.certificate = x509.load_pem_x509_certificate(certificate)
            found = load_pem_private_key(key, passphrase)
        except (ValueError, TypeError) as error:
            raise AuthorityError(f"the authority does not open: {error}") from error
        if not isinstance(found, ec.EllipticCurvePrivateKey) or found.public_key() != self.certificate.public_key():
            raise AuthorityError("the authority's key is not that of its certificate")
        self._key = found

    @property
    def fingerprint(self) -> str:
        """What a station pins."""
        return fingerprint(self.pem)

    # -- certificates

    def station(self, name: str, public: PublicKey, days: float, now: datetime) -> x509.Certificate:
        """A client certificate whose common name is the station's id."""
        return self._signed(name, public, timedelta(days=days), now, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, names: Sequence[str], public: PublicKey, now: datetime) -> x509.Certificate:
        """A server certificate for host names and addresses."""
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        span = timedelta(days=SERVER_DAYS)
        return self._signed(names[0], public, span, now, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def _signed(
        self, name: str, public: PublicKey, span: timedelta, now: datetime, use: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> x509.Certificate:  # fmt: skip
        own = self._key.public_key()
        ends = min(now + span, self.certificate.not_valid_after_utc)
        builder = (
            _begun(name, public, now, ends).issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        )  # fmt: skip
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def own_files(self, folder: Path, name: str, hosts: Sequence[str], now: datetime, client: str = "") -> None:
        """Make key and certificate of a server for `hosts`, or of `client`: `name`.key and `name`.pem in `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        made = self.server(hosts, public, now) if hosts else self.station(client, public, SERVER_DAYS, now)
        write_whole(folder / f"{name}.key", _private(key, None), PRIVATE)
        write_whole(folder / f"{name}.pem", made.public_bytes(Encoding.PEM), PUBLIC)

    # -- revocation

    def revocations(self, revoked: Iterable[tuple[str, datetime]], before: bytes | None, now: datetime) -> bytes:
        """The list (PEM) of revoked serials (hexadecimal), each with its time; newer than the list `before`.

        It ends with the authority: a broker that finds its list out of date lets nobody in, and the broker reads the
        file that we write, so an end would protect nobody.
        """
        made = now - BEFORE
        if before is not None:
            # Of two lists of one second OpenSSL takes the one it read first.
            made = max(made, x509.load_pem_x509_crl(before).last_update_utc + timedelta(seconds=1))
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
            .last_update(made).next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )  # fmt: skip
        for serial, at in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at).build()
            builder = builder.add_revoked_certificate(one)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def create(folder: Path, name: str, passphrase: bytes | None, now: datetime) -> Authority:
    """Make an authority. Raises AuthorityError where one is there: its stations would all be strangers."""
    if (folder / "ca.key").exists() or (folder / "ca.pem").exists():
        raise AuthorityError(f"{folder} holds an authority: its stations would be strangers to a new one")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    made = (
        _begun(name, public, now, now + timedelta(days=AUTHORITY_DAYS))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_whole(folder / "ca.key", _private(key, passphrase), PRIVATE)
    write_whole(folder / "ca.pem", made.public_bytes(Encoding.PEM), PUBLIC)
    return opened(folder, SecretRef(file=str(folder / "ca.key")), passphrase)


def opened(folder: Path, key: SecretRef, passphrase: bytes | None) -> Authority:
    """The authority of a folder, whose key lies at `key`. Raises AuthorityError."""
    try:
        return Authority((folder / "ca.pem").read_bytes(), read_secret(key), passphrase)
    except (SecretError, OSError) as error:
        raise AuthorityError(f"{error}: plumeline-central ca init makes an authority") from error


def _begun(name: str, public: PublicKey, now: datetime, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    closed = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, closed)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def real_now(wall: float) -> datetime:
    """Unix seconds as aware UTC, whole: certificates know no parts of a second."""
    return datetime.fromtimestamp(int(wall), UTC)
