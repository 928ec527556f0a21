//! Neighbour discovery: a sender that is found stands in the message, behind the header of an option of its kind.

use bootlace_wire::ndp::{ROUTER_SOLICITATION, solicitor};

pub(crate) fn check(bytes: &[u8]) {
    let Some(mac) = solicitor(bytes) else { return };
    assert!(bytes[0] == ROUTER_SOLICITATION && bytes[1] == 0);
    // Options are units of 8 bytes behind 8 bytes of header.
    let mut places = bytes[8..].chunks(8).filter(|unit| unit.len() == 8);
    assert!(places.any(|unit| unit[0] == 1 && unit[1] >= 1 && unit[2..] == mac.0));
}
