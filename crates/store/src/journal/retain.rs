//! How long the journal remembers: by age and by size, in steps that never hold the writer for long.

use std::collections::BTreeSet;
use std::time::Duration;

use bootlace_core::model::Timestamp;
use rusqlite::{Connection, params};

use super::Journal;
use super::machines::{MACHINES_MAX, forget_beyond};
use crate::StoreError;

/// A quarter: long enough to see when a machine last booted well.
pub const AGE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Some 200,000 events, about 10,000 boots.
pub const BYTES_DEFAULT: u64 = 256 << 20;

/// Old events go before the last sixteenth of the limit is used: new ones then find their pages free inside the
/// file, and pages need not be moved, which costs as much as writing them.
const HEADROOM: u64 = 16;
/// Events removed by one call at most: more than come between two of them, so that it keeps up.
pub(super) const STEP: usize = 1024;
/// Pages given back to the file system by one call at most: what [`STEP`] events of 2 KiB free.
const VACUUM_PAGES: usize = 512;

/// The sum at its LIMIT, and below: of a parameter alone SQLite would compile the statement anew each time.
const REMOVE_OLDEST: &str = "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT 0 + $1) \
     AND id < (SELECT MAX(id) FROM events) RETURNING session";
/// Looks at the oldest only, so that a call is cheap when nothing is due. Should a clock have been ahead, its
/// events wait for their time, and the limit of bytes holds without it.
const REMOVE_AGED: &str = "DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, at FROM events \
     ORDER BY id LIMIT 0 + $1) AS oldest WHERE at < $2) AND id < (SELECT MAX(id) FROM events) RETURNING session";
const REMOVE_SESSION: &str = "DELETE FROM sessions WHERE id = $1 AND id < (SELECT MAX(id) FROM sessions) \
     AND NOT EXISTS (SELECT 1 FROM events WHERE session = $1)";

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events older than this go.
    pub age: Duration,
    /// The file's size: before it is reached, the oldest events go.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: AGE_DEFAULT, bytes: BYTES_DEFAULT }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmed {
    /// The limits hold.
    Done,
    /// The step ended before they did: call again.
    More,
}

impl Journal {
    /// Takes one step towards `limits`. The newest event and session stay whatever their age: the next numbers
    /// follow from them.
    pub fn trim(&mut self, limits: Retention, now: Timestamp) -> Result<Trimmed, StoreError> {
        let size = Size::of(&self.db.conn).map_err(|error| self.db.error("measure", &error))?;
        let over = size.used > limits.bytes - limits.bytes / HEADROOM;
        let removed = self.db.write("remove old events from", |conn| {
            forget_beyond(conn, MACHINES_MAX)?;
            if over { remove_oldest(conn) } else { remove_aged(conn, before(now, limits.age)) }
        })?;
        if size.file > limits.bytes {
            self.give_back().map_err(|error| self.db.error("shrink", &error))?;
        }
        Ok(if removed == STEP { Trimmed::More } else { Trimmed::Done })
    }

    /// Free pages go back to the file system: each row of this pragma is one.
    fn give_back(&self) -> rusqlite::Result<()> {
        let mut vacuum = self.db.conn.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }
}

/// Bytes of a journal.
struct Size {
    /// Those of the file.
    file: u64,
    /// Those that hold something.
    used: u64,
}

impl Size {
    fn of(conn: &Connection) -> rusqlite::Result<Self> {
        let pragma = |name| {
            let value = conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.map(|value| u64::try_from(value).unwrap_or(0))
        };
        let (page, pages, free) = (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
        Ok(Self { file: page * pages, used: page * pages.saturating_sub(free) })
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

fn remove_oldest(conn: &Connection) -> rusqlite::Result<usize> {
    let mut statement = conn.prepare_cached(REMOVE_OLDEST)?;
    let sessions =
        statement.query_map([STEP as i64], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    remove_empty(conn, &sessions)
}

fn remove_aged(conn: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    let mut statement = conn.prepare_cached(REMOVE_AGED)?;
    let rows = statement.query_map(params![STEP as i64, before.0], |row| row.get(0))?;
    let sessions = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    remove_empty(conn, &sessions)
}

/// Sessions go with their last event; says how many events went.
fn remove_empty(conn: &Connection, sessions: &[Option<i64>]) -> rusqlite::Result<usize> {
    let mut remove = conn.prepare_cached(REMOVE_SESSION)?;
    let distinct: BTreeSet<i64> = sessions.iter().copied().flatten().collect();
    for id in distinct {
        remove.execute([id])?;
    }
    Ok(sessions.len())
}
