-- From version 5 of the store to 6: records that were refused for good, as their station says.
CREATE TABLE set_aside (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;
INSERT OR IGNORE INTO set_aside
    SELECT station_id, detail ->> '$.record.epoch', detail ->> '$.record.seq', ifnull(detail ->> '$.reason', '')
    FROM event WHERE what = 'uplink-set-aside' AND origin != 'centre' AND detail ->> '$.cn' IS NULL
    AND json_type(detail, '$.record.epoch') = 'integer' AND json_type(detail, '$.record.seq') = 'integer';
