-- Boots that a machine gets once: one row for each machine, until another one is armed or it is cancelled.
CREATE TABLE one_shots (
    owner   TEXT   NOT NULL PRIMARY KEY,  -- the name of a machine of the config, or a MAC
    boot    TEXT   NOT NULL,
    confirm TEXT,                         -- the serial number that it has to report
    armed   BIGINT NOT NULL,
    expires BIGINT,
    stage   TEXT   NOT NULL,              -- armed, taken, done, failed
    session BIGINT,                       -- who took it, and when that began
    started BIGINT,
    why     TEXT                          -- of one that failed
) WITHOUT ROWID;
