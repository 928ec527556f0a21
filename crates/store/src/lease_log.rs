//! The log that leases are kept in: what it costs to change one does not depend on how many there are.
//!
//! Changes are appended. Once rows that count no more are in the majority, each commit also takes some rows from
//! the front: those that still count are appended again, all of them go. The log stays within twice the number
//! of leases, and nothing ever stops to rewrite it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bootlace_core::dhcp::{Lease, LeaseChange};
use rusqlite::{Connection, params};

use crate::store::{hex, state_name};

/// Rows beyond twice the number of leases before any is taken from the front: some 500 KiB.
const SLACK: u64 = 4096;
/// Rows taken from the front for each one appended. At worst half of them still count and are appended again, so
/// that two would stand still.
const SWEEP: usize = 3;
/// The state of a row that says that its address has no lease.
const REMOVED: &str = "removed";

const APPEND: &str = "INSERT INTO lease_log (id, address, hw, state, since, noted, until, client_id, \
     uuid, hostname) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const AGAIN: &str = "INSERT INTO lease_log (id, address, hw, state, since, noted, until, client_id, uuid, hostname) \
     SELECT $1, address, hw, state, since, noted, until, client_id, uuid, hostname FROM lease_log WHERE id = $2";
/// Without a LIMIT: SQLite compiles a statement anew for each value that is bound to one.
const OLDEST: &str = "SELECT id, address FROM lease_log ORDER BY id";
const DROP: &str = "DELETE FROM lease_log WHERE id <= $1";
const ALL: &str = "SELECT id, address, state FROM lease_log ORDER BY id";

/// Where in the log each lease is.
#[derive(Debug)]
pub(crate) struct LeaseLog {
    /// The row that is the lease of an address.
    current: HashMap<Ipv4Addr, i64>,
    rows: u64,
    last: i64,
}

/// What a transaction does to the log; it counts once that is committed.
#[derive(Debug)]
pub(crate) struct Draft {
    changed: Vec<(Ipv4Addr, Option<i64>)>,
    dropped: u64,
    first: i64,
    next: i64,
}

impl LeaseLog {
    /// Reads where the leases are, once from the front to the end.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut log = Self { current: HashMap::new(), rows: 0, last: 0 };
        let mut select = conn.prepare(ALL)?;
        let mut all = select.query([])?;
        while let Some(row) = all.next()? {
            log.last = row.get(0)?;
            log.rows += 1;
            // A row without a good address is no lease here; reading the leases tells.
            let Ok(address) = row.get_ref(1)?.as_str()?.parse() else { continue };
            match row.get_ref(2)?.as_str()? {
                REMOVED => log.current.remove(&address),
                _ => log.current.insert(address, log.last),
            };
        }
        Ok(log)
    }

    /// Whether a row is the lease of its address. One whose address cannot be read may be.
    pub(crate) fn counts(&self, address: &str, id: i64) -> bool {
        address.parse().map_or(true, |address| self.current.get(&address) == Some(&id))
    }

    /// Writes all changes in the transaction of `conn`.
    pub(crate) fn write(&self, conn: &Connection, changes: &[LeaseChange]) -> rusqlite::Result<Draft> {
        let first = self.last + 1;
        let mut draft = Draft { changed: Vec::with_capacity(changes.len()), dropped: 0, first, next: first };
        if self.rows > 2 * self.current.len() as u64 + SLACK {
            self.sweep(conn, SWEEP * changes.len(), &mut draft)?;
        }
        let mut append = conn.prepare_cached(APPEND)?;
        for change in changes {
            let id = draft.next;
            match change {
                LeaseChange::Put(lease) => {
                    put(&mut append, id, lease)?;
                    draft.note(lease.address, Some(id));
                }
                LeaseChange::Remove(address) => {
                    let none = None::<String>;
                    append.execute(params![id, address.to_string(), "", REMOVED, 0, 0, 0, none, none, ""])?;
                    draft.note(*address, None);
                }
            }
        }
        Ok(draft)
    }

    /// The transaction of this draft was committed.
    pub(crate) fn committed(&mut self, draft: Draft) {
        self.rows = self.rows + (draft.next - draft.first).unsigned_abs() - draft.dropped;
        self.last = draft.next - 1;
        for (address, id) in draft.changed {
            match id {
                Some(id) => self.current.insert(address, id),
                None => self.current.remove(&address),
            };
        }
    }

    fn sweep(&self, conn: &Connection, count: usize, draft: &mut Draft) -> rusqlite::Result<()> {
        let mut oldest = conn.prepare_cached(OLDEST)?;
        let oldest = oldest.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.take(count);
        let oldest = oldest.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        let mut again = conn.prepare_cached(AGAIN)?;
        for (id, address) in &oldest {
            let Ok(address) = address.parse() else { continue };
            if self.current.get(&address) == Some(id) {
                again.execute([draft.next, *id])?;
                draft.note(address, Some(draft.next));
            }
        }
        if let Some((last, _)) = oldest.last() {
            conn.prepare_cached(DROP)?.execute([last])?;
            draft.dropped = oldest.len() as u64;
        }
        Ok(())
    }
}

impl Draft {
    /// A row was appended; it is the lease of `address`, or says that there is none.
    fn note(&mut self, address: Ipv4Addr, id: Option<i64>) {
        self.changed.push((address, id));
        self.next += 1;
    }
}

fn put(append: &mut rusqlite::Statement<'_>, id: i64, lease: &Lease) -> rusqlite::Result<()> {
    append.execute(params![
        id,
        lease.address.to_string(),
        lease.hw.to_string(),
        state_name(lease.state),
        lease.since.0,
        lease.noted.0,
        lease.until.0,
        lease.client_id.as_deref().map(hex),
        lease.uuid.map(|uuid| uuid.to_string()),
        lease.hostname.as_str(),
    ])?;
    Ok(())
}
