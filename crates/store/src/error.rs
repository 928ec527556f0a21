//! What can go wrong with a state directory, in words for whoever runs it.

use std::fmt;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bootlace_core::finding::Finding;
use rusqlite::ErrorCode;

/// Why the store or the journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another process serves from this directory.
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// The process that holds it, when its lock file says so.
        holder: Option<u32>,
    },
    /// A later release has changed the file's schema.
    Newer {
        /// The database file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this release.
        known: i64,
    },
    /// The file is no database, or what it holds cannot be true.
    Corrupt {
        /// The database file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The same of a file of a backup.
    BadBackup {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The file cannot be read or written now.
    Unavailable {
        /// The file or directory.
        file: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What it is up to, as far as that can be told.
        cause: Cause,
        /// What the system says.
        detail: String,
    },
}

/// What keeps a file from being read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No room is left on its disk.
    DiskFull,
    /// Its disk takes no writes: mounted so, or by the kernel after an error.
    ReadOnly,
    /// This user may not.
    Refused,
    /// Another program has it.
    Busy,
    /// The disk reports an error.
    Device,
    /// Something else, which the detail tells.
    Other,
}

impl Cause {
    fn of_io(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::Refused,
            _ => Self::Other,
        }
    }

    /// SQLite tells of errors less than the kernel does.
    fn of_sqlite(code: ErrorCode, file: &Path) -> Self {
        match code {
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::SystemIoFailure if is_read_only(file) => Self::ReadOnly,
            ErrorCode::SystemIoFailure => Self::Device,
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                if is_read_only(file) { Self::ReadOnly } else { Self::Refused }
            }
            _ => Self::Other,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::DiskFull => "state-disk-full",
            Self::ReadOnly => "state-read-only",
            Self::Refused => "state-refused",
            Self::Busy => "state-busy",
            Self::Device => "state-disk-error",
            Self::Other => "state-unavailable",
        }
    }

    fn fix(self) -> Option<&'static str> {
        match self {
            Self::DiskFull => Some("free some space on its disk"),
            Self::ReadOnly => {
                Some("mount its disk writable; when it was the kernel that stopped writing, its log says why")
            }
            Self::Refused => {
                Some("the user that runs bootlace must own state_dir and be able to write there")
            }
            Self::Busy => Some("another program holds the file: close it"),
            Self::Device => Some("the kernel log says more about the disk"),
            Self::Other => None,
        }
    }
}

/// Whether the disk of an existing file takes no writes. Nothing is written.
fn is_read_only(file: &Path) -> bool {
    let opened = OpenOptions::new().write(true).open(file);
    opened.is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem)
}

impl StoreError {
    /// What is the case, and what to do about it.
    pub fn finding(&self) -> Finding {
        match self {
            Self::Locked { dir, holder } => {
                let holder = holder.map(|pid| format!(" (process {pid})")).unwrap_or_default();
                let message = format!("{} is in use by another Bootlace{holder}", dir.display());
                Finding::error("state-locked", message)
                    .fix("stop that one, or give this one its own state_dir")
            }
            Self::Newer { file, found, known } => {
                let file = file.display();
                let message =
                    format!("{file} was written by a newer Bootlace (schema {found}, this one knows {known})");
                Finding::error("state-newer", message).fix("run that release")
            }
            Self::Corrupt { file, detail } => {
                Finding::error("state-damaged", format!("{} is damaged: {detail}", file.display())).fix(
                    "nothing was changed; with the server stopped, `bootlace state restore` puts a backup in its \
                     place and keeps this file; without a backup, move the file away (with bootlace.db go the \
                     leases, with journal.db the history); `bootlace state verify` looks at all of the state",
                )
            }
            Self::BadBackup { file, detail } => {
                let message = format!("{} cannot be restored: {detail}", file.display());
                Finding::error("backup-damaged", message).fix("use another backup")
            }
            Self::Unavailable { file, doing, cause, detail } => {
                let finding =
                    Finding::error(cause.code(), format!("cannot {doing} {}: {detail}", file.display()));
                match cause.fix() {
                    Some(fix) => finding.fix(fix),
                    None => finding,
                }
            }
        }
    }

    pub(crate) fn io(file: &Path, doing: &'static str, error: &std::io::Error) -> Self {
        let cause = Cause::of_io(error.kind());
        Self::Unavailable { file: file.to_owned(), doing, cause, detail: error.to_string() }
    }

    /// For a reason of our own, which says what to do.
    pub(crate) fn unavailable(file: &Path, doing: &'static str, reason: &str) -> Self {
        Self::Unavailable { file: file.to_owned(), doing, cause: Cause::Other, detail: reason.to_owned() }
    }

    pub(crate) fn corrupt(file: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), detail: detail.into() }
    }

    /// The same error, met in a backup.
    pub(crate) fn of_backup(self) -> Self {
        match self {
            Self::Corrupt { file, detail } => Self::BadBackup { file, detail },
            other => other,
        }
    }

    pub(crate) fn sqlite(file: &Path, doing: &'static str, error: &rusqlite::Error) -> Self {
        let (code, detail) = match error {
            // The log's index is the one file that SQLite makes as large as it will be; only room can be missing.
            rusqlite::Error::SqliteFailure(failure, _)
                if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
            {
                (ErrorCode::DiskFull, "no room for the index of its log".to_owned())
            }
            rusqlite::Error::SqliteFailure(failure, text) => {
                (failure.code, text.clone().unwrap_or_else(|| failure.to_string()))
            }
            // A column of another type than every release has written.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => {
                return Self::corrupt(file, error.to_string());
            }
            other => (ErrorCode::Unknown, other.to_string()),
        };
        if matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) {
            return Self::corrupt(file, detail);
        }
        Self::Unavailable { file: file.to_owned(), doing, cause: Cause::of_sqlite(code, file), detail }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding().fmt(f)
    }
}

impl std::error::Error for StoreError {}
