//! Block images, and the copy-on-write overlays of machines that boot from one of them.
//!
//! An [`Image`] never changes and is known by its content. An [`Overlay`] holds what one machine wrote over an image.
//! [`Generations`] keeps the overlays of machines as folders, of which the newest counts.
//!
//! All calls block, take `&self` and may come from any number of threads. What a [`Disk`] was told to flush survives a
//! power loss at any instant; of what it was not, each sector is as before or as written.
#![forbid(unsafe_code)]

mod disk;
mod error;
mod export;
mod files;
mod generations;
mod image;
mod map;
mod overlay;
mod raw;
mod recent;

pub use disk::{Disk, Extent, Provisioning};
pub use error::{Error, Result};
pub use export::exchange_images;
pub use files::{Barrier, Operation, Recorder, space_of};
pub use generations::{GENERATIONS_MAX, Generation, Generations, Kept, Mode};
pub use image::{IMAGE_HASH_CHUNK, Image, ImageId};
pub use map::{DISK_BYTES_MAX, check as check_map};
pub use overlay::{Overlay, Space};
pub use raw::{Access, RawFile};
pub use recent::HostBoot;

/// Bytes of one logical block, the unit of all offsets and lengths: what BIOS disk services and GRUB can read.
pub const BLOCK_BYTES: u64 = 512;

/// Bytes of one granule, the unit in which an overlay decides where bytes come from. Equal to a page, so that a write
/// that is aligned for the machine's file system needs no read.
pub const GRANULE_BYTES: u64 = 4096;
