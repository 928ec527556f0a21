//! The journal's writing end.

use std::collections::BTreeMap;
use std::path::Path;

use bootlace_core::model::Timestamp;
use bootlace_core::session::SessionId;
use bootlace_wire::HwAddr;
use rusqlite::{Connection, params};

use super::machines::Sightings;
use super::{FILE, MIGRATIONS, Record, from_sql, to_sql};
use crate::StoreError;
use crate::db::{Db, Disk, Durability};

const APPEND: &str =
    "INSERT INTO events (session, at, hw, ip, repeats, payload) VALUES ($1, $2, $3, $4, $5, $6)";
const PUT_SESSION: &str = "INSERT INTO sessions (id, hw, started, last) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (id) DO UPDATE SET \
     last = CASE WHEN excluded.last > sessions.last THEN excluded.last ELSE sessions.last END";
const NEXT_SESSION: &str = "SELECT COALESCE(MAX(id), 0) + 1 FROM sessions";

/// The journal's one writer. Whoever holds the [`Store`](crate::Store) of a directory may open it.
#[derive(Debug)]
pub struct Journal {
    pub(super) db: Db,
}

impl Journal {
    /// Opens the journal in `dir`, which exists; makes it if need be.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open(Disk::System, dir.join(FILE), Durability::Checkpoint, &MIGRATIONS)? })
    }

    /// The first session number that no record bears. After a power loss, sessions that left no record may
    /// have borne it.
    pub fn next_session(&self) -> Result<SessionId, StoreError> {
        let next = self.db.conn.query_row(NEXT_SESSION, [], |row| row.get(0));
        next.map(|id| SessionId(from_sql(id))).map_err(|error| self.db.error("read", &error))
    }

    /// Adds all records, or none, and brings sessions and machines up to date with them.
    pub fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.db.write("add events to", |conn| {
            append_events(conn, records)?;
            put_sessions(conn, records)?;
            Sightings::of(records).save(conn)
        })
    }
}

fn append_events(conn: &Connection, records: &[Record]) -> rusqlite::Result<()> {
    let mut append = conn.prepare_cached(APPEND)?;
    for Record { session, event, repeats } in records {
        // Of an operating system that renews its lease outside of any boot only the sighting is kept.
        if session.is_none() && event.is_plain_lease() {
            continue;
        }
        append.execute(params![
            session.map(|id| to_sql(id.0)),
            event.at.0,
            event.peer.hw.map(|hw| hw.to_string()),
            event.peer.ip.map(|ip| ip.to_string()),
            repeats,
            json(&event.kind)?,
        ])?;
    }
    Ok(())
}

/// Once for each session of the batch, however many events it has there.
fn put_sessions(conn: &Connection, records: &[Record]) -> rusqlite::Result<()> {
    let mut touched: BTreeMap<SessionId, (HwAddr, Timestamp, Timestamp)> = BTreeMap::new();
    for Record { session, event, .. } in records {
        let (Some(id), Some(hw)) = (*session, event.peer.hw) else { continue };
        let (_, _, last) = touched.entry(id).or_insert((hw, event.at, event.at));
        *last = event.at.max(*last);
    }
    let mut put = conn.prepare_cached(PUT_SESSION)?;
    for (id, (hw, started, last)) in touched {
        put.execute(params![to_sql(id.0), hw.to_string(), started.0, last.0])?;
    }
    Ok(())
}

pub(super) fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
