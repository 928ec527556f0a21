-- When each lease was written, and when the host's boot began by the clock that did: what tells a clock that was set
-- from time that passed.
ALTER TABLE lease_log ADD COLUMN noted BIGINT NOT NULL DEFAULT 0;
DROP VIEW leases;
CREATE VIEW leases AS
SELECT id, address, hw, state, since, noted, until, client_id, uuid, hostname FROM lease_log
WHERE id IN (SELECT MAX(id) FROM lease_log GROUP BY address) AND state <> 'removed';
CREATE TABLE clock (
    boot      TEXT   NOT NULL PRIMARY KEY, -- of the host, as it calls it; one row
    began     BIGINT NOT NULL
);
