//! The two neighbour discovery messages (RFC 4861) that a booting iPXE waits for.

use crate::Mac;
use crate::cursor::Cursor;

/// ICMPv6 type of a router solicitation.
pub const ROUTER_SOLICITATION: u8 = 133;
/// ICMPv6 type of a router advertisement.
const ROUTER_ADVERTISEMENT: u8 = 134;
/// The option that names the sender's link-layer address.
const SOURCE_LINK_LAYER: u8 = 1;

/// Who sent a router solicitation, by its source link-layer option; `None` when `message` is no solicitation or
/// does not say. `message` starts at the ICMPv6 header.
pub fn solicitor(message: &[u8]) -> Option<Mac> {
    let mut cursor = Cursor::new(message);
    let [kind, code, ..] = cursor.array::<8>()?;
    if kind != ROUTER_SOLICITATION || code != 0 {
        return None;
    }
    loop {
        let (kind, units) = (cursor.u8()?, cursor.u8()?);
        // The length counts units of 8 bytes, this header included; zero would never end (RFC 4861, 4.6).
        let body = cursor.take((usize::from(units) * 8).checked_sub(2)?)?;
        if kind == SOURCE_LINK_LAYER {
            return body.first_chunk().map(|&mac| Mac(mac));
        }
    }
}

/// A router advertisement that offers nothing: lifetime 0 (not a default router), no prefix, no flags, no hop
/// limit. The checksum is the kernel's.
pub fn no_router() -> [u8; 16] {
    let mut message = [0; 16];
    message[0] = ROUTER_ADVERTISEMENT;
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As iPXE sends it: header, then option 1 with its MAC.
    const SOLICITATION: [u8; 16] = [133, 0, 0x12, 0x34, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56];

    #[test]
    fn the_sender_is_in_its_option() {
        let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(solicitor(&SOLICITATION), Some(mac));
        let mut behind_another = SOLICITATION[..8].to_vec();
        behind_another.extend([14, 1, 0, 0, 0, 0, 0, 0]);
        behind_another.extend(&SOLICITATION[8..]);
        assert_eq!(solicitor(&behind_another), Some(mac));
    }

    #[test]
    fn anything_else_has_no_sender() {
        let mut advertisement = SOLICITATION;
        advertisement[0] = ROUTER_ADVERTISEMENT;
        let mut endless = SOLICITATION;
        endless[9] = 0;
        for message in [&advertisement[..], &endless, &SOLICITATION[..8], &SOLICITATION[..12], &[]] {
            assert_eq!(solicitor(message), None);
        }
        assert_eq!(no_router()[..8], [134, 0, 0, 0, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            solicitor(&bytes);
        }
    }
}
