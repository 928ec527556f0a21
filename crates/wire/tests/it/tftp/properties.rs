//! The properties of the fuzz targets, tried briefly with every test run.

use proptest::prelude::*;

use crate::property::{cases, tftp_packet, tftp_transfer};

/// Bytes that are almost a packet: an opcode and words between NULs.
fn almost_packet() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "(blksize|tsize|timeout|windowsize|octet|netascii|mail|multicast)",
        "[0-9]{0,22}",
        "[a-zA-Z./\\\\]{0,12}",
    ];
    let text = prop::collection::vec(word, 0..12).prop_map(|words| words.join("\0").into_bytes());
    let tail = prop_oneof![Just(vec![]), Just(vec![0]), prop::collection::vec(any::<u8>(), 0..8)];
    (0u8..9, text, tail).prop_map(|(opcode, text, tail)| [&[0, opcode][..], &text, &tail].concat())
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let parts = "(tftp://)?([a-z./\\\\\u{85}]{0,8}[/\\\\])*[a-z. ]{0,300}";
    prop_oneof![
        parts.prop_map(String::into_bytes),
        (parts, "[\\x00\\x01a]{0,3}")
            .prop_map(|(name, junk)| [name.as_bytes(), junk.as_bytes(), &[0xff]].concat()),
    ]
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn packets_and_names_hold_their_properties(bytes in prop_oneof![
        almost_packet(),
        name(),
        prop::collection::vec(any::<u8>(), 0..64),
    ]) {
        tftp_packet::check(&bytes);
    }

    #[test]
    fn no_sequence_of_events_breaks_a_transfer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        tftp_transfer::check(&bytes);
    }
}
