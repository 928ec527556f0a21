//! Any bytes, and bytes that nearly are a message.

use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::packets;
use crate::property::{self, cases};

static PACKETS: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(packets);

/// A header that decodes, the cookie, then these options.
fn with_header(options: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![0; 236];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes.extend([99, 130, 83, 99]);
    bytes.extend(options);
    bytes
}

/// Options with sound lengths, often of codes that have a structure of their own.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let structured =
        prop::sample::select(&[43u8, 52, 53, 55, 57, 60, 61, 67, 77, 81, 82, 93, 97, 119, 121, 175][..]);
    let value = vec(prop_oneof![0..8u8, any::<u8>()], 0..24);
    let one = (prop_oneof![structured, any::<u8>()], value);
    vec(one, 0..16).prop_map(|options| {
        options
            .into_iter()
            .flat_map(|(code, value)| [vec![code, value.len() as u8], value].concat())
            .collect()
    })
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..700)) {
        property::dhcp_decode::check(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_header(bytes in vec(any::<u8>(), 0..700)) {
        property::dhcp_decode::check(&with_header(bytes));
    }

    #[test]
    fn any_options(options in options()) {
        property::dhcp_decode::check(&with_header(options));
    }

    #[test]
    fn real_packets_with_damage(
        which in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        len in any::<Index>(),
    ) {
        let (_, bytes) = which.get(&PACKETS);
        let mut bytes = bytes.clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        property::dhcp_decode::check(&bytes);
        property::dhcp_decode::check(&bytes[..len.index(bytes.len())]);
    }
}
