//! What must be true of any bytes that are taken for the map of an overlay.

use bootlace_disk::check_map;

const SLOT_BYTES: usize = 4096;
const GRANULES_PER_SLOT: usize = (SLOT_BYTES - 16) * 4;

/// Reading ends and finds no more than the bytes can say. The sums are made right as well: nobody guesses one.
pub(crate) fn check(bytes: &[u8]) {
    hold(bytes);
    let mut sealed = bytes.to_vec();
    sealed.resize(bytes.len().next_multiple_of(SLOT_BYTES), 0);
    if let Some((header, slots)) = sealed.split_at_mut_checked(SLOT_BYTES) {
        seal(&mut header[..68], 64);
        slots.chunks_exact_mut(SLOT_BYTES).for_each(|slot| {
            slot.rotate_left(4);
            seal(slot, SLOT_BYTES - 4);
            slot.rotate_right(4);
        });
    }
    hold(&sealed);
}

fn hold(bytes: &[u8]) {
    if let Ok(granules) = check_map(bytes) {
        let slots = bytes.len().div_ceil(SLOT_BYTES);
        assert!(granules <= (slots * GRANULES_PER_SLOT) as u64, "{granules} granules in {slots} slots");
    }
}

/// Puts the sum of what is before `at` there.
fn seal(bytes: &mut [u8], at: usize) {
    let sum = crc32c::crc32c(&bytes[..at]);
    bytes[at..].copy_from_slice(&sum.to_le_bytes());
}
