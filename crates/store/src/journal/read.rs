//! The journal's reading end.

use std::net::Ipv4Addr;
use std::path::Path;

use bootlace_core::event::{Event, Peer};
use bootlace_core::model::Timestamp;
use bootlace_core::session::SessionId;
use bootlace_wire::HwAddr;
use rusqlite::{Params, Row, params};

use super::{EventId, FILE, MIGRATIONS, MachineSeen, Record, SessionRow, from_sql, to_sql};
use crate::StoreError;
use crate::db::Db;

const EVENTS_OF: &str = "SELECT id, session, at, hw, ip, repeats, payload FROM events \
     WHERE session = $1 ORDER BY id LIMIT $2";
const EVENTS_AFTER: &str = "SELECT id, session, at, hw, ip, repeats, payload FROM events \
     WHERE id > $1 ORDER BY id LIMIT $2";
const LAST_EVENT: &str = "SELECT COALESCE(MAX(id), 0) FROM events";
const SESSION: &str = "SELECT id, hw, started, last FROM sessions WHERE id = $1";
const SESSIONS: &str = "SELECT id, hw, started, last FROM sessions ORDER BY id DESC LIMIT $1";
const SESSIONS_OF: &str =
    "SELECT id, hw, started, last FROM sessions WHERE hw = $1 ORDER BY id DESC LIMIT $2";
const MACHINES: &str = "SELECT hw, first_seen, last_seen, address, facts FROM machines \
     ORDER BY last_seen DESC LIMIT $1";
const MACHINE: &str = "SELECT hw, first_seen, last_seen, address, facts FROM machines WHERE hw = $1";

/// Reads beside the writer and never waits for it. One connection: a thread that reads owns one or borrows it.
#[derive(Debug)]
pub struct JournalReader {
    db: Db,
}

/// An event and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place.
    pub id: EventId,
    /// The event, its session and how often it came.
    pub record: Record,
}

/// Events of the journal, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Those that this release understands.
    pub events: Vec<StoredEvent>,
    /// How many more there were that it does not: another release wrote them.
    pub skipped: u64,
    /// The place of the last, understood or not: where to go on.
    pub last: Option<EventId>,
}

impl JournalReader {
    /// Opens the journal that a [`Journal`](super::Journal) of this release has made in `dir`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open_reader(dir.join(FILE), &MIGRATIONS)? })
    }

    /// The first `limit` events of a session.
    pub fn events_of(&self, session: SessionId, limit: usize) -> Result<Events, StoreError> {
        self.events(EVENTS_OF, params![to_sql(session.0), to_sql(limit as u64)])
    }

    /// The first `limit` events after `id`.
    pub fn events_after(&self, id: EventId, limit: usize) -> Result<Events, StoreError> {
        self.events(EVENTS_AFTER, params![to_sql(id.0), to_sql(limit as u64)])
    }

    /// The place of the newest event; zero in an empty journal.
    pub fn last_event(&self) -> Result<EventId, StoreError> {
        let last = self.db.conn.query_row(LAST_EVENT, [], |row| row.get(0));
        last.map(|id| EventId(from_sql(id))).map_err(|error| self.db.error("read", &error))
    }

    /// One session.
    pub fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.rows(SESSION, params![to_sql(id.0)], session_row)?.pop())
    }

    /// The latest sessions, newest first.
    pub fn sessions(&self, limit: usize) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(SESSIONS, params![to_sql(limit as u64)], session_row)
    }

    /// The latest sessions of one machine, newest first.
    pub fn sessions_of(&self, hw: HwAddr, limit: usize) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(SESSIONS_OF, params![hw.to_string(), to_sql(limit as u64)], session_row)
    }

    /// The machines seen last, newest first.
    pub fn machines(&self, limit: usize) -> Result<Vec<MachineSeen>, StoreError> {
        self.rows(MACHINES, params![to_sql(limit as u64)], machine_row)
    }

    /// One machine.
    pub fn machine(&self, hw: HwAddr) -> Result<Option<MachineSeen>, StoreError> {
        Ok(self.rows(MACHINE, params![hw.to_string()], machine_row)?.pop())
    }

    fn events(&self, sql: &str, params: impl Params) -> Result<Events, StoreError> {
        let rows = self.select(sql, params, |row| Ok((row.get(0)?, record(row)?)))?;
        let mut read = Events::default();
        for (id, record) in rows {
            let id = EventId(from_sql(id));
            read.last = Some(id);
            match record {
                Some(record) => read.events.push(StoredEvent { id, record }),
                None => read.skipped += 1,
            }
        }
        Ok(read)
    }

    /// Rows whose values this release understands; the others would be a later release's.
    fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Result<Vec<T>, StoreError> {
        Ok(self.select(sql, params, read)?.into_iter().flatten().collect())
    }

    fn select<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let run = || {
            self.db.conn.prepare_cached(sql)?.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        run().map_err(|error| self.db.error("read", &error))
    }
}

/// The rest of an event's row; `None` when this release does not understand it.
fn record(row: &Row<'_>) -> rusqlite::Result<Option<Record>> {
    let session: Option<i64> = row.get(1)?;
    let at = Timestamp(row.get(2)?);
    let hw: Option<String> = row.get(3)?;
    let ip: Option<String> = row.get(4)?;
    let repeats = row.get(5)?;
    let Ok(kind) = serde_json::from_str(row.get_ref(6)?.as_str()?) else { return Ok(None) };
    let (Ok(hw), Ok(ip)) = (hw.map(|text| text.parse()).transpose(), ip.map(|text| text.parse()).transpose())
    else {
        return Ok(None);
    };
    let event = Event { at, peer: Peer { hw, ip }, kind };
    Ok(Some(Record { session: session.map(|id| SessionId(from_sql(id))), event, repeats }))
}

fn session_row(row: &Row<'_>) -> rusqlite::Result<Option<SessionRow>> {
    let id = SessionId(from_sql(row.get(0)?));
    let Ok(hw) = row.get_ref(1)?.as_str()?.parse() else { return Ok(None) };
    Ok(Some(SessionRow { id, hw, started: Timestamp(row.get(2)?), last: Timestamp(row.get(3)?) }))
}

fn machine_row(row: &Row<'_>) -> rusqlite::Result<Option<MachineSeen>> {
    let Ok(hw) = row.get_ref(0)?.as_str()?.parse() else { return Ok(None) };
    let address: Option<String> = row.get(3)?;
    let facts: String = row.get(4)?;
    Ok(Some(MachineSeen {
        hw,
        first_seen: Timestamp(row.get(1)?),
        last_seen: Timestamp(row.get(2)?),
        address: address.and_then(|text| text.parse::<Ipv4Addr>().ok()),
        facts: serde_json::from_str(&facts).unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Journal;

    /// What keeps lists fast at a million events: no query looks at rows that it does not return.
    #[test]
    fn every_query_follows_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let _writer = Journal::open(dir.path()).unwrap();
        let reader = JournalReader::open(dir.path()).unwrap();
        let all = [EVENTS_OF, EVENTS_AFTER, LAST_EVENT, SESSION, SESSIONS, SESSIONS_OF, MACHINES, MACHINE];
        for sql in all {
            let mut explain = reader.db.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = ["1", "1"].into_iter().take(explain.parameter_count());
            let plan: Vec<String> = explain
                .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(!plan.is_empty());
            for line in &plan {
                let walks_in_order = *line == "SCAN sessions" && sql == SESSIONS;
                let by_index = line.starts_with("SEARCH") || line.contains("USING INDEX");
                assert!(walks_in_order || by_index, "{sql}: {plan:?}");
            }
        }
    }
}
