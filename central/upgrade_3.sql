-- From version 2 of the store to 3: the centre as witness.
-- The centre's cosignature of a believed checkpoint (C2SP tlog-cosignature): the signature line, and its unix time.
CREATE TABLE cosignature (
    station_id TEXT NOT NULL, epoch INTEGER NOT NULL, size INTEGER NOT NULL, at_wall INTEGER NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (station_id, epoch, size)
) WITHOUT ROWID;
