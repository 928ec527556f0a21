-- A log: the last row of an address is its lease. A commit then writes to the end of one table, whichever
-- addresses it is about, instead of a page for each of them. Rows that count no more go from the front.
CREATE TABLE lease_log (
    id        INTEGER PRIMARY KEY,
    address   TEXT   NOT NULL,
    hw        TEXT   NOT NULL,
    state     TEXT   NOT NULL,            -- bound, released, declined; removed: the address has no lease
    since     BIGINT NOT NULL,
    until     BIGINT NOT NULL,
    client_id TEXT,                       -- hexadecimal
    uuid      TEXT,
    hostname  TEXT   NOT NULL
);
INSERT INTO lease_log (id, address, hw, state, since, until, client_id, uuid, hostname)
SELECT ROW_NUMBER() OVER (ORDER BY address), address, hw, state, since, until, client_id, uuid, hostname
FROM leases;
DROP TABLE leases;
CREATE VIEW leases AS
SELECT id, address, hw, state, since, until, client_id, uuid, hostname FROM lease_log
WHERE id IN (SELECT MAX(id) FROM lease_log GROUP BY address) AND state <> 'removed';
