//! Files inside images of optical discs: ISO 9660 (ECMA-119) with Rock Ridge or Joliet, and UDF (ECMA-167).
//!
//! [`find`] says where in the image the bytes of a file are. Nothing is mounted, unpacked or copied, and no privilege
//! is needed. The image is untrusted: whatever it says, a lookup ends, reads no more than the limits below allow,
//! and names no byte outside the image.
#![forbid(unsafe_code)]

mod iso9660;
mod path;
mod udf;
mod window;

use std::fmt;
use std::io;

use path::Path;
use window::Window;

/// Bytes of one sector: all that discs of data ever had.
const SECTOR_BYTES: u64 = 2048;

/// Bytes of one folder's list of entries: a hundred thousand entries of usual length.
pub const FOLDER_BYTES_MAX: u64 = 16 << 20;

/// Parts that one file may be in: 16 TiB in parts of the size that ISO 9660 can say.
pub const PIECES_MAX: usize = 4096;

/// Symbolic links that one path may go through.
pub const LINKS_MAX: usize = 16;

/// Where the bytes of an image come from.
pub trait Source {
    /// Bytes of the whole image.
    fn size(&self) -> u64;

    /// Reads at `offset`, fewer bytes only where the image ends.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// A part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First byte, from the beginning of the image.
    pub at: u64,
    /// Bytes.
    pub len: u64,
}

/// What a path in an image leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file: its bytes are those of the pieces, in this order. None for an empty one.
    File(Vec<Piece>),
    /// A folder.
    Folder,
}

/// Why a path leads nowhere.
#[derive(Debug)]
pub enum Error {
    /// There is neither an ISO 9660 nor a UDF file system.
    NotAnImage,
    /// There is no such file.
    Absent,
    /// The image contradicts itself, or ends too early.
    Damaged(String),
    /// The image uses what is not read here.
    Unsupported(&'static str),
    /// Reading the image failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnImage => f.write_str("neither ISO 9660 nor UDF"),
            Self::Absent => f.write_str("no such file in the image"),
            Self::Damaged(how) => write!(f, "the image is damaged: {how}"),
            Self::Unsupported(what) => write!(f, "the image is not read: {what}"),
            Self::Io(error) => write!(f, "the image cannot be read: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Finds a file by its path from the root of the image, with `/` between the names.
///
/// Names are those that Linux shows when it mounts the image: Rock Ridge's before Joliet's before plain ones, the
/// last two without version and in either case. Where an image has UDF as well, the longer file counts: ISO 9660
/// may end one of more than 4 GiB early, and UDF may have an empty file in the place of a link.
pub fn find(source: &dyn Source, path: &str) -> Result<Entry, Error> {
    let mut window = Window::new(source);
    let udf = udf::find(&mut window, Path::new(path));
    let iso = iso9660::find(window, Path::new(path));
    let found = match (udf, iso) {
        (Ok(udf), Ok(iso)) if iso.len() < udf.len() => udf,
        (Ok(udf), Err(_)) => udf,
        (_, Ok(iso)) => iso,
        (Err(udf), Err(Error::NotAnImage)) => return Err(udf),
        (Err(_), Err(iso)) => return Err(iso),
    };
    match &found {
        Entry::File(pieces) if pieces.len() > PIECES_MAX => {
            Err(Error::Unsupported("a file in too many parts"))
        }
        Entry::File(pieces) if pieces.iter().any(|piece| !piece.is_within(source.size())) => {
            Err(Error::Damaged("a file lies beyond its end".to_owned()))
        }
        _ => Ok(found),
    }
}

impl Entry {
    fn len(&self) -> u64 {
        match self {
            Self::File(pieces) => pieces.iter().fold(0, |sum, piece| piece.len.saturating_add(sum)),
            Self::Folder => 0,
        }
    }
}

impl Piece {
    fn is_within(&self, size: u64) -> bool {
        self.at.checked_add(self.len).is_some_and(|end| end <= size)
    }
}

/// Adds a part to those before, as one with the last where they touch: most files over 4 GiB lie in one place.
fn join(pieces: &mut Vec<Piece>, next: Piece) {
    match pieces.last_mut() {
        Some(last) if last.at.checked_add(last.len) == Some(next.at) => {
            last.len = last.len.saturating_add(next.len);
        }
        _ if next.len == 0 => {}
        _ => pieces.push(next),
    }
}

/// An image in memory.
impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.get(from..)).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
