//! A fixed hash of hardware addresses, where a random number would otherwise do.

use bootlace_wire::HwAddr;

/// FNV-1a with a final mix, so that neighbouring addresses do not land side by side. It picks a place in a
/// range and the jitter of timers; nothing relies on it being hard to guess.
pub(super) fn of(hw: HwAddr) -> u64 {
    of_bytes(std::iter::once(hw.htype()).chain(hw.as_bytes().iter().copied()))
}

/// The same of anything else.
pub(super) fn of_bytes(bytes: impl IntoIterator<Item = u8>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = OFFSET;
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}
