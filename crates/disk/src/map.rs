//! The map of an overlay: for each granule whether its bytes are the image's, the overlay's, or zeroes.
//!
//! ```text
//! 0     header, 4096 bytes: magic, version, size of the disk, image, when made, CRC32C; written once
//! 4096  page 0, slot 0 | page 0, slot 1 | page 1, slot 0 | ...
//! slot  CRC32C of the rest u32 | page u32 | sequence u64 | 16,320 granules of two bits
//! ```
//! All numbers are little-endian. Sequence n of a page goes to slot n mod 2, so a write that a power loss tears leaves
//! the state before it. A slot 0 that was never written is a hole, and says the same as sequence 0: all the image's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, GRANULE_BYTES, ImageId, Result};

/// Bytes of the largest disk: its map takes 256 MiB of memory.
pub const DISK_BYTES_MAX: u64 = 4 << 40;

/// Bytes of the header and of a slot.
pub(crate) const SLOT_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"BLOVLMAP";
const VERSION: u32 = 1;
const HEADER_END: usize = 68;
const STATES_AT: usize = 16;
const WORDS_PER_PAGE: usize = (SLOT_BYTES - STATES_AT) / 8;
const GRANULES_PER_WORD: u64 = 32;
const GRANULES_PER_PAGE: u64 = WORDS_PER_PAGE as u64 * GRANULES_PER_WORD;

/// Where the bytes of a granule are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In the image.
    Base = 0,
    /// In the overlay's data, at the same offset.
    Data = 1,
    /// Nowhere: they are zeroes.
    Zero = 2,
}

/// What an overlay was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the disk.
    pub(crate) size: u64,
    /// The image below.
    pub(crate) image: ImageId,
    /// When it was made, in seconds since 1970 as its maker says.
    pub(crate) created_secs: u64,
}

impl Header {
    /// The first bytes of a map file.
    pub(crate) fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(GRANULE_BYTES as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.created_secs.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.image.0);
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[64..HEADER_END].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < SLOT_BYTES || bytes[..8] != MAGIC {
            return Err(Error::Damaged("not the map of an overlay"));
        }
        if u32_at(bytes, 64) != crc32c::crc32c(&bytes[..64]) {
            return Err(Error::Damaged("the header of the map"));
        }
        if u32_at(bytes, 8) != VERSION || u64::from(u32_at(bytes, 12)) != GRANULE_BYTES {
            return Err(Error::Damaged("a map of another version"));
        }
        let header = Self {
            size: u64_at(bytes, 16),
            created_secs: u64_at(bytes, 24),
            image: ImageId(bytes[32..64].try_into().expect("32 bytes")),
        };
        if header.size > DISK_BYTES_MAX || !header.size.is_multiple_of(crate::BLOCK_BYTES) {
            return Err(Error::Damaged("the size in the header of the map"));
        }
        Ok(header)
    }
}

/// The map in memory. Looking up takes no lock; granules change under a lock of the overlay's.
#[derive(Debug)]
pub(crate) struct Map {
    words: Vec<AtomicU64>,
    /// Of each page, whether a granule has changed since it was last encoded.
    dirty: Vec<AtomicBool>,
}

