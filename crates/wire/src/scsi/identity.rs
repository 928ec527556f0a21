//! What a disk is: set by the service, constant for as long as it is served.

use super::step::Extent;

/// Where a disk ends and how it is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a logical block: 512 for everything that BIOS boots, or 4096.
    pub block_bytes: u32,
    /// Logical blocks of the disk, at least one.
    pub blocks: u64,
    /// Logical blocks in a physical one, as a power of two (0 to 15); partitions are aligned to it.
    pub physical_exponent: u8,
}

impl Geometry {
    /// Whether an extent lies on the disk. An empty one may lie at its end.
    pub fn contains(&self, extent: Extent) -> bool {
        self.blocks.checked_sub(extent.block).is_some_and(|left| extent.blocks <= left)
    }
}

/// Whether space that holds no data is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// It is not: UNMAP is refused.
    Thick,
    /// It is, and reads as zeros.
    Thin {
        /// Blocks that are given back together; fewer are only zeroed.
        granule_blocks: u32,
    },
}

/// Whether a disk can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    ReadWrite,
    /// It cannot: WP is set, and writes end with 7/27/00.
    ReadOnly,
}

/// By what a disk is recognised. The same machine must see the same after each reset of its disk: Windows and
/// names in `/dev/disk/by-id` go by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// T10 vendor identification, padded with spaces.
    pub vendor: [u8; 8],
    /// Product identification, padded with spaces.
    pub product: [u8; 16],
    /// Product revision level, padded with spaces.
    pub revision: [u8; 4],
    /// Unit serial number: printable ASCII. Pages have room for 252 bytes; more are cut.
    pub serial: String,
    /// 60 bits of a locally assigned NAA (type 3h); the upper four are not used.
    pub naa: u64,
    /// The name of the iSCSI target. It has one port, of portal group tag 1.
    pub target: String,
}

/// A disk as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub geometry: Geometry,
    /// Its names.
    pub identity: Identity,
    /// What becomes of unused space.
    pub provisioning: Provisioning,
    /// Whether it can be written.
    pub access: Access,
}
