-- From version 3 of the store to 4: challenges, keys of stations over time, checkpoints that came by HJ 212.
-- A record that the station was asked for as it lies in its log: verdict is 'open', 'intact', 'altered', 'gone' (deleted,
-- and told), 'missing' or 'unanswered'.
CREATE TABLE challenge (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, asked_wall REAL NOT NULL,
    told_wall REAL NOT NULL, verdict TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX challenge_open ON challenge (station_id, verdict, asked_wall);

-- Keys of a station behind the enrolled one: valid for checkpoints from (epoch, size) on. `how` is 'rotated' (the key
-- before signed it), 'handover' or 'confirmed' (a person, `who`), or not valid: 'pending', 'refused',
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
