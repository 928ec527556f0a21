//! Looks through a database without changing it.

use std::path::{Path, PathBuf};

use super::restore::is_pending;
use super::{JournalFile, LeasesFile};
use crate::db::Db;
use crate::migrate::Migration;
use crate::{StoreError, journal, store};

/// Reads all of `bootlace.db` in `dir`, a state directory or a backup, whichever release has written it, and whether or
/// not a server runs.
pub fn verify_leases(dir: &Path) -> Result<LeasesFile, StoreError> {
    leases_in(present(dir, store::FILE)?)
}

/// The same for `journal.db`. Events that this release does not understand are no damage: another one wrote them.
pub fn verify_journal(dir: &Path) -> Result<JournalFile, StoreError> {
    journal_in(present(dir, journal::FILE)?)
}

pub(super) fn leases_in(file: PathBuf) -> Result<LeasesFile, StoreError> {
    whole(file, &store::MIGRATIONS, |db, schema| {
        Ok(LeasesFile { schema, leases: store::leases_of_schema(db, schema)?.len() as u64 })
    })
}

pub(super) fn journal_in(file: PathBuf) -> Result<JournalFile, StoreError> {
    whole(file, &journal::MIGRATIONS, |db, schema| {
        Ok(JournalFile {
            schema,
            events: count(db, "SELECT COUNT(*) FROM events")?,
            sessions: count(db, "SELECT COUNT(*) FROM sessions")?,
            machines: count(db, "SELECT COUNT(*) FROM machines")?,
        })
    })
}

fn present(dir: &Path, name: &str) -> Result<PathBuf, StoreError> {
    if is_pending(dir) {
        return Err(StoreError::unavailable(
            dir,
            "verify",
            "a restore was cut short; `bootlace serve` or the same `bootlace state restore` finishes it",
        ));
    }
    let file = dir.join(name);
    if file.exists() {
        return Ok(file);
    }
    Err(StoreError::unavailable(&file, "find", "`bootlace serve` makes it at its first start"))
}

/// Checks every page of a database and looks into it, all as of one moment.
fn whole<T>(
    file: PathBuf,
    migrations: &[Migration],
    look: impl FnOnce(&Db, i64) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let db = Db::open_as_is(file)?;
    let _moment = db.conn.unchecked_transaction().map_err(|error| db.error("read", &error))?;
    db.check_all()?;
    let schema = db.schema(migrations)?;
    look(&db, schema)
}

fn count(db: &Db, sql: &str) -> Result<u64, StoreError> {
    let count: rusqlite::Result<i64> = db.conn.query_row(sql, [], |row| row.get(0));
    count.map(i64::unsigned_abs).map_err(|error| db.error("read", &error))
}
