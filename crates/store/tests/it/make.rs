//! Leases and events to store.

use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_core::config::BootName;
use bootlace_core::dhcp::{Lease, LeaseState};
use bootlace_core::event::*;
use bootlace_core::finding::Trail;
use bootlace_core::model::{Facts, Firmware, Text, Timestamp, Var};
use bootlace_core::session::SessionId;
use bootlace_store::journal::Record;
use bootlace_wire::{HwAddr, Mac};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_305_600);

pub(crate) fn hw(number: u32) -> HwAddr {
    let [a, b, c, d] = number.to_be_bytes();
    HwAddr::from(Mac([0x52, 0x54, a, b, c, d]))
}

pub(crate) fn ip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

pub(crate) fn lease(number: u32) -> Lease {
    Lease {
        address: ip(number),
        hw: hw(number),
        state: LeaseState::Bound,
        since: START,
        noted: START,
        until: START.after(Duration::from_secs(43_200)),
        client_id: None,
        uuid: None,
        hostname: Text::from("web"),
    }
}

pub(crate) fn secs(count: u64) -> Timestamp {
    START.after(Duration::from_secs(count))
}

/// A record of a machine in a session of the same number.
pub(crate) fn record(machine: u32, at: Timestamp, kind: EventKind) -> Record {
    let peer = Peer { hw: Some(hw(machine)), ip: Some(ip(machine)) };
    Record { session: Some(SessionId(machine.into())), event: Event { at, peer, kind }, repeats: 0 }
}

pub(crate) fn sent(name: &str, bytes: u64) -> EventKind {
    let outcome = FileOutcome::Sent { bytes, took: Duration::from_micros(1500), retransmits: 0 };
    EventKind::File(FileEvent { protocol: Protocol::Tftp, name: Text::from(name), outcome })
}

pub(crate) fn absent(name: &str) -> EventKind {
    let outcome = FileOutcome::Absent("no such file".into());
    EventKind::File(FileEvent { protocol: Protocol::Http, name: Text::from(name), outcome })
}

pub(crate) fn facts(pairs: &[(Var, &str)]) -> Facts {
    let mut facts = Facts::new();
    for &(var, value) in pairs {
        facts.set(var, value);
    }
    facts
}

pub(crate) fn discover(client: ClientClass, facts: Facts, xid: u32) -> EventKind {
    let mut trail = Trail::default();
    trail.add("address 10.0.0.1", "free");
    EventKind::Dhcp(DhcpEvent {
        message: DhcpMessage::Discover,
        client,
        firmware: Some(Firmware::UefiX64),
        interface: "eth0".into(),
        xid,
        facts,
        features: None,
        answer: DhcpAnswer::Offer(Given {
            address: ip(1),
            boot_file: Some("snponly.efi".into()),
            next_server: Some(ip(2)),
            boot: BootName::new("rescue"),
            chained: false,
            setting: None,
        }),
        trail,
    })
}

pub(crate) fn script(facts: Facts, step: ScriptStep) -> EventKind {
    EventKind::Script(ScriptEvent { name: "script".into(), step, facts, bytes: 612, trail: Trail::default() })
}
