//! Packets of real clients against text: `UPDATE_GOLDEN=1` accepts what the code says now.

use std::fmt::Write as _;

use bootlace_wire::dhcp::{Code, Feature, Message, describe::describe};

use super::packets;
use crate::property;

/// The description, then what the views make of the packet.
fn snapshot(message: &Message) -> String {
    let mut text = describe(message);
    let kind = message.message_type().map_or("BOOTP".to_owned(), |kind| kind.to_string());
    writeln!(text, "\nkind {kind}").unwrap();
    writeln!(text, "arch {:?}", message.arch()).unwrap();
    writeln!(text, "ipxe {}", message.is_ipxe()).unwrap();
    writeln!(text, "uuid {:02x?}", message.uuid()).unwrap();
    writeln!(text, "payload limit {}", message.payload_limit(1500)).unwrap();
    text
}

#[test]
fn packets_read_as_their_snapshots_say() {
    for (path, bytes) in packets() {
        let text = snapshot(&Message::decode(&bytes).unwrap());
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&expected)
            .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", expected.display()));
        assert_eq!(text, expected, "{}", path.display());
    }
}

#[test]
fn packets_survive_encoding() {
    for (path, bytes) in packets() {
        let message = Message::decode(&bytes).unwrap();
        let encoded = message.encode(1472);
        assert_eq!(encoded.dropped, [], "{}", path.display());
        let mut again = Message::decode(&encoded.bytes).unwrap();
        // The encoder has an order of its own; the content is what counts.
        for (code, value) in message.options.iter() {
            assert_eq!(again.options.remove(code).as_deref(), Some(value), "{} {code}", path.display());
        }
        assert!(again.options.is_empty(), "{}", path.display());
        again.options = message.options.clone();
        assert_eq!(again, message, "{}", path.display());
    }
}

#[test]
fn packets_hold_the_properties_of_any_bytes() {
    for (_, bytes) in packets() {
        property::dhcp_decode::check(&bytes);
        for len in 0..bytes.len() {
            property::dhcp_decode::check(&bytes[..len]);
        }
    }
}

/// The article that this product answers prints these very values.
#[test]
fn the_rom_of_qemu_reports_what_the_article_saw() {
    let (_, bytes) = packets()
        .into_iter()
        .find(|(path, _)| path.file_stem().unwrap() == "ipxe-qemu-rom-discover")
        .unwrap();
    assert_eq!(bytes.len(), 387);
    let message = Message::decode(&bytes).unwrap();
    let ipxe = message.ipxe().unwrap();
    assert_eq!(ipxe.version, Some([1, 0, 0]));
    assert_eq!(ipxe.bus.map(|bus| (bus.vendor, bus.device)), Some((0x1af4, 0x1000)));
    assert!(ipxe.has(Feature::Http) && ipxe.has(Feature::Bzimage));
    assert!(!ipxe.has(Feature::Https) && !ipxe.has(Feature::Menu));
    assert_eq!(ipxe.value(Feature::PxeExt), Some(2));
    assert_eq!(message.parameter_list().last(), Some(&Code::ISCSI_INITIATOR.0));
}
