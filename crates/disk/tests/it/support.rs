//! Images and overlays for tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bootlace_disk::{Image, Result};
use tempfile::TempDir;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

/// A folder in memory where there is one: what a test syncs is recorded, not tried.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// What block `index` of the image holds, never zero.
pub(crate) fn image_stamp(index: usize) -> u64 {
    0x1000_0000 + index as u64
}

/// A block full of one number.
pub(crate) fn block(stamp: u64) -> Vec<u8> {
    stamp.to_le_bytes().repeat(BLOCK / 8)
}

/// The number that a block is full of; none where it is torn.
pub(crate) fn stamp(block: &[u8]) -> Option<u64> {
    let first = u64::from_le_bytes(block[..8].try_into().unwrap());
    block.chunks_exact(8).all(|part| part == first.to_le_bytes()).then_some(first)
}

/// Writes an image of so many blocks and opens it.
pub(crate) fn image(folder: &Path, blocks: usize) -> Result<Arc<Image>> {
    let path = folder.join("image");
    fs::write(&path, (0..blocks).flat_map(|index| block(image_stamp(index))).collect::<Vec<u8>>())?;
    Ok(Arc::new(Image::open(&path, &folder.join("image.manifest"))?))
}

/// Numbers that follow from a seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// One below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % limit as u64) as usize
    }
}
