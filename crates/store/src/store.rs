//! Leases: the promises that outlive the process.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::net::Ipv4Addr;
use std::path::Path;

use bootlace_core::dhcp::{ClockMark, Lease, LeaseChange, LeaseState};
use bootlace_core::learn::{Fact, MachineFacts};
use bootlace_core::model::{Text, Timestamp};
use bootlace_core::oneshot::OneShots;
use bootlace_wire::HwAddr;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::StoreError;
use crate::db::{Db, Disk, Durability};
use crate::learned;
use crate::lease_log::LeaseLog;
use crate::lock::StateLock;
use crate::migrate::Migration;
use crate::one_shots;
use crate::state::finish_restore;

/// The database file in the state directory.
pub(crate) const FILE: &str = "bootlace.db";

pub(crate) const MIGRATIONS: [Migration; 5] = [
    Migration { version: 1, sql: include_str!("../migrations/store-0001.sql") },
    Migration { version: 2, sql: include_str!("../migrations/store-0002.sql") },
    Migration { version: 3, sql: include_str!("../migrations/store-0003.sql") },
    Migration { version: 4, sql: include_str!("../migrations/store-0004.sql") },
    Migration { version: 5, sql: include_str!("../migrations/store-0005.sql") },
];

const READ: &str = "SELECT address, hw, state, since, noted, until, client_id, uuid, hostname FROM leases";
/// The whole log, without asking SQLite to sort it by address. Its first columns are those of [`READ`].
const READ_LOG: &str =
    "SELECT address, hw, state, since, noted, until, client_id, uuid, hostname, id FROM lease_log";
/// [`READ`] before schema 3, as that migration fills what is new.
const READ_BEFORE_3: &str =
    "SELECT address, hw, state, since, 0, until, client_id, uuid, hostname FROM leases";

/// The durable log of the lease table, which itself lives in memory: read once at start, then only written.
#[derive(Debug)]
pub enum Store {
    /// One server with its own disk.
    Sqlite(Sqlite),
}

/// A locked state directory and its database.
#[derive(Debug)]
pub struct Sqlite {
    db: Db,
    log: LeaseLog,
    /// None where the disk is this process's own.
    _lock: Option<StateLock>,
}

impl Store {
    /// Opens the store in `dir`, which is made if need be, and keeps every other server out of that directory
    /// for as long as it lives. A restore that was cut short is finished first.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = StateLock::take(dir)?;
        finish_restore(dir)?;
        Sqlite::open(Disk::System, dir, Some(lock)).map(Self::Sqlite)
    }

    /// Opens the same store on the disk of a VFS that SQLite knows by the name `vfs`: a simulated one, which only
    /// this process has.
    pub fn open_on(vfs: &'static CStr, dir: &Path) -> Result<Self, StoreError> {
        Sqlite::open(Disk::Vfs(vfs), dir, None).map(Self::Sqlite)
    }

    /// Every lease, by address.
    pub fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        match self {
            Self::Sqlite(store) => store.leases(),
        }
    }

    /// Makes all the changes, or none. When it returns they are on stable storage, and answers that depend on
    /// them may leave; after an error nothing may be answered.
    pub fn commit(&mut self, changes: &[LeaseChange]) -> Result<(), StoreError> {
        self.commit_all(&Commit { changes, ..Commit::default() })
    }

    /// The same with all that has to be stored: what boots taught costs no sync of its own, and no ACK waits for it.
    pub fn commit_all(&mut self, commit: &Commit<'_>) -> Result<(), StoreError> {
        if commit.is_empty() {
            return Ok(());
        }
        match self {
            Self::Sqlite(store) => store.commit(commit),
        }
    }

    /// What boots have taught.
    pub fn learned(&self) -> Result<Vec<MachineFacts>, StoreError> {
        match self {
            Self::Sqlite(store) => {
                learned::all(&store.db.conn).map_err(|error| store.db.error("read", &error))
            }
        }
    }

    /// The clock that the leases were written by, unless nobody told.
    pub fn clock(&self) -> Result<Option<ClockMark>, StoreError> {
        match self {
            Self::Sqlite(store) => clock(&store.db),
        }
    }

    /// Like [`Self::commit`], and from then on `mark` is the clock of all leases: what a clock that was set moves, and
    /// that it was moved, are one change.
    pub fn commit_clock(&mut self, mark: ClockMark, changes: &[LeaseChange]) -> Result<(), StoreError> {
        self.commit_all(&Commit { changes, clock: Some(mark), ..Commit::default() })
    }
}

