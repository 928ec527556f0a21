//! The file plane: names in, content out, and nothing from outside the folders that were opened at the start.
//!
//! TFTP and HTTP know only [`Content`]. A name that arrives here has been cleaned
//! ([`bootlace_wire::tftp::clean_name`]); the kernel (`openat2`) still holds every lookup beneath its folder.

mod mime;
mod pack;
mod plane;
mod reader;
mod root;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bootlace_core::boot::install::Packed;
use bytes::Bytes;

pub use mime::mime_of;
pub use plane::FilePlane;
pub use reader::{OpenFile, READ_BYTES, ReadNow};
pub use root::LINKS_MAX;

/// Something that can be served.
#[derive(Clone, Debug)]
pub struct Content {
    /// Length in bytes; what is served never exceeds it, even when the file grows meanwhile.
    pub len: u64,
    /// Media type.
    pub mime: &'static str,
    /// Which version of a file it is; `None` for what was made for one request.
    pub version: Option<Version>,
    /// Where the bytes are.
    pub body: Body,
}

/// Tells two contents of one name apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Entity tag with its quotes, strong: inode, time of change and length.
    pub etag: String,
    /// Last change in whole seconds since the epoch, as HTTP dates can say it.
    pub modified_secs: u64,
}

impl Version {
    /// Last change as a time.
    pub fn modified(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.modified_secs)
    }
}

/// The bytes of a [`Content`].
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(Arc<OpenFile>),
}

impl Content {
    /// A text made for one request.
    pub fn text(text: String, mime: &'static str) -> Self {
        Self { len: text.len() as u64, mime, version: None, body: Body::Bytes(Bytes::from(text)) }
    }

    /// A gzipped tar archive made for one request.
    pub(crate) fn archive(entries: &[Packed]) -> io::Result<Self> {
        let bytes = Bytes::from(pack::pack(entries)?);
        Ok(Self { len: bytes.len() as u64, mime: pack::MIME, version: None, body: Body::Bytes(bytes) })
    }

    /// Copies what lies at `offset` without waiting for a disk. Fewer bytes than asked for come near the end
    /// and where the next ones are not in memory; `Ready(0)` means the end (or an empty `into`).
    pub fn read_now(&self, offset: u64, into: &mut [u8]) -> io::Result<ReadNow> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = left.min(into.len());
        match (&self.body, into.get_mut(..want)) {
            (_, None | Some([])) => Ok(ReadNow::Ready(0)),
            (Body::File(file), Some(into)) => file.read_now(offset, into),
            (Body::Bytes(bytes), Some(into)) => {
                // `want` is not zero, so the offset lies inside the bytes.
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let source = bytes.get(from..).unwrap_or_default();
                let count = source.len().min(into.len());
                into[..count].copy_from_slice(&source[..count]);
                Ok(ReadNow::Ready(count))
            }
        }
    }
}

/// Why a name could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// There is no such file.
    Absent,
    /// There is something, and it is not served.
    Refused(&'static str),
    /// The image of a disc that the name leads through cannot be read.
    Image(bootlace_iso::Error),
    /// The file system failed.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no such file"),
            Self::Refused(why) => f.write_str(why),
            Self::Image(error) => error.fmt(f),
            Self::Io(error) => write!(f, "cannot open the file: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
