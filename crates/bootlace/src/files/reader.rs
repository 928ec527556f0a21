//! Reading open files without holding a thread for a disk.

use std::fs::{self, File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{fstatfs, sendfile};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use bootlace_iso::{Piece, Source};

use super::Version;

/// What one visit to the disk reads: large enough that a spinning disk seeks rarely, small enough that a
/// thousand cold readers get their turns.
pub const READ_BYTES: usize = 256 * 1024;

/// Latest second that an HTTP date can say: the end of the year 9999.
const HTTP_DATE_SECS_MAX: u64 = 253_402_300_799;

/// File systems that are nothing but memory and do not know RWF_NOWAIT, by `statfs` magic.
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// A regular file, or one inside an image of a disc, open for reading at any offset by any number of readers.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    layout: Layout,
    len: u64,
    version: Version,
    /// Set by the first read that finds RWF_NOWAIT unknown.
    without_nowait: OnceLock<Medium>,
}

/// Where the bytes are in what the kernel has open.
#[derive(Debug)]
enum Layout {
    /// It is all of it.
    Whole,
    /// In these parts, each with the offset that it has in the file that is served.
    Pieces(Vec<(u64, Piece)>),
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
        let version = Version { etag, modified_secs };
        Self { file, layout: Layout::Whole, len, version, without_nowait: OnceLock::new() }
    }

    /// The file inside this image whose bytes are those of the pieces. It is another version when the image is.
    pub(super) fn member(self, pieces: &[Piece]) -> Self {
        let mut len = 0;
        let mut placed = Vec::with_capacity(pieces.len());
        for piece in pieces {
            placed.push((len, *piece));
            len += piece.len;
        }
        let first = pieces.first().map_or(0, |piece| piece.at);
        let etag = format!("{}-{first:x}-{len:x}\"", self.version.etag.trim_end_matches('"'));
        let version = Version { etag, ..self.version };
        Self { layout: Layout::Pieces(placed), len, version, ..self }
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
        let Some((offset, into)) = self.place_in(offset, into) else { return Ok(ReadNow::Ready(0)) };
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
        if let Some(Medium::Memory) = self.without_nowait.get() {
            return Ok(true);
        }
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
        let Some((mut offset, left)) = self.place(offset) else { return Ok(0) };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        Ok(sendfile(socket, &self.file, Some(&mut offset), len)?)
    }

    /// Where the byte at `offset` is in the open file, and how many follow it there.
    fn place(&self, offset: u64) -> Option<(u64, u64)> {
        let Layout::Pieces(pieces) = &self.layout else { return Some((offset, u64::MAX)) };
        let (start, piece) = pieces[..pieces.partition_point(|(start, _)| *start <= offset)].last()?;
        let skip = offset - start;
        (skip < piece.len).then(|| (piece.at + skip, piece.len - skip))
    }

    /// The same with the part of a buffer that can be filled there.
    fn place_in<'b>(&self, offset: u64, into: &'b mut [u8]) -> Option<(u64, &'b mut [u8])> {
        let (at, left) = self.place(offset)?;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        Some((at, &mut into[..len]))
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
            let Some((at, rest)) = self.place_in(offset + done as u64, &mut into[done..]) else { break };
            match self.file.read_at(rest, at) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// An image of a disc, read when somebody asks for a file in it.
impl Source for OpenFile {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.read_waiting(offset, into)
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A file in three parts of another, which are not in order.
    fn in_parts() -> OpenFile {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        let metadata = file.metadata().unwrap();
        let pieces = [(7, 3), (0, 2), (4, 1)].map(|(at, len)| Piece { at, len });
        OpenFile::new(file, &metadata).member(&pieces)
    }

    const BYTES: &[u8] = b"789014";

    #[test]
    fn parts_are_read_in_their_order_from_any_offset() {
        let file = in_parts();
        assert_eq!(file.len(), BYTES.len() as u64);
        for from in 0..=BYTES.len() + 1 {
            for len in 0..=BYTES.len() + 1 {
                let expected: Vec<u8> = BYTES.iter().copied().skip(from).take(len).collect();
                let mut bytes = vec![0; len];
                let count = file.read_waiting(from as u64, &mut bytes).unwrap();
                assert_eq!(bytes[..count], expected, "{len} bytes at {from}");
                let count = match file.read_now(from as u64, &mut bytes).unwrap() {
                    ReadNow::Ready(count) => count,
                    ReadNow::WouldBlock => panic!("it was just written"),
                };
                assert_eq!(bytes[..count], expected[..count], "without waiting");
                assert_eq!(count == 0, expected.is_empty(), "{len} bytes at {from}");
            }
        }
    }

    #[test]
    fn the_kernel_sends_one_part_at_a_time() {
        let file = in_parts();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut at = 0;
        while at < BYTES.len() as u64 {
            let sent = file.send(ours.as_fd(), at, 100).unwrap();
            assert!((1..=3).contains(&sent), "a part has 3 bytes at most: {sent}");
            at += sent as u64;
        }
        assert_eq!(file.send(ours.as_fd(), at, 100).unwrap(), 0, "the end");
        drop(ours);
        let mut got = Vec::new();
        io::Read::read_to_end(&mut theirs, &mut got).unwrap();
        assert_eq!(got, BYTES);
    }

    #[test]
    fn files_of_one_image_are_told_apart() {
        let whole = in_parts();
        let tag = |pieces: &[Piece]| in_parts().member(pieces).version().etag.clone();
        let one = tag(&[Piece { at: 0, len: 2 }]);
        assert!(one.starts_with('"') && one.ends_with('"'));
        assert_ne!(one, tag(&[Piece { at: 2, len: 2 }]));
        assert_ne!(&one, &whole.version().etag);
    }
}
