//! UDF (ECMA-167 and OSTA's UDF 1.02 to 2.01): the file system of DVDs, and of Windows' installation images.
//!
//! Our own reader, since those that exist hand out whole files and not the places of their bytes. It reads what
//! mastering programs write: one physical partition, files in extents or within their entry. Not read are
//! partitions of rewritable discs (virtual, sparable, with metadata of their own) and sparse files.

mod icb;
mod volume;

use crate::path::{Path, Step};
use crate::window::Window;
use crate::{Entry, Error, FOLDER_BYTES_MAX};

use icb::{Icb, Kind};
use volume::{Location, Volume};

/// Follows `path` from the root of the file set.
pub(crate) fn find(window: &mut Window<'_>, mut path: Path) -> Result<Entry, Error> {
    let volume = Volume::open(window)?;
    let mut way = vec![volume.root];
    while let Some(step) = path.next() {
        let name = match step {
            Step::Up if way.len() > 1 => {
                way.pop();
                continue;
            }
            Step::Up => return Err(Error::Absent),
            Step::Into(name) => name,
        };
        let here = *way.last().unwrap_or(&volume.root);
        let found = look_up(window, &volume, here, &name)?.ok_or(Error::Absent)?;
        let icb = Icb::read(window, &volume, found)?;
        match icb.kind {
            Kind::Folder => way.push(found),
            Kind::File if path.is_done() => return Ok(Entry::File(icb.pieces)),
            Kind::File => return Err(Error::Absent),
            Kind::Other => return Err(Error::Unsupported("neither a file nor a folder")),
        }
    }
    Ok(Entry::Folder)
}

/// Where the entry `name` of a folder is.
fn look_up(
    window: &mut Window<'_>,
    volume: &Volume,
    folder: Location,
    name: &str,
) -> Result<Option<Location>, Error> {
    let icb = Icb::read(window, volume, folder)?;
    let total: u64 = icb.pieces.iter().map(|piece| piece.len).sum();
    if icb.kind != Kind::Folder {
        return Err(Error::Absent);
    }
    if total > FOLDER_BYTES_MAX {
        return Err(Error::Unsupported("a folder has too many entries"));
    }
    let mut list = Vec::new();
    for piece in &icb.pieces {
        // Below FOLDER_BYTES_MAX.
        list.extend(window.bytes(piece.at, piece.len as usize)?);
    }
    let mut rest = &list[..];
    while !rest.is_empty() {
        let (entry, after) = Identifier::read(rest)?;
        if entry.name.as_deref() == Some(name) {
            return Ok(Some(entry.icb));
        }
        rest = after;
    }
    Ok(None)
}

/// A file identifier descriptor (ECMA-167, 4/14.4).
struct Identifier {
    /// `None`: the parent, or an entry that was deleted.
    name: Option<String>,
    icb: Location,
}

impl Identifier {
    const TAG: u16 = 257;
    const DELETED: u8 = 1 << 2;
    const PARENT: u8 = 1 << 3;

    /// Reads the first one of `list`; says what follows it.
    fn read(list: &[u8]) -> Result<(Self, &[u8]), Error> {
        let damaged = || Error::Damaged("a folder's list is broken".to_owned());
        let head = list.first_chunk::<38>().ok_or_else(damaged)?;
        if u16::from_le_bytes([head[0], head[1]]) != Self::TAG {
            return Err(damaged());
        }
        let (characteristics, name_len) = (head[18], usize::from(head[19]));
        let name_at = 38 + usize::from(u16::from_le_bytes([head[36], head[37]]));
        let name = list.get(name_at..name_at + name_len).ok_or_else(damaged)?;
        let hidden = characteristics & (Self::DELETED | Self::PARENT) != 0;
        let this = Self {
            name: (!hidden).then(|| text(name)),
            icb: Location::long(&head[20..36]).ok_or_else(damaged)?.1,
        };
        let end = (name_at + name_len).next_multiple_of(4).min(list.len());
        Ok((this, &list[end..]))
    }
}

/// OSTA compressed Unicode (UDF 2.1.1): a byte says how wide the characters are.
fn text(bytes: &[u8]) -> String {
    match bytes.split_first() {
        Some((8, latin)) => latin.iter().map(|&byte| char::from(byte)).collect(),
        Some((16, wide)) => {
            let units = wide.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::new(),
    }
}
