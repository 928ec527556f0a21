//! Whatever arrives: no panic, and an answer that a client can take.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::LazyLock;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::config::{self, Config};
use bootlace_core::dhcp::{Decision, LeaseTable, Received, Role, Service, SessionView, classify, decide};
use bootlace_core::event::DhcpAnswer;
use bootlace_core::model::Timestamp;
use bootlace_wire::dhcp::{CLIENT_PORT, Code, Message, MessageType};
use proptest::prelude::*;

use crate::packets;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 10);
static CONFIG: LazyLock<Config> = LazyLock::new(config);
static PACKETS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(packets::all);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn config() -> Config {
    let text = r#"
        default = "rescue"
        [dhcp]
        mode = "server"
        authoritative = true
        [[dhcp.subnet]]
        subnet = "10.188.0.0/24"
        ranges = ["10.188.0.60-10.188.0.70"]
        dns = ["10.188.0.20"]
        domain = "example.com"
        [boot.rescue]
        kind = "linux"
        kernel = "vmlinuz"
        cmdline = "host={{ client.hostname }}"
        [[rule]]
        match = { manufacturer = "QEMU*" }
        boot = "local"
    "#;
    let source = config::Source { name: "c".into(), folder: "".into(), text: text.into() };
    config::load(&source, &config::Files::new()).unwrap().config
}

fn received(unicast: bool) -> Received {
    Received {
        interface: "eth0".into(),
        local: vec![(SERVER, 24)],
        mtu: 1500,
        source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
        destination: if unicast { SERVER } else { Ipv4Addr::BROADCAST },
        service: Service::Dhcp,
    }
}

fn answer(table: &mut LeaseTable, message: &Message, received: &Received) -> Option<Decision> {
    let query = classify(message, received).ok()?;
    let loaders: LoaderInventory = ["undionly.kpxe", "snponly.efi"].into_iter().collect();
    Some(decide(&CONFIG, Role::Server, &loaders, table, SessionView::default(), &query, NOW))
}

fn check(message: &Message, decision: &Decision) {
    let Some(reply) = &decision.reply else {
        assert!(matches!(decision.event.answer, DhcpAnswer::Silence(_)));
        return;
    };
    let encoded = reply.message.encode(reply.limit);
    assert!((300..=1472).contains(&encoded.bytes.len()));
    let sent = Message::decode(&encoded.bytes).unwrap();
    assert_eq!((sent.xid, sent.hw), (message.xid, message.hw));
    if message.message_type().is_some() {
        assert!(sent.options.get(Code::SERVER_ID).is_some());
        let refused = sent.message_type() == Some(MessageType::Nak);
        assert_eq!(refused, sent.options.get(Code::SUBNET_MASK).is_none());
    }
    if decision.event.client.name() == "os" {
        assert!(sent.file.is_empty() && sent.siaddr.is_unspecified());
        assert_eq!(sent.options.get(Code::BOOT_FILE), None);
    }
    // EDK2 and iPXE would ask port 4011.
    if matches!(decision.event.client.name(), "firmware" | "ipxe" | "os") {
        assert_eq!(sent.options.get(Code::VENDOR_CLASS), None);
    }
}

proptest! {
    #[test]
    fn any_mutation_of_a_real_packet_is_survived(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        unicast in any::<bool>(),
    ) {
        let mut bytes = which.get(&PACKETS).clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut table = LeaseTable::new(&CONFIG, Vec::new());
        if let Ok(message) = Message::decode(&bytes) {
            // Twice: the second time it may be known.
            for _ in 0..2 {
                if let Some(decision) = answer(&mut table, &message, &received(unicast)) {
                    check(&message, &decision);
                }
            }
        }
    }
}

#[test]
fn offer_and_ack_say_the_same() {
    let mut compared = 0;
    for bytes in PACKETS.iter() {
        let Ok(mut message) = Message::decode(bytes) else { continue };
        if message.message_type() != Some(MessageType::Discover) {
            continue;
        }
        let mut table = LeaseTable::new(&CONFIG, Vec::new());
        message.giaddr = Ipv4Addr::UNSPECIFIED;
        let Some(offer) = answer(&mut table, &message, &received(false)).unwrap().reply else {
            continue;
        };
        message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Request.code());
        message.options.set_ip(Code::SERVER_ID, SERVER);
        message.options.set_ip(Code::REQUESTED_IP, offer.message.yiaddr);
        let decision = answer(&mut table, &message, &received(false)).unwrap();
        assert_eq!(decision.changes.len(), 1, "the lease is stored before the ACK leaves");
        let mut ack = decision.reply.unwrap();
        assert_eq!(ack.message.message_type(), Some(MessageType::Ack));
        ack.message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Offer.code());
        assert_eq!(ack, offer);
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}
