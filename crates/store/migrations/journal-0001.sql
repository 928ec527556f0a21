-- Ids grow for ever: retention never removes the newest row, so the next id is the highest and one.
CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    session BIGINT,
    at      BIGINT NOT NULL,
    hw      TEXT,
    ip      TEXT,
    repeats BIGINT NOT NULL,
    payload TEXT   NOT NULL               -- bootlace_core::event::EventKind as JSON
);
CREATE INDEX events_by_session ON events (session) WHERE session IS NOT NULL;

-- What makes a list of the latest sessions cheap; all else of a session is folded from its events.
CREATE TABLE sessions (
    id      INTEGER PRIMARY KEY,
    hw      TEXT   NOT NULL,
    started BIGINT NOT NULL,
    last    BIGINT NOT NULL
);
CREATE INDEX sessions_by_hw ON sessions (hw, id);

-- Every machine seen and the last that it told.
CREATE TABLE machines (
    hw         TEXT   NOT NULL PRIMARY KEY,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    address    TEXT,
    facts      TEXT   NOT NULL            -- bootlace_core::model::Facts as JSON
) WITHOUT ROWID;
CREATE INDEX machines_by_last_seen ON machines (last_seen);
