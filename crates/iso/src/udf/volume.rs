//! From the first sectors to the root folder: recognition, anchor, volume descriptors, file set.

use crate::window::Window;
use crate::{Error, SECTOR_BYTES};

/// Where the recognition sequence begins (ECMA-167, 2/8.3), and how far it is looked through.
const RECOGNITION_SECTORS: std::ops::Range<u64> = 16..64;

/// Descriptors of a volume descriptor sequence that are looked at: UDF wants 16 sectors at least.
const DESCRIPTORS_MAX: u64 = 256;

/// Partition maps of a logical volume that are looked at.
const MAPS_MAX: usize = 16;

/// A block of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    block: u32,
    /// Which of the volume's partition maps.
    partition: u16,
}

/// Where partitions begin, and where the root folder is.
pub(super) struct Volume {
    /// First sector of each partition, by the number of its map.
    partitions: Vec<u32>,
    pub(super) root: Location,
}

impl Location {
    /// Reads a long allocation descriptor (ECMA-167, 4/14.14.2): length with its kind in two bits, and place.
    pub(super) fn long(bytes: &[u8]) -> Option<(u32, Self)> {
        let (len, rest) = u32_at(bytes, 0).zip(bytes.get(4..10))?;
        let block = u32_at(rest, 0)?;
        Some((len, Self { block, partition: u16::from_le_bytes([rest[4], rest[5]]) }))
    }

    /// A block of the same partition.
    pub(super) fn beside(self, block: u32) -> Self {
        Self { block, ..self }
    }
}

impl Volume {
    pub(super) fn open(window: &mut Window<'_>) -> Result<Self, Error> {
        if !is_udf(window) {
            return Err(Error::NotAnImage);
        }
        let anchor = descriptor(window, 256)?;
        if tag(&anchor) != Some(Tag::Anchor as u16) {
            return Err(Error::Damaged("UDF has no anchor at sector 256".to_owned()));
        }
        let (len, first) = (field(&anchor, 16)?, field(&anchor, 20)?);
        let mut physical = Vec::new();
        let mut logical = None;
        for sector in 0..u64::from(len).div_ceil(SECTOR_BYTES).min(DESCRIPTORS_MAX) {
            let found = descriptor(window, u64::from(first) + sector)?;
            match tag(&found) {
                Some(number) if number == Tag::Partition as u16 => {
                    physical.push((u16::from_le_bytes([found[22], found[23]]), field(&found, 188)?));
                }
                Some(number) if number == Tag::LogicalVolume as u16 => logical = Some(found),
                Some(number) if number == Tag::Terminator as u16 => break,
                _ => {}
            }
        }
        let logical = logical.ok_or_else(|| Error::Damaged("UDF has no logical volume".to_owned()))?;
        if u64::from(field(&logical, 212)?) != SECTOR_BYTES {
            return Err(Error::Unsupported("UDF with blocks that are not of 2048 bytes"));
        }
        let partitions = maps(&logical, &physical)?;
        let (_, file_set) = Location::long(&logical[248..264]).ok_or(Error::NotAnImage)?;
        let mut this = Self { partitions, root: file_set };
        let file_set = window.bytes(this.at(file_set)?, 512)?;
        if tag(&file_set) != Some(Tag::FileSet as u16) {
            return Err(Error::Damaged("UDF has no file set".to_owned()));
        }
        (_, this.root) = Location::long(&file_set[400..416]).ok_or(Error::NotAnImage)?;
        Ok(this)
    }

    /// Where in the image a block is.
    pub(super) fn at(&self, location: Location) -> Result<u64, Error> {
        let first = self.partitions.get(usize::from(location.partition));
        let first = first.ok_or_else(|| Error::Damaged("UDF names no partition of its own".to_owned()))?;
        Ok((u64::from(*first) + u64::from(location.block)) * SECTOR_BYTES)
    }
}

/// Descriptors on the way (ECMA-167, 3/7.2.1 and 4/7.2.1).
#[derive(Clone, Copy)]
enum Tag {
    Anchor = 2,
    Partition = 5,
    LogicalVolume = 6,
    Terminator = 8,
    FileSet = 256,
}

/// Whether the recognition sequence names ECMA-167.
fn is_udf(window: &mut Window<'_>) -> bool {
    for sector in RECOGNITION_SECTORS {
        let Ok(start) = window.bytes(sector * SECTOR_BYTES, 6) else { return false };
        match &start[1..] {
            b"NSR02" | b"NSR03" => return true,
            b"CD001" | b"BEA01" | b"BOOT2" | b"CDW02" => {}
            _ => return false,
        }
    }
    false
}

/// The first sectors of the partitions that the logical volume's maps name.
fn maps(logical: &[u8], physical: &[(u16, u32)]) -> Result<Vec<u32>, Error> {
    let damaged = || Error::Damaged("UDF's partition maps are broken".to_owned());
    let count = (field(logical, 268)? as usize).min(MAPS_MAX);
    let mut rest = logical.get(440..).ok_or_else(damaged)?;
    let mut partitions = Vec::new();
    for _ in 0..count {
        let (&kind, &len) = rest.first().zip(rest.get(1)).ok_or_else(damaged)?;
        if kind != 1 {
            return Err(Error::Unsupported(
                "UDF with a partition of rewritable discs or with metadata apart",
            ));
        }
        let map = rest.get(..usize::from(len)).filter(|map| map.len() == 6).ok_or_else(damaged)?;
        let number = u16::from_le_bytes([map[4], map[5]]);
        let found = physical.iter().find(|(own, _)| *own == number).ok_or_else(damaged)?;
        partitions.push(found.1);
        rest = &rest[map.len()..];
    }
    Ok(partitions)
}

fn descriptor(window: &mut Window<'_>, sector: u64) -> Result<Vec<u8>, Error> {
    window.bytes(sector * SECTOR_BYTES, SECTOR_BYTES as usize)
}

/// The identifier of a descriptor, if its tag's checksum is right (ECMA-167, 3/7.2).
pub(super) fn tag(descriptor: &[u8]) -> Option<u16> {
    let tag = descriptor.first_chunk::<16>()?;
    let sum = tag.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)).wrapping_sub(tag[4]);
    (sum == tag[4]).then(|| u16::from_le_bytes([tag[0], tag[1]]))
}

/// A number of a descriptor, little-endian as all of them.
pub(super) fn field(descriptor: &[u8], at: usize) -> Result<u32, Error> {
    u32_at(descriptor, at).ok_or_else(|| Error::Damaged("a descriptor of UDF is too short".to_owned()))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}
