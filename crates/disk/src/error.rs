//! Why a disk did not do what it was told, in the classes that a target answers differently.

use std::{fmt, io};

/// A [`std::result::Result`] with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed. A write that failed may have changed any of its own blocks, and no other.
#[derive(Debug)]
pub enum Error {
    /// The file system has no space left (ENOSPC, EDQUOT). SCSI: DATA PROTECT, space allocation failed write protect.
    NoSpace,
    /// The overlay may not grow further. SCSI: as `NoSpace`.
    Quota,
    /// The range is not in blocks, or ends behind the disk. SCSI: ILLEGAL REQUEST, LBA out of range.
    OutOfRange,
    /// The disk is an image. SCSI: DATA PROTECT, write protected.
    ReadOnly,
    /// The overlay was made over another image, or over this one before it changed.
    WrongImage,
    /// The generation was replaced by a newer one.
    Superseded,
    /// Another process or session has the overlay open.
    Busy,
    /// A file is not what this program wrote; the text says which part.
    Damaged(&'static str),
    /// Reading or writing failed. SCSI: MEDIUM ERROR.
    Medium(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => f.write_str("no space left on the file system"),
            Self::Quota => f.write_str("the overlay has reached its quota"),
            Self::OutOfRange => f.write_str("not a range of blocks of this disk"),
            Self::ReadOnly => f.write_str("the disk is read-only"),
            Self::WrongImage => f.write_str("the overlay belongs to another image"),
            Self::Superseded => f.write_str("a newer generation has replaced this one"),
            Self::Busy => f.write_str("the overlay is in use"),
            Self::Damaged(part) => write!(f, "damaged: {part}"),
            Self::Medium(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Medium(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Medium(error),
        }
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}
