//! Reading an image through one buffer: entries are small and lie side by side.

use std::io::{self, Read, Seek, SeekFrom};

use crate::{Error, Source};

/// Bytes that one read of the image fetches.
const WINDOW_BYTES: u64 = 64 << 10;

/// A place in an image, and the bytes around it.
pub(crate) struct Window<'s> {
    source: &'s dyn Source,
    at: u64,
    /// Where the buffer's first byte is from.
    start: u64,
    buffer: Vec<u8>,
}

impl<'s> Window<'s> {
    pub(crate) fn new(source: &'s dyn Source) -> Self {
        Self { source, at: 0, start: 0, buffer: Vec::new() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.source.size()
    }

    /// Exactly `len` bytes at `at`.
    pub(crate) fn bytes(&mut self, at: u64, len: usize) -> Result<Vec<u8>, Error> {
        if at.checked_add(len as u64).is_none_or(|end| end > self.size()) {
            return Err(Error::Damaged("it ends too early".to_owned()));
        }
        let mut bytes = vec![0; len];
        self.at = at;
        self.read_exact(&mut bytes).map_err(Error::Io)?;
        Ok(bytes)
    }

    /// The buffered bytes from the place on.
    fn buffered(&self) -> &[u8] {
        let skip = self.at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.start = self.at - self.at % WINDOW_BYTES;
        self.buffer.resize(WINDOW_BYTES as usize, 0);
        let count = self.source.read_at(self.start, &mut self.buffer);
        self.buffer.truncate(*count.as_ref().unwrap_or(&0));
        count.map(drop)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() {
            self.fill()?;
        }
        let buffered = self.buffered();
        let count = buffered.len().min(into.len());
        into[..count].copy_from_slice(&buffered[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
