"""TLS for clients that show a certificate: MQTT uplinks, the centre's subscriber, renewal of a station's certificate.

What goes wrong is said with its remedy (`explained`): the alerts of a peer alone tell a person nothing.
"""

import contextlib
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for.
NO_CHECK_TIME: Final = 0x200000
_REASON: Final = re.compile(r"\[SSL: ([A-Z0-9_/]+)\]")
# What the peer says of us, by the end of OpenSSL's name of its alert.
_ALERTS: Final = {
    "ALERT_CERTIFICATE_REVOKED": "the peer says that our certificate {own} is revoked: enrol the station anew",
    "ALERT_CERTIFICATE_EXPIRED": "the peer says that our certificate {own} has expired: enrol the station anew,"
    " and see whether its renewal works",
    "ALERT_UNKNOWN_CA": "the peer does not know the authority of our certificate {own}: it is of another centre;"
    " enrol the station there",
    "ALERT_CERTIFICATE_REQUIRED": "the peer asks for a client certificate and got none it can take: give certificate"
    " and key under tls",
    "ALERT_BAD_CERTIFICATE": "the peer takes our certificate {own} for damaged: enrol the station anew",
    "ALERT_PROTOCOL_VERSION": "the peer does not speak TLS 1.2 or newer: older versions are not spoken here",
    "UNSUPPORTED_PROTOCOL": "the peer does not speak TLS 1.2 or newer: older versions are not spoken here",
    "ALERT_HANDSHAKE_FAILURE": "the peer refuses the connection: it may want a client certificate, give certificate"
    " and key under tls; or it has no cipher in common with us",
    "WRONG_VERSION_NUMBER": "there is no TLS on that port: correct the port, or leave tls out",
}
# What we say of the peer, by OpenSSL's number (x509_vfy.h).
_VERDICTS: Final = {
    9: "the peer's certificate is not valid yet: set this machine's clock, which says {now}",
    10: "the peer's certificate has expired: have it renewed there (plumeline-central ca renew); or this machine's"
    " clock is wrong, which says {now}",
    18: "the peer's certificate is not of the authority in ca: correct the address, or put that authority's file there",
    19: "the peer's certificate is not of the authority in ca: correct the address, or put that authority's file there",
    20: "the peer's certificate is not of the authority in ca: correct the address, or put that authority's file there",
    62: "the peer's certificate is made out to another name: write the host as its certificate has it",
    64: "the peer's certificate is made out to another address: write the host as its certificate has it",
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What we need to know of one: whose it is, its number, its span (aware UTC)."""

    name: str
    serial: str
    begins: datetime
    ends: datetime

    def left(self, now: datetime) -> float:
        """Share of the span that is still to come: below 0 it has expired."""
        return (self.ends - now) / (self.ends - self.begins)


def certificate_of(data: bytes) -> Certificate:
    """The first certificate of a PEM file, which is our own (RFC 8446, 4.4.2). Raises ValueError."""
    # A heavy library: only who has certificates pays for it.
    from cryptography import x509

    found = x509.load_pem_x509_certificates(data)[0]
    names = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Certificate(
        str(names[0].value) if names else "",
        format(found.serial_number, "x"),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
    )


class _Judged(ssl.SSLSocket):
    """Holds the peer against what we know of time, where the clock itself cannot be believed.

    `failure` is what broke it: libraries above say only that it broke, and the peer's alert comes after the handshake.
    """

    failure: ssl.SSLError | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.failure = error
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            # The peer went away; what it said before lies here unread.
            with contextlib.suppress(OSError):
                self.recv()
            raise

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
            if isinstance(self.context, ClientContext) and self.context.clock_behind:
                self.context.judge(self.getpeercert(True) or b"")
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            # Who asked for the connection never gets this socket to close it.
            self.close()
            raise


class ClientContext(ssl.SSLContext):
    """Believes one authority alone, checks the host name, speaks TLS 1.2 or newer, and shows a certificate.

    The certificate's files are read again when they have changed: a renewed one is shown from the next connection on.
    A clock that stands before our own certificate began (a dead battery, no network yet) is not believed: then the
    peer's certificate must not have ended by that time, instead of by the clock's.
    """

    def __new__(cls, *_: Any, **__: Any) -> "ClientContext":
        """Of a client, whatever else is given."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, ca: Path, certificate: Path, key: Path, now: Callable[[], float] = time.time) -> None:
        """All three are PEM files, the key without a passphrase. Raises OSError, ssl.SSLError, ValueError."""
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_verify_locations(cafile=ca)
        self.sslsocket_class = _Judged
        self.files = (certificate, key)
        self._now = now
        self._stamp: tuple[int, ...] = ()
        self._refresh()

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """As always, with the certificate as it lies there now."""
        self._refresh()
        return super().wrap_socket(*arguments, **named)

    def _refresh(self) -> None:
        certificate, key = self.files
        stamp = tuple(file.stat().st_mtime_ns for file in self.files)
        if stamp != self._stamp:
            self.load_cert_chain(certificate, key)
            self.own = certificate_of(certificate.read_bytes())
            self._stamp = stamp
        self.clock_behind = datetime.fromtimestamp(self._now(), UTC) < self.own.begins
        flags = int(self.verify_flags)
        self.verify_flags = flags | NO_CHECK_TIME if self.clock_behind else flags & ~NO_CHECK_TIME  # type: ignore[assignment]

    def judge(self, peer: bytes) -> None:
        """Raises ssl.SSLCertVerificationError for a peer whose certificate (DER) ended before ours began."""
        from cryptography import x509

        if x509.load_der_x509_certificate(peer).not_valid_after_utc < self.own.begins:
            raise ssl.SSLCertVerificationError("the peer's certificate has expired before ours was issued")


def client_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """A `ClientContext`. Raises OSError for an unreadable file, ssl.SSLError and ValueError for what is none of it."""
    return ClientContext(ca, certificate, key)


def failure_of(sock: object) -> ssl.SSLError | None:
    """What broke a socket of a `ClientContext` after its handshake."""
    return sock.failure if isinstance(sock, _Judged) else None


def explained(error: BaseException | str, own: str = "") -> str:
    """What a failed connection means and what to do, as far as TLS knows; else the error's own words.

    `own` is the name of our certificate.
    """
    text = str(error) or type(error).__name__
    found = _REASON.search(text)
    if isinstance(error, ssl.SSLCertVerificationError):
        sentence = _VERDICTS.get(getattr(error, "verify_code", 0), "")
    else:
        reason = found.group(1) if found else ""
        sentence = next((words for end, words in _ALERTS.items() if reason.endswith(end)), "")
    if not sentence:
        return text
    now = datetime.now(UTC).isoformat(timespec="minutes")
    return f"TLS: {sentence.format(own=own, now=now)} ({found.group(1) if found else text})".replace("  ", " ")
