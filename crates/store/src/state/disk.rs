//! Files that are there after a power loss.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::StoreError;

/// Readable by the owner and the group only, as the state is.
const FILE_MODE: u32 = 0o640;

/// Writes a new file, and returns when its bytes are on the disk. Its name is there for good after [`sync_folder`]. What a
/// failed attempt has left at the name goes; a link there is not followed.
pub(super) fn write(path: &Path, content: &mut impl Read) -> Result<(), StoreError> {
    let mut run = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        io::copy(content, &mut file)?;
        file.sync_all()
    };
    run().map_err(|error| StoreError::io(path, "write", &error))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|error| StoreError::io(from, "rename", &error))
}

/// Makes the bytes of a file durable that somebody else has written.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    let sync = || File::open(path)?.sync_all();
    sync().map_err(|error| StoreError::io(path, "sync", &error))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    sync_file(path)
}
