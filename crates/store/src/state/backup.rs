//! A copy of the state, made beside a running server.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bootlace_core::model::Timestamp;

use super::{
    ADOPTED, AdoptedFile, FILES, FORMAT, MANIFEST, Manifest, adopted_in, disk, verify_journal, verify_leases,
};
use crate::db::Db;
use crate::{StoreError, one_shots, store};

/// Readable by its owner and group only, as the state is.
pub(super) const FOLDER_MODE: u32 = 0o750;

/// Makes the folder `to` with a copy of the state in `dir`. It takes no lock, and a running server does not notice.
///
/// The folder appears whole and durable, or not at all; one that is there already is never written to. A database with
/// damage is not copied: a backup that cannot be restored is worse than none.
pub fn backup(dir: &Path, to: &Path, at: Timestamp) -> Result<Manifest, StoreError> {
    if to.exists() {
        return Err(taken(to));
    }
    verify_leases(dir)?;
    verify_journal(dir)?;
    let partial = partial(to)?;
    let made = DirBuilder::new().mode(FOLDER_MODE).create(&partial);
    made.map_err(|error| StoreError::io(&partial, "make the folder", &error))?;
    let done = fill(dir, &partial, at).and_then(|manifest| {
        fs::rename(&partial, to).map_err(|error| match error.kind() {
            // Somebody else's, made meanwhile.
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => taken(to),
            _ => StoreError::io(to, "make the folder", &error),
        })?;
        disk::sync_folder(folder_of(to))?;
        Ok(manifest)
    });
    if done.is_err() {
        // The reason counts; what is left over bears a name that says what it is.
        let _ = fs::remove_dir_all(&partial);
    }
    done
}

/// Copies, checks the copies, and signs them.
fn fill(dir: &Path, to: &Path, at: Timestamp) -> Result<Manifest, StoreError> {
    for name in FILES {
        let copy = to.join(name);
        Db::open_as_is(dir.join(name))?.copy_to(&copy)?;
        if name == store::FILE {
            one_shots::leave_out_of(&copy)?;
        }
        disk::sync_file(&copy)?;
    }
    let (leases, journal, adopted) = (verify_leases(to)?, verify_journal(to)?, copy_adopted(dir, to)?);
    let manifest = Manifest { format: FORMAT, made: at.to_string(), leases, journal, adopted };
    let file = to.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| StoreError::unavailable(&file, "write", &error.to_string()))?;
    disk::write(&file, &mut format!("{text}\n").as_bytes())?;
    disk::sync_folder(to)?;
    Ok(manifest)
}

/// The file of adopted machines is replaced whole, so whoever has it open has one moment of it. Before the first start of a
/// server that adopts there is none.
fn copy_adopted(dir: &Path, to: &Path) -> Result<Option<AdoptedFile>, StoreError> {
    let (from, copy) = (dir.join(ADOPTED), to.join(ADOPTED));
    let mut from = match File::open(&from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| StoreError::io(&from, "read", &error))?,
    };
    let folder = folder_of(&copy);
    let made = DirBuilder::new().mode(FOLDER_MODE).create(folder);
    made.map_err(|error| StoreError::io(folder, "make the folder", &error))?;
    disk::write(&copy, &mut from)?;
    disk::sync_folder(folder)?;
    adopted_in(&copy).map(Some)
}

fn taken(to: &Path) -> StoreError {
    StoreError::unavailable(to, "make the backup", "it is there already; name a folder that is not")
}

/// Where it grows: beside its place, so that it takes it by a rename.
fn partial(to: &Path) -> Result<PathBuf, StoreError> {
    let Some(name) = to.file_name() else { return Err(taken(to)) };
    let name = format!(".{}.partial-{}", name.to_string_lossy(), std::process::id());
    Ok(folder_of(to).join(name))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
