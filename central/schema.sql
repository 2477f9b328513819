-- The centre's store. Times are ISO text in UTC with milliseconds unless the name ends in _wall (unix seconds of the
-- centre's clock). `causes` is the sorted list of quality causes joined by commas; '' is good.

CREATE TABLE record (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
    committed_wall REAL NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
);
CREATE INDEX record_committed ON record (committed_wall);

-- What a station told, by time: for reports that look back. Scans and checkpoints are found by their numbers.
CREATE INDEX record_told ON record (station_id, kind, CAST(body AS TEXT) ->> '$.t')
    WHERE kind IN ('calibration', 'event', 'config', 'gap');
CREATE INDEX record_average ON record (station_id, CAST(body AS TEXT) ->> '$.period_s', CAST(body AS TEXT) ->> '$.start')
    WHERE kind = 'average';

-- What the station has handed over: inclusive ranges of seq, merged. A seq inside a range is either stored or was
-- never meant for us (`prev` of the envelope told so).
CREATE TABLE coverage (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
    PRIMARY KEY (station_id, epoch, from_seq)
) WITHOUT ROWID;

-- Records that this centre refused for good, as their station says: what waits for all before it does not wait for them.
CREATE TABLE set_aside (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;

CREATE TABLE raw (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, instrument TEXT NOT NULL,
    measurand TEXT NOT NULL, at TEXT NOT NULL, value REAL, unit TEXT NOT NULL, causes TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq, measurand)
) WITHOUT ROWID;

-- epoch, seq, n, valid are NULL while only HJ 212 has brought the value.
CREATE TABLE average (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL, period_s INTEGER NOT NULL,
    revision INTEGER NOT NULL, unit TEXT NOT NULL, n INTEGER, valid REAL, mean REAL, minimum REAL, maximum REAL, sd REAL,
    causes TEXT NOT NULL, rule TEXT NOT NULL, final INTEGER NOT NULL, uncertainty REAL, via TEXT NOT NULL,
    epoch INTEGER, seq INTEGER,
    PRIMARY KEY (station_id, series, start, period_s, revision)
) WITHOUT ROWID;
CREATE INDEX average_start ON average (period_s, start);

-- Roll-up of the valid minutes of an hour, for charts over long times; the station's own hour stands in `average`.
CREATE TABLE hour (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL, unit TEXT NOT NULL, minutes INTEGER NOT NULL,
    mean REAL NOT NULL, minimum REAL, maximum REAL,
    PRIMARY KEY (station_id, series, start)
) WITHOUT ROWID;

-- Newest value of a series by where it came from (scan, average, hj212); the reader picks.
CREATE TABLE latest (
    station_id TEXT NOT NULL, series TEXT NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL, value REAL, unit TEXT NOT NULL,
    causes TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (station_id, series, source)
) WITHOUT ROWID;

