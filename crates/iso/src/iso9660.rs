//! ISO 9660, by the crate hadris-iso; this module is all that knows it.

use hadris_iso::directory::DirectoryRef;
use hadris_iso::read::{DirEntry, IsoImage};

use crate::path::{Path, Step};
use crate::window::Window;
use crate::{Entry, Error, FOLDER_BYTES_MAX, Piece, SECTOR_BYTES, join};

/// Where the volume descriptors begin (ECMA-119, 6.3).
const DESCRIPTORS_AT: u64 = 16 * SECTOR_BYTES;

/// Bytes of the path table: the crate reads all of it, and this is what a hundred thousand folders need.
const PATH_TABLE_BYTES_MAX: u32 = 4 << 20;

/// Follows `path` in the image's best set of names.
pub(crate) fn find(mut window: Window<'_>, mut path: Path) -> Result<Entry, Error> {
    check(&mut window)?;
    let image = IsoImage::open(window).map_err(damaged)?;
    let root = image.root_dirs().try_best_choice().ok_or(Error::NotAnImage)?.dir_ref();
    let mut way = vec![root];
    while let Some(step) = path.next() {
        let name = match step {
            Step::Up if way.len() > 1 => {
                way.pop();
                continue;
            }
            Step::Up => return Err(Error::Absent),
            Step::Into(name) => name,
        };
        let here = *way.last().unwrap_or(&root);
        let entry = entry(&image, here, &name)?;
        if let Some(target) = entry.rrip.as_ref().and_then(|rrip| rrip.symlink_target.as_deref()) {
            path.follow(target)?;
        } else if entry.is_directory() {
            way.push(entry.as_dir_ref(&image).map_err(damaged)?);
        } else if path.is_done() {
            return pieces(&entry);
        } else {
            return Err(Error::Absent);
        }
    }
    Ok(Entry::Folder)
}

/// Looks at what the crate believes: whether it is an ISO 9660 at all, and how long its path table is.
fn check(window: &mut Window<'_>) -> Result<(), Error> {
    // The primary descriptor comes first everywhere, though the standard would allow another place.
    let primary = window.bytes(DESCRIPTORS_AT, 136).map_err(|_| Error::NotAnImage)?;
    if &primary[1..6] != b"CD001" {
        return Err(Error::NotAnImage);
    }
    // ECMA-119, 8.4.14: in both byte orders, the little one first.
    let table = [primary[132], primary[133], primary[134], primary[135]];
    if u32::from_le_bytes(table) > PATH_TABLE_BYTES_MAX {
        return Err(Error::Unsupported("its path table is too long"));
    }
    Ok(())
}

fn entry(image: &IsoImage<Window<'_>>, folder: DirectoryRef, name: &str) -> Result<DirEntry, Error> {
    if folder.size as u64 > FOLDER_BYTES_MAX {
        return Err(Error::Unsupported("a folder has too many entries"));
    }
    let folder = image.open_dir(folder);
    let found = match folder.find(name).map_err(damaged)? {
        // A plain name without an extension keeps the dot before it (ECMA-119, 7.5.1).
        None if !image.supports_rrip() => folder.find(&format!("{name}.")).map_err(damaged)?,
        found => found,
    };
    found.ok_or(Error::Absent)
}

fn pieces(entry: &DirEntry) -> Result<Entry, Error> {
    let mut pieces = Vec::new();
    for extent in entry.extents() {
        let at = (extent.sector.0 as u64).checked_mul(SECTOR_BYTES);
        let at = at.ok_or_else(|| Error::Damaged("a file lies beyond its end".to_owned()))?;
        join(&mut pieces, Piece { at, len: u64::from(extent.length) });
    }
    Ok(Entry::File(pieces))
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Damaged(error.to_string())
}
