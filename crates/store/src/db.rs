//! One SQLite file: how it is opened, and how its errors are told.

use std::ffi::CStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::StoreError;
use crate::migrate::{self, MigrateError, Migration};

/// How long to wait for somebody else's lock on the file (a backup, the sqlite3 shell). Longer than those
/// hold it, shorter than the first retry of a DHCP client (RFC 2131 4.1: 4 seconds).
const BUSY: Duration = Duration::from_secs(2);

/// When a commit is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// When it returns: the log is synced each time (`synchronous=FULL`).
    EveryCommit,
    /// At the next checkpoint (`synchronous=NORMAL`). SQLite syncs the log before it changes the file proper
    /// and checks each log frame's sum, so that a power loss takes the last commits and nothing else.
    Checkpoint,
}

/// Whose files they are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disk {
    /// The operating system's.
    System,
    /// Those of a VFS that SQLite knows by this name.
    Vfs(&'static CStr),
}

/// A connection and the name of its file.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) conn: Connection,
    pub(crate) file: PathBuf,
}

impl Db {
    /// Opens `file` for writing, makes it if need be, and brings its schema up to date.
    pub(crate) fn open(
        disk: Disk,
        file: PathBuf,
        durability: Durability,
        migrations: &[Migration],
    ) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Self::connect(disk, file, flags)?;
        db.prepare(durability).map_err(|error| db.error("open", &error))?;
        db.require_wal()?;
        migrate::migrate(&mut db.conn, migrations).map_err(|error| match error {
            MigrateError::Newer { found, known } => StoreError::Newer { file: db.file.clone(), found, known },
            MigrateError::Sql(error) => db.error("bring up to date", &error),
        })?;
        if let Disk::System = disk {
            db.sync_name()?;
        }
        Ok(db)
    }

    /// Opens `file` for reading beside its writer.
    pub(crate) fn open_reader(file: PathBuf, migrations: &[Migration]) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Self::connect(Disk::System, file, flags)?;
        let known = migrate::newest(migrations);
        match migrate::version(&db.conn).map_err(|error| db.error("read", &error))? {
            found if found == known => Ok(db),
            found if found > known => Err(StoreError::Newer { file: db.file, found, known }),
            _ => Err(StoreError::unavailable(
                &db.file,
                "read",
                "an older release wrote it; `bootlace serve` of this one brings it up to date",
            )),
        }
    }

    /// Opens `file` for reading as it is, whichever schema it has.
    pub(crate) fn open_as_is(file: PathBuf) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::connect(Disk::System, file, flags)
    }

    /// The file's schema, one that this release knows.
    pub(crate) fn schema(&self, migrations: &[Migration]) -> Result<i64, StoreError> {
        const HAS_SCHEMA: &str = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_versions'";
        let ours = self.conn.query_row(HAS_SCHEMA, [], |row| row.get::<_, bool>(0));
        let found = match ours.map_err(|error| self.error("read", &error))? {
            true => migrate::version(&self.conn).map_err(|error| self.error("read", &error))?,
            false => 0,
        };
        let known = migrate::newest(migrations);
        match found {
            0 => Err(StoreError::corrupt(&self.file, "it is no database of Bootlace")),
            found if found > known => Err(StoreError::Newer { file: self.file.clone(), found, known }),
            found => Ok(found),
        }
    }

    /// Reads every page and index. Takes some seconds for a journal of the default size.
    pub(crate) fn check_all(&self) -> Result<(), StoreError> {
        self.check("PRAGMA integrity_check(1)")
    }

    /// Reads every page, without holding indices against their tables.
    pub(crate) fn check_pages(&self) -> Result<(), StoreError> {
        self.check("PRAGMA quick_check(1)")
    }

    fn check(&self, pragma: &str) -> Result<(), StoreError> {
        let verdict: String =
            self.conn.query_row(pragma, [], |row| row.get(0)).map_err(|error| self.error("check", &error))?;
        if verdict == "ok" { Ok(()) } else { Err(StoreError::corrupt(&self.file, verdict)) }
    }

    /// Writes what is committed at this moment to a new database `to`, complete in one file. Its bytes are not synced.
    pub(crate) fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let Some(name) = to.to_str() else {
            return Err(StoreError::unavailable(to, "write", "its name is not UTF-8"));
        };
        let copied = self.conn.execute("VACUUM INTO $1", [name]);
        copied.map(drop).map_err(|error| self.error("copy", &error))
    }

    fn connect(disk: Disk, file: PathBuf, flags: OpenFlags) -> Result<Self, StoreError> {
        let open = || {
            let conn = match disk {
                Disk::System => Connection::open_with_flags(&file, flags)?,
                Disk::Vfs(name) => Connection::open_with_flags_and_vfs(&file, flags, name)?,
            };
            conn.busy_timeout(BUSY)?;
            // Long lists are sorted in memory: not in a file in /var/tmp, which the server's sandbox keeps it from.
            conn.pragma_update(None, "temp_store", "memory")?;
            Ok(conn)
        };
        match open() {
            Ok(conn) => Ok(Self { conn, file }),
            Err(error) => Err(StoreError::sqlite(&file, "open", &error)),
        }
    }

    fn prepare(&self, durability: Durability) -> rusqlite::Result<()> {
        // Only counts while the file is new, and only before it becomes a WAL one.
        self.conn.pragma_update(None, "auto_vacuum", "incremental")?;
        self.conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        self.conn.pragma_update(None, "foreign_keys", "on")?;
        self.conn.pragma_update(
            None,
            "synchronous",
            match durability {
                Durability::EveryCommit => "full",
                Durability::Checkpoint => "normal",
            },
        )
    }

    /// SQLite stays in another mode without a word where the file system has no shared memory maps.
    fn require_wal(&self) -> Result<(), StoreError> {
        let mode: String = self
            .conn
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|error| self.error("open", &error))?;
        if mode == "wal" {
            return Ok(());
        }
        Err(StoreError::unavailable(
            &self.file,
            "open",
            "its file system cannot hold a write-ahead log; put state_dir on a local disk",
        ))
    }

    /// Makes the names of new files durable: a synced file without a name is lost all the same. SQLite does so with
    /// the first sync of a log; this does not rely on it.
    fn sync_name(&self) -> Result<(), StoreError> {
        let dir = self.file.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| StoreError::io(dir, "sync", &error))
    }

    /// Runs `work` in one transaction that takes the write lock at once.
    pub(crate) fn write<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let run = || {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        };
        run().map_err(|error| self.error(doing, &error))
    }

    pub(crate) fn error(&self, doing: &'static str, error: &rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.file, doing, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_log_and_the_asked_durability() {
        let dir = tempfile::tempdir().unwrap();
        // 2 is FULL, 1 is NORMAL.
        for (durability, level) in [(Durability::EveryCommit, 2), (Durability::Checkpoint, 1)] {
            let file = dir.path().join(format!("{level}.db"));
            // A second time: what a file remembers and what a connection must be told are two things.
            for _ in 0..2 {
                let db = Db::open(Disk::System, file.clone(), durability, &[]).unwrap();
                let pragma =
                    |name: &str| db.conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
                assert_eq!(pragma("synchronous"), level);
                assert_eq!(pragma("auto_vacuum"), 2, "incremental");
                assert_eq!(pragma("foreign_keys"), 1);
                assert!(file.with_extension("db-wal").exists());
            }
            let reader = Db::open_reader(file, &[]).unwrap();
            for conn in
                [reader.conn, Db::open(Disk::System, dir.path().join("x"), durability, &[]).unwrap().conn]
            {
                let temp: i64 = conn.pragma_query_value(None, "temp_store", |row| row.get(0)).unwrap();
                assert_eq!(temp, 2, "memory: the sandbox allows no file elsewhere");
            }
        }
    }
}
