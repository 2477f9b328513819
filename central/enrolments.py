"""Enrolment of stations in the store: one-time codes, certificates, revocations. Each call is one transaction.

A code is kept as its hash, used once, and belongs to one station. Who used it and lost the answer on the way may ask
again with the same keys and gets the same certificate; with other keys the code is used up.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import apsw
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from central import keys
from central.ca import Authority, PublicKey, real_now
from central.events import put_event
from host.enrolment import CODE_CHARACTERS, Enrolling, code_hash, statement
from metrology.periods import iso
from protocols.tlog import NoteError, Verifier, open_note

CODES_KEPT: Final = 100
# A station that asks again within this gets what it got: a loop must not fill the store.
AGAIN_WALL_S: Final = 3600.0


class RefusedError(Exception):
    """A request that is not granted: `code` says why to the station, nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def make_code(db: apsw.Connection, station_id: str, who: str, valid_s: float, wall: float) -> str:
    """A new code of a station (100 bits, in groups); it replaces an earlier one that was not used."""
    code = "".join(secrets.choice(CODE_CHARACTERS) for _ in range(20))
    digest = code_hash(code)
    with db:
        db.execute(
            "UPDATE enrolment_code SET state = 'replaced' WHERE station_id = ? AND state = 'open'", (station_id,)
        )
        row = (digest, station_id, wall, wall + valid_s, who)
        db.execute("INSERT INTO enrolment_code VALUES(?, ?, ?, ?, ?, 'open', NULL)", row)
        db.execute(
            "DELETE FROM enrolment_code WHERE station_id = ? AND sha256 NOT IN (SELECT sha256 FROM enrolment_code"
            " WHERE station_id = ? ORDER BY made_wall DESC LIMIT ?)",
            (station_id, station_id, CODES_KEPT),
        )
        detail = {"who": who, "until": _iso(wall + valid_s), "code": digest[:16]}
        put_event(db, f"enrolment-code/{digest[:16]}", station_id, _iso(wall), "enrolment-code", detail)
    return "-".join(code[at : at + 5] for at in range(0, 20, 5))


def enrol(
    db: apsw.Connection, authority: Authority, stations: Mapping[str, Any], days: float, asked: Enrolling,
    address: str, wall: float,
) -> bytes:  # fmt: skip
    """The certificate (PEM) of a station that shows its code. Raises RefusedError; then nothing was changed."""
    digest = code_hash(asked.code)
    row = db.execute(
        "SELECT station_id, expires_wall, who, state, serial FROM enrolment_code WHERE sha256 = ?", (digest,)
    ).fetchone()
    if row is None:
        raise RefusedError("code-wrong")
    try:
        return _enrolled(db, authority, stations, days, asked, (digest, *row), address, wall)
    except RefusedError as refused:
        detail = {"reason": refused.code, "address": address, "station": asked.station, "code": digest[:16]}
        key = f"enrolment-refused/{digest[:16]}/{refused.code}"
        with db:
            put_event(db, key, row[0], _iso(wall), "enrolment-refused", detail)
        raise


def _enrolled(
    db: apsw.Connection, authority: Authority, stations: Mapping[str, Any], days: float, asked: Enrolling,
    code: tuple[Any, ...], address: str, wall: float,
) -> bytes:  # fmt: skip
    digest, station_id, expires, who, state, serial = code
    station = stations.get(station_id)
    if asked.station != station_id or station is None:
        raise RefusedError("other-station")
    if station.network != asked.network:
        raise RefusedError("other-network")
    public = _public(asked.csr)
    _own_key(asked)
    known = keys.newest(db, station_id, station.vkey)
    if known not in ("", asked.vkey):
        raise RefusedError("other-key")
    if state == "used" and (again := _given(db, serial, public)) is not None:
        return again
    if state != "open":
        raise RefusedError(f"code-{state}")
    if wall > expires:
        raise RefusedError("code-expired")
    with db:
        made = _issued(db, authority, station_id, public, "enrolled", days, wall)
        number = format(made.serial_number, "x")
        db.execute("UPDATE enrolment_code SET state = 'used', serial = ? WHERE sha256 = ?", (number, digest))
        if not known:
            keys.enrol(db, station_id, asked.vkey, _iso(wall), who)
        detail = {
            "who": who, "code": digest[:16], "vkey": asked.vkey, "serial": number, "address": address,
            "until": iso(made.not_valid_after_utc), "software": asked.software,
        }  # fmt: skip
        put_event(db, f"station-enrolled/{number}", station_id, _iso(wall), "station-enrolled", detail)
    return made.public_bytes(Encoding.PEM)


