//! A file whose bytes are those of a disk, in place: no image, as it may change, and no overlay, as nothing is below.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, FlockOperation, SeekFrom};
use rustix::io::Errno;

use crate::{BLOCK_BYTES, Error, Extent, GRANULE_BYTES, Provisioning, Result};

/// Zeroes that are written at a time where the file system cannot make a hole.
const ZEROES_BYTES: u64 = 64 << 10;

/// Whether a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is not; others may read it, too.
    ReadOnly,
    /// It is, and nobody else of this program may open it.
    ReadWrite,
}

/// An open file.
#[derive(Debug)]
pub struct RawFile {
    file: fs::File,
    size: u64,
    access: Access,
    /// A sync has failed. The kernel has forgotten which pages that was about, so no later one can promise them.
    broken: AtomicBool,
}

impl RawFile {
    /// Opens a regular file that is there, and locks it against other users of disks.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let file = fs::File::options().read(true).write(access == Access::ReadWrite).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::Damaged("a disk must be a regular file"));
        }
        let size = metadata.len();
        if size == 0 || !size.is_multiple_of(BLOCK_BYTES) {
            return Err(Error::Damaged("a disk must have a length in whole blocks of 512 bytes"));
        }
        let lock = match access {
            Access::ReadOnly => FlockOperation::NonBlockingLockShared,
            Access::ReadWrite => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, lock) {
            Err(Errno::WOULDBLOCK) => return Err(Error::Busy),
            locked => locked?,
        }
        Ok(Self { file, size, access, broken: AtomicBool::new(false) })
    }

    /// Bytes, a multiple of [`BLOCK_BYTES`].
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it can be written.
    pub fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(into, offset)?)
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        Ok(self.file.write_all_at(bytes, offset)?)
    }

    /// Whole granules become a hole.
    pub(crate) fn unmap(&self, offset: u64, len: u64) -> Result<()> {
        let start = offset.next_multiple_of(GRANULE_BYTES);
        // The last one may be cut by the end of the disk.
        let end = offset + len;
        let end = if end == self.size { end } else { end - end % GRANULE_BYTES };
        if start >= end {
            return Ok(());
        }
        self.write_zeroes(start, end - start)
    }

    pub(crate) fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, hole, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.fill(offset, len),
            done => Ok(done?),
        }
    }

    /// What was written is durable, its length having been there before.
    pub(crate) fn flush(&self) -> Result<()> {
        if self.access == Access::ReadOnly {
            return Ok(());
        }
        if self.broken.load(Ordering::Acquire) {
            return Err(Error::Damaged("a sync of this disk has failed before"));
        }
        self.file.sync_data().inspect_err(|_| self.broken.store(true, Ordering::Release))?;
        Ok(())
    }

    /// Holes count as discarded, as far as the file system tells of them.
    pub(crate) fn lba_status(&self, offset: u64) -> Extent {
        let data = match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => data.min(self.size),
            Err(Errno::NXIO) => self.size,
            Err(_) => offset,
        };
        // Where data begin inside of a block, all of it has data.
        let data = data - data % BLOCK_BYTES;
        if data > offset {
            return Extent { len: data - offset, provisioning: Provisioning::Deallocated };
        }
        let hole = rustix::fs::seek(&self.file, SeekFrom::Hole(offset)).unwrap_or(self.size);
        let end = hole.next_multiple_of(BLOCK_BYTES).clamp(offset + BLOCK_BYTES, self.size);
        Extent { len: end - offset, provisioning: Provisioning::Mapped }
    }

    fn fill(&self, offset: u64, len: u64) -> Result<()> {
        let zeroes = vec![0; len.min(ZEROES_BYTES) as usize];
        let mut at = offset;
        while at < offset + len {
            let part = (offset + len - at).min(zeroes.len() as u64);
            self.write(at, &zeroes[..part as usize])?;
            at += part;
        }
        Ok(())
    }
}
