//! One server per state directory.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::StoreError;

/// The lock's file in the state directory. It holds the process id of its owner, for the message only.
const NAME: &str = "lock";

/// The claim on a state directory. The kernel ends it with the process, however that dies.
#[derive(Debug)]
pub(crate) struct StateLock {
    file: File,
}

impl StateLock {
    /// Claims `dir`, which is made when it does not exist: readable by its owner and group only, since leases
    /// and histories are nobody else's business.
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(dir)
            .map_err(|error| StoreError::io(dir, "make the directory", &error))?;
        let path = dir.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StoreError::io(&path, "open", &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io(&path, "lock", &error)),
        }
        sign(&mut file).map_err(|error| StoreError::io(&path, "write", &error))?;
        Ok(Self { file })
    }
}

impl Drop for StateLock {
    /// A child process between its fork and its exec shares the open file: closing ours would leave the claim to
    /// it for that moment.
    fn drop(&mut self) {
        // When even this fails, the claim ends with the process.
        let _ = self.file.unlock();
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    /// More digits than a process id has.
    const LEN_MAX: u64 = 16;
    let mut text = String::new();
    file.take(LEN_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_claim_is_free_whoever_shares_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StateLock::take(dir.path()).unwrap();
        let shared = lock.file.try_clone().unwrap();
        assert!(matches!(StateLock::take(dir.path()), Err(StoreError::Locked { .. })));
        drop(lock);
        StateLock::take(dir.path()).unwrap();
        drop(shared);
    }
}