def renew(
    db: apsw.Connection,
    authority: Authority,
    stations: Mapping[str, Any],
    days: float,
    shown: str,
    csr: str,
    wall: float,
) -> bytes:
    """A new certificate for the station whose present one (PEM) was shown and proved. Raises RefusedError."""
    serial = format(x509.load_pem_x509_certificate(shown.encode()).serial_number, "x")
    row = db.execute("SELECT station_id, revoked_wall FROM certificate WHERE serial = ?", (serial,)).fetchone()
    if row is None or row[0] not in stations:
        raise RefusedError("certificate-unknown")
    if row[1] is not None:
        raise RefusedError("certificate-revoked")
    station_id, public = row[0], _public(csr)
    fresh = db.execute(
        "SELECT serial FROM certificate WHERE station_id = ? AND how = 'renewed' AND issued_wall > ?"
        " AND revoked_wall IS NULL ORDER BY issued_wall DESC LIMIT 1",
        (station_id, wall - AGAIN_WALL_S),
    ).get
    if fresh is not None:
        again = _given(db, str(fresh), public)
        if again is None:
            raise RefusedError("too-soon")
        return again
    with db:
        made = _issued(db, authority, station_id, public, "renewed", days, wall)
        detail = {"serial": format(made.serial_number, "x"), "former": serial, "until": iso(made.not_valid_after_utc)}
        key = f"certificate-issued/{detail['serial']}"
        put_event(db, key, station_id, _iso(wall), "certificate-issued", detail)
    return made.public_bytes(Encoding.PEM)


def revoke(db: apsw.Connection, station_id: str, who: str, reason: str, wall: float) -> list[str]:
    """Revoke every certificate of a station and its open code; serials of those that were valid until now."""
    with db:
        found: Any = db.execute(
            "UPDATE certificate SET revoked_wall = ? WHERE station_id = ? AND revoked_wall IS NULL AND until > ?"
            " RETURNING serial",
            (wall, station_id, _iso(wall)),
        ).fetchall()
        db.execute(
            "UPDATE enrolment_code SET state = 'replaced' WHERE station_id = ? AND state = 'open'", (station_id,)
        )
        serials = sorted(serial for (serial,) in found)
        detail = {"who": who, "reason": reason, "serials": serials}
        put_event(db, f"revoked/{wall}", station_id, _iso(wall), "certificate-revoked", detail)
    return serials


def revoked(db: apsw.Connection) -> list[tuple[str, datetime]]:
    """Every revoked certificate that would not have expired by itself yet is on the list, and the others stay there."""
    rows: Any = db.execute(
        "SELECT serial, revoked_wall FROM certificate WHERE revoked_wall IS NOT NULL ORDER BY serial"
    )
    return [(serial, real_now(at)) for serial, at in rows]


def _issued(
    db: apsw.Connection, authority: Authority, station_id: str, public: PublicKey, how: str, days: float, wall: float
) -> x509.Certificate:
    made = authority.station(station_id, public, days, real_now(wall))
    row = (
        format(made.serial_number, "x"), station_id, _digest(public), how, wall,
        iso(made.not_valid_after_utc), None, made.public_bytes(Encoding.PEM),
    )  # fmt: skip
    db.execute("INSERT INTO certificate VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)
    return made


def _given(db: apsw.Connection, serial: str, public: PublicKey) -> bytes | None:
    """The certificate of a serial, where it is of this key and not revoked."""
    found: bytes | None = db.execute(
        "SELECT pem FROM certificate WHERE serial = ? AND public = ? AND revoked_wall IS NULL",
        (serial, _digest(public)),
    ).get
    return found


def _digest(public: PublicKey) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _public(csr: str) -> PublicKey:
    """The key of a signing request whose sender has the secret one."""
    try:
        found = x509.load_pem_x509_csr(csr.encode())
        key = found.public_key()
        good = found.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedError("csr") from error
    if not good or not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise RefusedError("csr")
    return key


def _own_key(asked: Enrolling) -> None:
    """The sender has the secret key of its ledger, too, and both keys are of one station."""
    try:
        verifier = Verifier.from_vkey(asked.vkey)
        text, _ = open_note(asked.note, [verifier])
    except NoteError as error:
        raise RefusedError("vkey") from error
    if verifier.name != f"plumeline/{asked.station}" or text != statement(asked.station, asked.csr):
        raise RefusedError("vkey")


def _iso(wall: float) -> str:
    return iso(datetime.fromtimestamp(wall, UTC))