/// What becomes durable together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commit<'a> {
    /// Leases.
    pub changes: &'a [LeaseChange],
    /// From then on the clock of all leases.
    pub clock: Option<ClockMark>,
    /// All that is known of these machines.
    pub learned: &'a [MachineFacts],
}

impl Commit<'_> {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.clock.is_none() && self.learned.is_empty()
    }
}

impl Sqlite {
    fn open(disk: Disk, dir: &Path, lock: Option<StateLock>) -> Result<Self, StoreError> {
        let db = Db::open(disk, dir.join(FILE), Durability::EveryCommit, &MIGRATIONS)?;
        // A damaged page must stop the start, not the DHCP service an hour later. The file is small: a lease takes some
        // 300 bytes.
        db.check_pages()?;
        let log = LeaseLog::read(&db.conn).map_err(|error| db.error("read", &error))?;
        Ok(Self { db, log, _lock: lock })
    }

    fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        read_leases(&self.db, READ_LOG, |row| {
            let address = row.get_ref(0)?.as_str()?;
            Ok(self.log.counts(address, row.get(9)?))
        })
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let draft = self.db.write("save leases in", |conn| {
            if let Some(mark) = commit.clock {
                write_clock(conn, mark)?;
            }
            learned::write(conn, commit.learned)?;
            self.log.write(conn, commit.changes)
        })?;
        self.log.committed(draft);
        Ok(())
    }
}

/// Reads the leases beside the server that owns them; what it reads was committed.
#[derive(Debug)]
pub struct LeaseReader {
    db: Db,
}

impl LeaseReader {
    /// Whether a server has made a store in `dir` yet.
    pub fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Opens the store that a [`Store`] of this release has made in `dir`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open_reader(dir.join(FILE), &MIGRATIONS)? })
    }

    /// Every lease, by address.
    pub fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        read_leases(&self.db, READ, |_| Ok(true))
    }

    /// What boots of a machine have taught.
    pub fn learned_of(&self, hw: HwAddr) -> Result<Vec<Fact>, StoreError> {
        learned::of(&self.db.conn, hw).map_err(|error| self.db.error("read", &error))
    }

    /// One-shots at all stages.
    pub fn one_shots(&self) -> Result<OneShots, StoreError> {
        one_shots::all(&self.db.conn).map_err(|error| self.db.error("read", &error))
    }

    /// The first `most` leases behind an address, by address. It looks at all of them and keeps no more than it returns.
    pub fn page(&self, after: Ipv4Addr, most: usize) -> Result<Vec<Lease>, StoreError> {
        let error = |error: rusqlite::Error| self.db.error("read", &error);
        let mut statement = self.db.conn.prepare(READ).map_err(error)?;
        let mut rows = statement.query([]).map_err(error)?;
        let mut page = BTreeMap::new();
        while let Some(row) = rows.next().map_err(error)? {
            let lease = LeaseRow::read(row).map_err(error)?.lease();
            let lease = lease.map_err(|detail| StoreError::corrupt(&self.db.file, detail))?;
            if lease.address > after {
                page.insert(lease.address, lease);
            }
            if page.len() > most {
                page.pop_last();
            }
        }
        Ok(page.into_values().collect())
    }
}