impl Map {
    /// Of a disk of `size` bytes, all the image's.
    pub(crate) fn new(size: u64) -> Self {
        let pages = usize::try_from(page_count(size)).expect("DISK_BYTES_MAX fits");
        let words = (0..pages * WORDS_PER_PAGE).map(|_| AtomicU64::new(0)).collect();
        Self { words, dirty: (0..pages).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Pages.
    pub(crate) fn pages(&self) -> usize {
        self.dirty.len()
    }

    /// Granules, more than the disk has: the last page is whole.
    pub(crate) fn granules(&self) -> u64 {
        self.words.len() as u64 * GRANULES_PER_WORD
    }

    /// Where a granule's bytes are. Whoever sees `Data` also sees the data.
    pub(crate) fn get(&self, granule: u64) -> State {
        let (word, shift) = place(granule);
        match (self.words[word].load(Ordering::Acquire) >> shift) & 3 {
            0 => State::Base,
            1 => State::Data,
            _ => State::Zero,
        }
    }

    /// Changes a granule. The caller has the lock of the granule; neighbours in the word may change meanwhile.
    pub(crate) fn set(&self, granule: u64, state: State) {
        let (word, shift) = place(granule);
        let change = |old: u64| Some(old & !(3 << shift) | ((state as u64) << shift));
        let _ = self.words[word].fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        self.dirty[word / WORDS_PER_PAGE].store(true, Ordering::Release);
    }

    /// Granules whose bytes are in the overlay.
    pub(crate) fn data_granules(&self) -> u64 {
        const LOW: u64 = 0x5555_5555_5555_5555;
        self.words.iter().map(|word| u64::from((word.load(Ordering::Acquire) & LOW).count_ones())).sum()
    }

    /// Whether a granule has changed since its page was last taken.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.iter().any(|dirty| dirty.load(Ordering::Acquire))
    }

    /// Has a page taken once more.
    pub(crate) fn mark_dirty(&self, page: usize) {
        self.dirty[page].store(true, Ordering::Release);
    }

    /// The pages that have changed, as they are now.
    pub(crate) fn take_dirty(&self) -> Vec<Page> {
        let changed = |page: &usize| self.dirty[*page].swap(false, Ordering::AcqRel);
        (0..self.pages()).filter(changed).map(|page| self.snapshot(page)).collect()
    }

    fn snapshot(&self, page: usize) -> Page {
        let mut bytes = Box::new([0; SLOT_BYTES]);
        let words = &self.words[page * WORDS_PER_PAGE..][..WORDS_PER_PAGE];
        for (into, word) in bytes[STATES_AT..].chunks_exact_mut(8).zip(words) {
            into.copy_from_slice(&word.load(Ordering::Acquire).to_le_bytes());
        }
        Page { page, bytes }
    }

    /// Takes over one page from its two slots and says which sequence it has.
    pub(crate) fn load(&mut self, page: usize, slots: [&[u8]; 2]) -> Result<u64> {
        let sequence = |slot: usize| slot_sequence(page, slot, slots[slot]);
        let unwritten = slots[0].iter().all(|byte| *byte == 0);
        let (found, slot) = match (sequence(0), sequence(1)) {
            (Some(even), Some(odd)) if odd > even => (odd, 1),
            (Some(even), _) => (even, 0),
            (None, Some(odd)) => (odd, 1),
            (None, None) if unwritten => return Ok(0),
            (None, None) => return Err(Error::Damaged("both copies of a page of the map")),
        };
        for (word, bytes) in
            self.words[page * WORDS_PER_PAGE..].iter_mut().zip(slots[slot][STATES_AT..].chunks_exact(8))
        {
            *word.get_mut() = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        }
        Ok(found)
    }
}

/// A page as it was at one moment.
pub(crate) struct Page {
    /// Which one.
    pub(crate) page: usize,
    bytes: Box<[u8; SLOT_BYTES]>,
}

impl Page {
    /// Where in the file sequence `sequence` of the page goes, and its bytes.
    pub(crate) fn seal(&mut self, sequence: u64) -> (u64, &[u8]) {
        self.bytes[4..8].copy_from_slice(&u32::try_from(self.page).expect("DISK_BYTES_MAX").to_le_bytes());
        self.bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        let crc = crc32c::crc32c(&self.bytes[4..]);
        self.bytes[..4].copy_from_slice(&crc.to_le_bytes());
        (slots_at(self.page) + sequence % 2 * SLOT_BYTES as u64, &self.bytes[..])
    }
}

/// Where the slots of a page begin in the file.
pub(crate) fn slots_at(page: usize) -> u64 {
    SLOT_BYTES as u64 + page as u64 * 2 * SLOT_BYTES as u64
}

/// The sequence of a slot, if all of it is there and is that of this page.
fn slot_sequence(page: usize, slot: usize, bytes: &[u8]) -> Option<u64> {
    const HIGH: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let sequence = u64_at(bytes, 8);
    let sealed = u32_at(bytes, 0) == crc32c::crc32c(&bytes[4..]);
    let own = u32_at(bytes, 4) as usize == page && sequence % 2 == slot as u64 && sequence != 0;
    let known = |word: &[u8]| {
        let word = u64_at(word, 0);
        word & HIGH & (word << 1) == 0
    };
    (sealed && own && bytes[STATES_AT..].chunks_exact(8).all(known)).then_some(sequence)
}

/// Reads a whole map file, as opening an overlay does, and says how many granules have data.
pub fn check(bytes: &[u8]) -> Result<u64> {
    let header = Header::decode(bytes)?;
    // A disk larger than its file tells is all holes: no memory for what nobody wrote.
    let told = bytes.len().saturating_sub(SLOT_BYTES).div_ceil(2 * SLOT_BYTES) as u64;
    let size = header.size.min(told * GRANULES_PER_PAGE * GRANULE_BYTES);
    let mut map = Map::new(size);
    for page in 0..map.pages() {
        let mut slots = [0; 2 * SLOT_BYTES];
        let from = bytes.get(slots_at(page) as usize..).unwrap_or_default();
        let len = from.len().min(slots.len());
        slots[..len].copy_from_slice(&from[..len]);
        let (even, odd) = slots.split_at(SLOT_BYTES);
        map.load(page, [even, odd])?;
    }
    Ok(map.data_granules())
}

fn page_count(size: u64) -> u64 {
    size.div_ceil(GRANULE_BYTES).div_ceil(GRANULES_PER_PAGE)
}

fn place(granule: u64) -> (usize, u64) {
    ((granule / GRANULES_PER_WORD) as usize, granule % GRANULES_PER_WORD * 2)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
