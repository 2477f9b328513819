-- From version 1 of the store to 2: HJ 212 beyond averages.
ALTER TABLE hj212_frame ADD COLUMN area TEXT;
ALTER TABLE hj212_frame ADD COLUMN resent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hj212_frame ADD COLUMN problem TEXT NOT NULL DEFAULT '';

ALTER TABLE hj212_average RENAME TO hj212_average_1;
CREATE TABLE hj212_average (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL, period_s INTEGER NOT NULL, mn TEXT NOT NULL,
    unit TEXT NOT NULL, state TEXT, mean TEXT, minimum TEXT, maximum TEXT, flag TEXT NOT NULL,
    frame INTEGER NOT NULL,
    PRIMARY KEY (start, period_s, station_id, series, mn)
) WITHOUT ROWID;
INSERT INTO hj212_average SELECT * FROM hj212_average_1;
DROP TABLE hj212_average_1;

CREATE TABLE hj212_item (
    mn TEXT NOT NULL, cn TEXT NOT NULL, data_time TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    frame INTEGER,
    PRIMARY KEY (mn, cn, data_time, name, value)
) WITHOUT ROWID;
CREATE TABLE hj212_missing (
    mn TEXT NOT NULL, period_s INTEGER NOT NULL, start TEXT NOT NULL, attempts INTEGER NOT NULL, verdict TEXT NOT NULL,
    asked_wall REAL NOT NULL,
    PRIMARY KEY (mn, period_s, start)
) WITHOUT ROWID;
CREATE TABLE hour_due (
    station_id TEXT NOT NULL, series TEXT NOT NULL, start TEXT NOT NULL,
    PRIMARY KEY (station_id, series, start)
) WITHOUT ROWID;

-- What a station told, by time: for reports that look back. Scans and checkpoints are found by their numbers.
CREATE INDEX record_told ON record (station_id, kind, CAST(body AS TEXT) ->> '$.t')
    WHERE kind IN ('calibration', 'event', 'config', 'gap');
CREATE INDEX record_average ON record (station_id, CAST(body AS TEXT) ->> '$.period_s', CAST(body AS TEXT) ->> '$.start')
    WHERE kind = 'average';