CREATE TABLE calibration (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, what TEXT NOT NULL,
    run TEXT, detail TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;

CREATE TABLE config (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, sha256 TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;

CREATE TABLE gap (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, from_at TEXT NOT NULL, to_at TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;

-- `first` is the first seq whose leaf the checkpoint lists; verdict is 'pending' until it can be judged.
CREATE TABLE checkpoint (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, size INTEGER NOT NULL, first INTEGER NOT NULL, root TEXT NOT NULL,
    verdict TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, size)
) WITHOUT ROWID;
CREATE INDEX checkpoint_first ON checkpoint (station_id, epoch, verdict, first);

-- The tree as far as every leaf up to it was listed under a believed root.
CREATE TABLE witness (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, frontier BLOB NOT NULL, broken INTEGER NOT NULL,
    PRIMARY KEY (station_id, epoch)
) WITHOUT ROWID;

-- The centre's cosignature of a believed checkpoint (C2SP tlog-cosignature): the signature line, and its unix time.
CREATE TABLE cosignature (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, size INTEGER NOT NULL, at_wall INTEGER NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, size)
) WITHOUT ROWID;

-- The id is made of what the event is about, so that a repeat is the same event.
CREATE TABLE event (
    id TEXT PRIMARY KEY, station_id TEXT NOT NULL, at TEXT NOT NULL, what TEXT NOT NULL, origin TEXT NOT NULL,
    detail TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX event_at ON event (at);

-- A frame as it came. `area` is the decrypted data area of one that came encrypted, `resent` is RF=1, `problem` says
-- why nothing of it was taken as data ('future', 'past', 'off-grid'); '' where all is well.
CREATE TABLE hj212_frame (
    id INTEGER PRIMARY KEY, mn TEXT NOT NULL, qn TEXT NOT NULL, cn TEXT NOT NULL, data_time TEXT NOT NULL,
    received_wall REAL NOT NULL, acknowledged INTEGER NOT NULL, bytes BLOB NOT NULL, area TEXT,
    resent INTEGER NOT NULL, problem TEXT NOT NULL
);
CREATE INDEX hj212_frame_key ON hj212_frame (mn, qn, cn);

-- What HJ 212 said of a period, in the unit it travelled with; decimals are those of the text sent. The time comes
-- first: what many stations say of one minute lies together.
CREATE TABLE hj212_average (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL, period_s INTEGER NOT NULL, mn TEXT NOT NULL,
    unit TEXT NOT NULL, state TEXT, mean TEXT, minimum TEXT, maximum TEXT, flag TEXT NOT NULL,
    frame INTEGER NOT NULL,
    PRIMARY KEY (start, period_s, station_id, series, mn)
) WITHOUT ROWID;

-- What else was uploaded by HJ 212 (states, run times, start-up times, checks, logs, parameters), name by name.
CREATE TABLE hj212_item (
    mn TEXT NOT NULL, cn TEXT NOT NULL, data_time TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    frame INTEGER,
    PRIMARY KEY (mn, cn, data_time, name, value)
) WITHOUT ROWID;

-- Periods that were missing and asked for; verdict is 'open', 'absent' (the station has none) or 'given-up'.
CREATE TABLE hj212_missing (
    mn TEXT NOT NULL, period_s INTEGER NOT NULL, start TEXT NOT NULL, attempts INTEGER NOT NULL, verdict TEXT NOT NULL,
    asked_wall REAL NOT NULL,
    PRIMARY KEY (mn, period_s, start)
) WITHOUT ROWID;

-- Hours whose roll-up is due again.
CREATE TABLE hour_due (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL,
    PRIMARY KEY (station_id, series, start)
) WITHOUT ROWID;

-- Bytes that could not be read; the same bytes again only count.
CREATE TABLE dead_letter (
    sha256 TEXT PRIMARY KEY, source TEXT NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    first_wall REAL NOT NULL, last_wall REAL NOT NULL, bytes BLOB NOT NULL
);

-- Who knocked and was not let in.
CREATE TABLE refused (
    source TEXT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, last_wall REAL NOT NULL,
    PRIMARY KEY (source, name, reason)
) WITHOUT ROWID;

CREATE TABLE station (
    station_id TEXT PRIMARY KEY, online INTEGER NOT NULL, state_wall REAL NOT NULL, birth TEXT
) WITHOUT ROWID;

CREATE TABLE run (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL UNIQUE, from_at TEXT NOT NULL, gas TEXT NOT NULL,
    observations INTEGER NOT NULL, seconds REAL NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE source (
    run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, number INTEGER NOT NULL, latitude REAL NOT NULL,
    longitude REAL NOT NULL, height_m REAL NOT NULL, position_sd_m REAL NOT NULL, rate_kg_h REAL NOT NULL,
    low_kg_h REAL NOT NULL, high_kg_h REAL NOT NULL, probability REAL NOT NULL, evidence REAL NOT NULL,
    cell TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE cell (
    run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, id TEXT NOT NULL, south REAL NOT NULL,
    west REAL NOT NULL, north REAL NOT NULL, east REAL NOT NULL, state TEXT NOT NULL, detection_kg_h REAL,
    rate_kg_h REAL,
    PRIMARY KEY (run, id)
) WITHOUT ROWID;

-- A record that the station was asked for as it lies in its log: verdict is 'open', 'intact', 'altered', 'gone' (deleted,
-- and told), 'missing' or 'unanswered'.
CREATE TABLE challenge (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, asked_wall REAL NOT NULL,
    told_wall REAL NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX challenge_open ON challenge (station_id, verdict, asked_wall);

-- Keys of a station behind the configured one: valid for checkpoints from (epoch, size) on. `how` is 'enrolled' (brought
-- by a one-time code), 'rotated' (the key before signed it), 'handover' or 'confirmed' (a person, `who`), or not valid: 'pending', 'refused',
-- 'claimed' (the station alone says so), 'known' (names the key in force).
CREATE TABLE station_key (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, size INTEGER NOT NULL, vkey TEXT NOT NULL, how TEXT NOT NULL,
    at TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, size)
) WITHOUT ROWID;

-- Checkpoints that came by HJ 212: verdict is 'agrees' (MQTT brought the same), 'alone', 'fork' or 'bad-signature'.
CREATE TABLE carried (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, size INTEGER NOT NULL, root TEXT NOT NULL, mn TEXT NOT NULL,
    at TEXT NOT NULL, line TEXT NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, size, root)
) WITHOUT ROWID;

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
