//! The state directory as a whole: looked through, copied away, put back.
//!
//! A backup is a folder with both databases, the file of adopted machines and a manifest. Each is a snapshot of one moment;
//! the moments differ a little, which is fine, since none refers to another.

mod backup;
mod disk;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{StoreError, journal, store};

pub use backup::backup;
pub(crate) use restore::finish as finish_restore;
pub use restore::{Backup, Restored};
pub use verify::{verify_journal, verify_leases};

/// Both databases.
const FILES: [&str; 2] = [store::FILE, journal::FILE];
/// The file of adopted machines, which is there where a server has run.
const ADOPTED: &str = "adopted/machines.toml";
/// What SQLite keeps beside a database, behind its name: the log and its index, and the rollback journal of a file that
/// is not in WAL mode.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The manifest's file in a backup. It is written last: a folder without it is no backup.
const MANIFEST: &str = "manifest.json";
/// The newest form of a manifest.
const FORMAT: u32 = 1;

/// What `bootlace.db` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasesFile {
    /// Its schema.
    pub schema: i64,
    /// Addresses with a lease of any state.
    pub leases: u64,
}

/// What `journal.db` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalFile {
    /// Its schema.
    pub schema: i64,
    /// Events.
    pub events: u64,
    /// Boots.
    pub sessions: u64,
    /// Machines that were seen.
    pub machines: u64,
}

/// What the file of adopted machines holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedFile {
    /// Its length.
    pub bytes: u64,
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this text: 1.
    format: u32,
    /// When it was made: RFC 3339, UTC.
    pub made: String,
    /// What is in `bootlace.db`.
    pub leases: LeasesFile,
    /// What is in `journal.db`.
    pub journal: JournalFile,
    /// What is in the file of adopted machines, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<AdoptedFile>,
}

/// Whether `dir` is a backup, rather than a server's state.
pub fn is_backup(dir: &Path) -> bool {
    dir.join(MANIFEST).exists()
}

/// Looks through a backup and holds it against its manifest.
pub fn verify_backup(dir: &Path) -> Result<Manifest, StoreError> {
    read_manifest(dir).and_then(|manifest| hold_all(dir, manifest)).map_err(StoreError::of_backup)
}

fn read_manifest(dir: &Path) -> Result<Manifest, StoreError> {
    let file = dir.join(MANIFEST);
    let text = std::fs::read_to_string(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            StoreError::unavailable(dir, "restore", "it is no backup: it has no manifest.json")
        }
        _ => StoreError::io(&file, "read", &error),
    })?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| StoreError::corrupt(&file, format!("it is no manifest: {error}")))?;
    match manifest.format {
        FORMAT => Ok(manifest),
        newer => Err(StoreError::Newer { file, found: newer.into(), known: FORMAT.into() }),
    }
}

fn hold_all(dir: &Path, manifest: Manifest) -> Result<Manifest, StoreError> {
    for name in FILES {
        is_closed(&dir.join(name))?;
    }
    hold(&dir.join(store::FILE), verify_leases(dir)?, manifest.leases)?;
    hold(&dir.join(journal::FILE), verify_journal(dir)?, manifest.journal)?;
    if let Some(said) = manifest.adopted {
        let file = dir.join(ADOPTED);
        hold(&file, adopted_in(&file)?, said)?;
    }
    Ok(manifest)
}

fn adopted_in(file: &Path) -> Result<AdoptedFile, StoreError> {
    let length = std::fs::metadata(file).map_err(|error| StoreError::io(file, "read", &error))?;
    Ok(AdoptedFile { bytes: length.len() })
}

/// A file of a backup is complete by itself. Beside one that somebody has opened and changed may lie what is not in it yet.
fn is_closed(file: &Path) -> Result<(), StoreError> {
    let changed = COMPANIONS.iter().map(|companion| with_suffix(file, companion)).find(|path| path.exists());
    match changed {
        None => Ok(()),
        Some(path) => {
            Err(StoreError::corrupt(file, format!("{} shows that something has opened it", path.display())))
        }
    }
}

fn hold<T: PartialEq + std::fmt::Debug>(file: &Path, found: T, said: T) -> Result<(), StoreError> {
    if found == said {
        return Ok(());
    }
    Err(StoreError::corrupt(file, format!("it holds {found:?}, the manifest says {said:?}")))
}

/// `path` with `suffix` behind its last name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
