//! File entries: what something is, and where its bytes are (ECMA-167, 4/14.9 and 4/14.17).

use super::volume::{Location, Volume, field, tag};
use crate::window::Window;
use crate::{Error, PIECES_MAX, Piece, SECTOR_BYTES, join};

/// What a file entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    /// A device, a link, a stream.
    Other,
}

/// A file entry, read.
pub(super) struct Icb {
    pub(super) kind: Kind,
    /// Cut to the length that it says.
    pub(super) pieces: Vec<Piece>,
}

/// How the places of the bytes are written down: in the entry, or as descriptors of two sizes.
#[derive(Clone, Copy)]
enum Form {
    Short,
    Long,
}

const FILE_ENTRY: u16 = 261;
const EXTENDED_FILE_ENTRY: u16 = 266;
const CONTINUATION: u16 = 258;

impl Icb {
    pub(super) fn read(window: &mut Window<'_>, volume: &Volume, location: Location) -> Result<Self, Error> {
        let damaged = || Error::Damaged("a file entry of UDF is broken".to_owned());
        let at = volume.at(location)?;
        let entry = window.bytes(at, SECTOR_BYTES as usize)?;
        let (lengths, body) = match tag(&entry) {
            Some(FILE_ENTRY) => (168, 176),
            Some(EXTENDED_FILE_ENTRY) => (208, 216),
            _ => return Err(damaged()),
        };
        let kind = match entry[27] {
            4 => Kind::Folder,
            0 | 5 => Kind::File,
            _ => Kind::Other,
        };
        let len = u64::from(field(&entry, 56)?) | u64::from(field(&entry, 60)?) << 32;
        let (attributes, list) = (field(&entry, lengths)? as usize, field(&entry, lengths + 4)? as usize);
        let start = body + attributes.min(entry.len());
        let list = entry.get(start..).and_then(|rest| rest.get(..list)).ok_or_else(damaged)?;
        let form = match entry[34] & 7 {
            0 => Form::Short,
            1 => Form::Long,
            3 if len <= list.len() as u64 => {
                return Ok(Self { kind, pieces: vec![Piece { at: at + start as u64, len }] });
            }
            _ => return Err(damaged()),
        };
        let pieces = extents(window, volume, location, form, list)?;
        Ok(Self { kind, pieces: cut(pieces, len).ok_or_else(damaged)? })
    }
}

/// The parts that a list of allocation descriptors names, through its continuations.
fn extents(
    window: &mut Window<'_>,
    volume: &Volume,
    entry: Location,
    form: Form,
    list: &[u8],
) -> Result<Vec<Piece>, Error> {
    let damaged = || Error::Damaged("a file of UDF lies nowhere".to_owned());
    let mut pieces = Vec::new();
    let mut list = list.to_vec();
    let mut continued = 0;
    'lists: loop {
        for descriptor in list.chunks_exact(form.size()) {
            let (len, place) = form.read(entry, descriptor).ok_or_else(damaged)?;
            let (kind, len) = (len >> 30, u64::from(len & 0x3fff_ffff));
            match kind {
                _ if len == 0 => break 'lists,
                0 => join(&mut pieces, Piece { at: volume.at(place)?, len }),
                3 => {
                    continued += 1;
                    if continued > PIECES_MAX {
                        return Err(damaged());
                    }
                    list = continuation(window, volume.at(place)?)?;
                    continue 'lists;
                }
                _ => return Err(Error::Unsupported("a sparse file")),
            }
            if pieces.len() > PIECES_MAX {
                return Err(Error::Unsupported("a file in too many parts"));
            }
        }
        break;
    }
    Ok(pieces)
}

/// The descriptors of an allocation extent descriptor (ECMA-167, 4/14.5).
fn continuation(window: &mut Window<'_>, at: u64) -> Result<Vec<u8>, Error> {
    let damaged = || Error::Damaged("a file of UDF goes on nowhere".to_owned());
    let block = window.bytes(at, SECTOR_BYTES as usize)?;
    if tag(&block) != Some(CONTINUATION) {
        return Err(damaged());
    }
    let len = field(&block, 20)? as usize;
    block[24..].get(..len).map(<[u8]>::to_vec).ok_or_else(damaged)
}

impl Form {
    fn size(self) -> usize {
        match self {
            Self::Short => 8,
            Self::Long => 16,
        }
    }

    fn read(self, entry: Location, descriptor: &[u8]) -> Option<(u32, Location)> {
        match self {
            Self::Long => Location::long(descriptor),
            Self::Short => {
                let (len, block) = (field(descriptor, 0).ok()?, field(descriptor, 4).ok()?);
                Some((len, entry.beside(block)))
            }
        }
    }
}

/// The first `len` bytes of the parts; `None` when they are fewer.
fn cut(pieces: Vec<Piece>, len: u64) -> Option<Vec<Piece>> {
    let mut left = len;
    let mut kept = Vec::new();
    for piece in pieces {
        let len = piece.len.min(left);
        join(&mut kept, Piece { len, ..piece });
        left -= len;
    }
    (left == 0).then_some(kept)
}
