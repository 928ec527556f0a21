//! What can go wrong with a state directory, in words for whoever runs it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store or the journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process serves from this directory.
    #[error("{} is in use by another Bootlace{}; stop that one, or give this one its own state_dir",
        dir.display(), holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// The process that holds it, when its lock file says so.
        holder: Option<u32>,
    },
    /// A later release has changed the file's schema.
    #[error("{} was written by a newer Bootlace (schema {found}, this one knows {known}); run that release",
        file.display())]
    Newer {
        /// The database file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this release.
        known: i64,
    },
    /// The file is no database, or what it holds cannot be true.
    #[error("{} is damaged: {detail}; keep a copy of it, then restore a backup or move the file away \
             (with bootlace.db go the leases, with journal.db the history)", file.display())]
    Corrupt {
        /// The database file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The file cannot be read or written now.
    #[error("cannot {doing} {}: {reason}", file.display())]
    Unavailable {
        /// The file or directory.
        file: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed, and what to do about it.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn io(file: &Path, doing: &'static str, error: &std::io::Error) -> Self {
        Self::Unavailable { file: file.to_owned(), doing, reason: error.to_string() }
    }

    pub(crate) fn corrupt(file: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), detail: detail.into() }
    }

    pub(crate) fn sqlite(file: &Path, doing: &'static str, error: &rusqlite::Error) -> Self {
        let (code, detail) = match error {
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
        let advice = match code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => return Self::corrupt(file, detail),
            ErrorCode::DiskFull => "; the disk is full: free some space",
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                "; the user that runs bootlace must own state_dir and be able to write there"
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                "; another program holds the file: close it"
            }
            ErrorCode::SystemIoFailure => "; the kernel log says more about the disk",
            _ => "",
        };
        Self::Unavailable { file: file.to_owned(), doing, reason: format!("{detail}{advice}") }
    }
}
