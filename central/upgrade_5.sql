-- From version 4 of the store to 5: enrolment and certificates of stations.
-- One-time codes, their hash alone: state is 'open', 'used' (then `serial` is the certificate it gave) or 'replaced'.
CREATE TABLE enrolment_code (
    sha256 TEXT PRIMARY KEY, station_id TEXT NOT NULL, made_wall REAL NOT NULL, expires_wall REAL NOT NULL,
    who TEXT NOT NULL, state TEXT NOT NULL, serial TEXT
) WITHOUT ROWID;

-- Certificates of stations; `public` is SHA-256 of the public key (SPKI), `how` is 'enrolled' or 'renewed'.
CREATE TABLE certificate (
    serial TEXT PRIMARY KEY, station_id TEXT NOT NULL, public TEXT NOT NULL, how TEXT NOT NULL, issued_wall REAL NOT NULL,
    until TEXT NOT NULL, revoked_wall REAL, pem BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX certificate_station ON certificate (station_id, issued_wall);
