//! Reading open files without holding a thread for a disk.

use std::fs::{self, File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{fstatfs, sendfile};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::Version;

/// What one visit to the disk reads: large enough that a spinning disk seeks rarely, small enough that a
/// thousand cold readers get their turns.
pub const READ_BYTES: usize = 256 * 1024;

/// Latest second that an HTTP date can say: the end of the year 9999.
const HTTP_DATE_SECS_MAX: u64 = 253_402_300_799;

/// File systems that are nothing but memory and do not know RWF_NOWAIT, by `statfs` magic.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// A regular file, open for reading at any offset by any number of readers.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    len: u64,
    version: Version,
    /// Set by the first read that finds RWF_NOWAIT unknown.
    without_nowait: OnceLock<Medium>,
}

/// Where the bytes of a file are when its file system does not know RWF_NOWAIT.
#[derive(Clone, Copy, Debug)]
enum Medium {
    /// In memory: a plain read does not wait.
    Memory,
    /// Behind a disk, a network or FUSE: every read may wait.
    Elsewhere,
}

/// What a read without waiting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadNow {
    /// So many bytes were copied, perhaps fewer than asked for.
    Ready(usize),
    /// None is in memory: ask [`OpenFile::read_waiting`] on a thread that may block.
    WouldBlock,
}

impl OpenFile {
    /// Takes over an open file whose `metadata` say that it is a regular one.
    pub(super) fn new(file: File, metadata: &Metadata) -> Self {
        let (len, secs) = (metadata.len(), metadata.mtime());
        let nanos = i128::from(secs) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let etag = format!("\"{:x}-{:x}-{:x}\"", metadata.ino(), nanos, len);
        let modified_secs = u64::try_from(secs).unwrap_or(0).min(HTTP_DATE_SECS_MAX);
        Self { file, len, version: Version { etag, modified_secs }, without_nowait: OnceLock::new() }
    }

    /// Length when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Where it is, by the kernel's word, without links.
    pub fn path(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()
    }

    /// It was empty when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its version when it was opened.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Reads what the page cache has at `offset` (preadv2 with RWF_NOWAIT). `Ready(0)` is the end of the file.
    pub fn read_now(&self, offset: u64, into: &mut [u8]) -> io::Result<ReadNow> {
        match self.without_nowait.get() {
            Some(medium) => self.read_on(*medium, offset, into),
            None => match preadv2(&self.file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT) {
                Ok(count) => Ok(ReadNow::Ready(count)),
                Err(Errno::AGAIN | Errno::INTR) => Ok(ReadNow::WouldBlock),
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.read_on(*self.without_nowait.get_or_init(|| medium_of(&self.file)), offset, into)
                }
                Err(errno) => Err(errno.into()),
            },
        }
    }

    /// Whether `len` bytes at `offset` can be had without waiting. Looks at the last byte and one of each
    /// [`READ_BYTES`]: the kernel reads and drops files in larger pieces, and where it did not, one short wait is the
    /// price.
    pub fn is_in_memory(&self, offset: u64, len: usize) -> io::Result<bool> {
        let last = (offset + len as u64).saturating_sub(1);
        for at in (offset..last).step_by(READ_BYTES).chain([last]) {
            // The end of a file that became shorter is for a read to find.
            if !matches!(self.read_now(at, &mut [0])?, ReadNow::Ready(1)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has the kernel send `len` bytes at `offset` into a socket, which must not block. Says how many it took: none
    /// where the file ends.
    pub fn send(&self, socket: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<usize> {
        Ok(sendfile(socket, &self.file, Some(&mut { offset }), len)?)
    }

    fn read_on(&self, medium: Medium, offset: u64, into: &mut [u8]) -> io::Result<ReadNow> {
        match medium {
            Medium::Memory => self.file.read_at(into, offset).map(ReadNow::Ready),
            Medium::Elsewhere => Ok(ReadNow::WouldBlock),
        }
    }

    /// Reads at `offset`, waiting for the disk, until `into` is full or the file ends.
    pub fn read_waiting(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.file.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

fn medium_of(file: &File) -> Medium {
    // The type of `f_type` differs between targets; its magic numbers are 32 bits wide.
    let magic = fstatfs(file).map(|stat| stat.f_type as u64 & 0xffff_ffff);
    match magic {
        Ok(TMPFS_MAGIC | RAMFS_MAGIC) => Medium::Memory,
        _ => Medium::Elsewhere,
    }
}
