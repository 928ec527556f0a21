-- The lease of each address. Text where a person may look; times are milliseconds since 1970, UTC.
CREATE TABLE leases (
    address   TEXT   NOT NULL PRIMARY KEY,
    hw        TEXT   NOT NULL,
    state     TEXT   NOT NULL,
    since     BIGINT NOT NULL,
    until     BIGINT NOT NULL,
    client_id TEXT,                       -- hexadecimal
    uuid      TEXT,
    hostname  TEXT   NOT NULL
) WITHOUT ROWID;