/// The leases of a file that was not brought up to date.
pub(crate) fn leases_of_schema(db: &Db, schema: i64) -> Result<Vec<Lease>, StoreError> {
    read_leases(db, if schema < 3 { READ_BEFORE_3 } else { READ }, |_| Ok(true))
}

/// Those of the rows that count, by address.
fn read_leases(
    db: &Db,
    sql: &str,
    counts: impl Fn(&Row<'_>) -> rusqlite::Result<bool>,
) -> Result<Vec<Lease>, StoreError> {
    let error = |error: rusqlite::Error| db.error("read", &error);
    let mut statement = db.conn.prepare(sql).map_err(error)?;
    let mut rows = statement.query([]).map_err(error)?;
    let mut leases = Vec::new();
    while let Some(row) = rows.next().map_err(error)? {
        if counts(row).map_err(error)? {
            let lease = LeaseRow::read(row).map_err(error)?.lease();
            // A lease that cannot be read is not skipped: its address would be given to somebody else.
            leases.push(lease.map_err(|detail| StoreError::corrupt(&db.file, detail))?);
        }
    }
    leases.sort_unstable_by_key(|lease| lease.address);
    Ok(leases)
}

fn clock(db: &Db) -> Result<Option<ClockMark>, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    let row = db.conn.query_row("SELECT boot, began FROM clock", [], read).optional();
    let Some((boot, began)) = row.map_err(|error| db.error("read", &error))? else { return Ok(None) };
    let boot = boot.parse().map_err(|_| StoreError::corrupt(&db.file, "the clock has a wrong boot"))?;
    Ok(Some(ClockMark { boot, began: Timestamp(began) }))
}

fn write_clock(conn: &Connection, mark: ClockMark) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM clock", [])?;
    let row = params![mark.boot.to_string(), mark.began.0];
    conn.execute("INSERT INTO clock (boot, began) VALUES ($1, $2)", row)?;
    Ok(())
}

/// A row as it is stored.
struct LeaseRow {
    address: String,
    hw: String,
    state: String,
    since: i64,
    noted: i64,
    until: i64,
    client_id: Option<String>,
    uuid: Option<String>,
    hostname: String,
}

impl LeaseRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            address: row.get(0)?,
            hw: row.get(1)?,
            state: row.get(2)?,
            since: row.get(3)?,
            noted: row.get(4)?,
            until: row.get(5)?,
            client_id: row.get(6)?,
            uuid: row.get(7)?,
            hostname: row.get(8)?,
        })
    }

    fn lease(&self) -> Result<Lease, String> {
        let wrong = |what: &str| format!("the lease of {:?} has a wrong {what}", self.address);
        let client_id = match &self.client_id {
            Some(text) => Some(unhex(text).ok_or_else(|| wrong("client id"))?),
            None => None,
        };
        let uuid = match &self.uuid {
            Some(text) => Some(text.parse().map_err(|_| wrong("UUID"))?),
            None => None,
        };
        Ok(Lease {
            address: self.address.parse().map_err(|_| wrong("address"))?,
            hw: self.hw.parse().map_err(|_| wrong("hardware address"))?,
            state: state_of(&self.state).ok_or_else(|| wrong("state"))?,
            since: Timestamp(self.since),
            noted: Timestamp(self.noted),
            until: Timestamp(self.until),
            client_id,
            uuid,
            hostname: Text::from(self.hostname.as_str()),
        })
    }
}

/// The names in the database; they never change.
pub(crate) fn state_name(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Bound => "bound",
        LeaseState::Released => "released",
        LeaseState::Declined => "declined",
        LeaseState::Conflict => "conflict",
    }
}

fn state_of(name: &str) -> Option<LeaseState> {
    const ALL: [LeaseState; 4] =
        [LeaseState::Bound, LeaseState::Released, LeaseState::Declined, LeaseState::Conflict];
    ALL.into_iter().find(|&state| state_name(state) == name)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}
