//! ARP: who is heard stands in a reply for IPv4 on Ethernet, at its fixed places (RFC 826).

use bootlace_wire::arp::{ETHERTYPE_ARP, reply};

pub(crate) fn check(bytes: &[u8]) {
    let Some((ip, mac)) = reply(bytes) else { return };
    assert_eq!(bytes[12..14], ETHERTYPE_ARP.to_be_bytes());
    assert_eq!(bytes[14..22], [0, 1, 8, 0, 6, 4, 0, 2]);
    assert_eq!((&bytes[22..28], &bytes[28..32]), (&mac.0[..], &ip.octets()[..]));
    assert!(!ip.is_unspecified());
}
