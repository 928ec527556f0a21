-- What boots have taught: one row for each way in which a machine was tried, or that somebody pinned.
CREATE TABLE learned (
    hw          TEXT   NOT NULL,
    firmware    TEXT   NOT NULL,
    setting     TEXT   NOT NULL,          -- usual, secure, native, small-blocks, other-recipe
    failures    BIGINT NOT NULL,          -- boots in a row that ended alike
    ending      TEXT,                     -- of the last of them: silent, returned, stalled, unfetched
    failed      BIGINT,
    open_ending TEXT,                     -- of the boot that goes on, if nothing more is heard of it
    opened      BIGINT,
    worked      BIGINT,
    pinned      BIGINT,
    seen        BIGINT NOT NULL,
    PRIMARY KEY (hw, firmware, setting)
) WITHOUT ROWID;
