//! What a target serves.

use std::sync::Arc;

use crate::{Access, BLOCK_BYTES, Error, Image, Overlay, RawFile, Result};

/// A disk that a machine sees: an image itself, an overlay over one, or a file in place.
#[derive(Debug)]
pub enum Disk {
    /// Read-only, shared by any number of machines.
    Image(Arc<Image>),
    /// Of one machine.
    Overlay(Box<Overlay>),
    /// Whose bytes are those of the file.
    File(RawFile),
}

impl From<Overlay> for Disk {
    fn from(overlay: Overlay) -> Self {
        Self::Overlay(Box::new(overlay))
    }
}

/// Whether blocks take space, as GET LBA STATUS tells it (SBC-4 5.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// They have content, of the image or of the overlay.
    Mapped,
    /// They were discarded and read as zeroes.
    Deallocated,
}

/// Blocks that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes from the offset that was asked about.
    pub len: u64,
    /// What they are.
    pub provisioning: Provisioning,
}

impl Disk {
    /// Bytes, a multiple of [`BLOCK_BYTES`].
    pub fn size(&self) -> u64 {
        match self {
            Self::Image(image) => image.size(),
            Self::Overlay(overlay) => overlay.size(),
            Self::File(file) => file.size(),
        }
    }

    /// Fills `into` from `offset`. Beside a write to the same blocks, each block is as before it or after it.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        check_range(self.size(), offset, into.len() as u64)?;
        match self {
            Self::Image(image) => image.read(offset, into),
            Self::Overlay(overlay) => overlay.read(offset, into),
            Self::File(file) => file.read(offset, into),
        }
    }

    /// Writes `bytes` at `offset`; they are durable after the next [`Self::flush`].
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        match self.writable(offset, bytes.len() as u64)? {
            Writable::Overlay(overlay) => overlay.write(offset, bytes),
            Writable::File(file) => file.write(offset, bytes),
        }
    }

    /// Discards blocks: whole granules read as zeroes from now on, parts of granules keep what they have.
    pub fn unmap(&self, offset: u64, len: u64) -> Result<()> {
        match self.writable(offset, len)? {
            Writable::Overlay(overlay) => overlay.unmap(offset, len),
            Writable::File(file) => file.unmap(offset, len),
        }
    }

    /// Makes blocks read as zeroes, with as little space as that takes.
    pub fn write_zeroes(&self, offset: u64, len: u64) -> Result<()> {
        match self.writable(offset, len)? {
            Writable::Overlay(overlay) => overlay.write_zeroes(offset, len),
            Writable::File(file) => file.write_zeroes(offset, len),
        }
    }

    /// Makes durable all that was written or discarded before. Calls at the same time share their syncs.
    pub fn flush(&self) -> Result<()> {
        match self {
            Self::Image(_) => Ok(()),
            Self::Overlay(overlay) => overlay.flush(),
            Self::File(file) => file.flush(),
        }
    }

    /// Says that what it holds is not needed any more: its end then costs no flush.
    pub fn retire(&self) {
        if let Self::Overlay(overlay) = self {
            overlay.retire();
        }
    }

    /// The blocks from `offset` that are alike, at least one.
    pub fn lba_status(&self, offset: u64) -> Result<Extent> {
        check_range(self.size(), offset, BLOCK_BYTES)?;
        Ok(match self {
            Self::Image(image) => Extent { len: image.size() - offset, provisioning: Provisioning::Mapped },
            Self::Overlay(overlay) => overlay.lba_status(offset),
            Self::File(file) => file.lba_status(offset),
        })
    }

    fn writable(&self, offset: u64, len: u64) -> Result<Writable<'_>> {
        check_range(self.size(), offset, len)?;
        match self {
            Self::Image(_) => Err(Error::ReadOnly),
            Self::File(file) if file.access() == Access::ReadOnly => Err(Error::ReadOnly),
            Self::Overlay(overlay) => Ok(Writable::Overlay(overlay)),
            Self::File(file) => Ok(Writable::File(file)),
        }
    }
}

/// What can be written of a disk.
enum Writable<'a> {
    Overlay(&'a Overlay),
    File(&'a RawFile),
}

/// Whether a range is in whole blocks and inside the disk.
fn check_range(size: u64, offset: u64, len: u64) -> Result<()> {
    let end = offset.checked_add(len).ok_or(Error::OutOfRange)?;
    let whole = offset.is_multiple_of(BLOCK_BYTES) && len.is_multiple_of(BLOCK_BYTES);
    if whole && end <= size { Ok(()) } else { Err(Error::OutOfRange) }
}
