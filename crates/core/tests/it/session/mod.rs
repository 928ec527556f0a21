//! Sessions in scripted time: what goes on, what opens the next, and what changes nothing.

mod forward;
mod properties;
mod rooms;

use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_core::boot::features::IpxeFeatures;
use bootlace_core::config::BootName;
use bootlace_core::event::{
    ClientClass, DecidedBy, DhcpAnswer, DhcpEvent, DhcpMessage, Event, EventKind, FileEvent, FileOutcome,
    Given, Peer, Protocol, ScriptEvent, ScriptStep,
};
use bootlace_core::finding::Trail;
use bootlace_core::model::{Facts, Text, Timestamp, Var};
use bootlace_core::session::{Session, SessionId, Sessions, Stage};
use bootlace_wire::dhcp::Feature;
use bootlace_wire::{HwAddr, Mac};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 61);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn machine(number: u16) -> HwAddr {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0, 0, 0, high, low]).into()
}

fn event(secs: i64, kind: EventKind) -> Event {
    Event { at: at(secs), peer: Peer { hw: Some(machine(1)), ip: Some(ADDRESS) }, kind }
}

fn given(boot_file: Option<&str>) -> Given {
    Given {
        address: ADDRESS,
        boot_file: boot_file.map(str::to_owned),
        next_server: None,
        boot: None,
        chained: false,
        setting: None,
    }
}

fn dhcp(client: ClientClass, message: DhcpMessage, xid: u32, answer: DhcpAnswer) -> EventKind {
    let mut facts = Facts::new();
    facts.set(Var::Hostname, client.name());
    let features = (client == ClientClass::Ipxe).then(|| IpxeFeatures::new([Feature::Http], None));
    EventKind::Dhcp(DhcpEvent {
        message,
        client,
        firmware: None,
        interface: "eth0".into(),
        xid,
        facts,
        features,
        answer,
        trail: Trail::default(),
    })
}

fn discover(client: ClientClass, xid: u32) -> EventKind {
    dhcp(client, DhcpMessage::Discover, xid, DhcpAnswer::Offer(given(None)))
}

fn request(client: ClientClass, xid: u32) -> EventKind {
    dhcp(client, DhcpMessage::Request, xid, DhcpAnswer::Ack(given(None)))
}

fn boot(text: &str) -> BootName {
    BootName::new(text).unwrap()
}

fn script(step: ScriptStep) -> EventKind {
    script_by("script", step)
}

fn script_by(name: &str, step: ScriptStep) -> EventKind {
    let mut facts = Facts::new();
    facts.set(Var::Serial, "S1");
    EventKind::Script(ScriptEvent { name: name.into(), step, facts, bytes: 100, trail: Trail::default() })
}

fn boots() -> EventKind {
    script(ScriptStep::Boot { boot: boot("rescue"), by: DecidedBy::Rule(1) })
}

fn problem() -> EventKind {
    script(ScriptStep::Problem { boot: boot("rescue"), by: DecidedBy::Default, why: "no vars.role".into() })
}

fn chain() -> EventKind {
    script(ScriptStep::Chain { loader: "undionly.kpxe".into(), lacks: "menu".into() })
}

fn boots_by(name: &str) -> EventKind {
    script_by(name, ScriptStep::Boot { boot: boot("rescue"), by: DecidedBy::Rule(1) })
}

fn file(outcome: FileOutcome) -> EventKind {
    EventKind::File(FileEvent { protocol: Protocol::Http, name: Text::from("debian/linux"), outcome })
}

fn sent() -> EventKind {
    sent_by("debian/linux")
}

fn sent_by(name: &str) -> EventKind {
    let outcome = FileOutcome::Sent { bytes: 1000, took: Duration::from_millis(5), retransmits: 0 };
    EventKind::File(FileEvent { protocol: Protocol::Http, name: Text::from(name), outcome })
}

fn stopped() -> EventKind {
    file(FileOutcome::Aborted { bytes: 10, of: 1000, why: Text::from("closed") })
}

fn contradiction() -> EventKind {
    EventKind::Contradiction { seen: machine(1), claimed: Text::from("52:54:00:12:34:56") }
}

/// A machine that has come to a stage, and the sessions it is in.
fn come_to(stage: Stage) -> Sessions {
    let mut sessions = Sessions::new(SessionId(1));
    let steps = [
        discover(ClientClass::Firmware, 1),
        discover(ClientClass::Ipxe, 2),
        boots(),
        sent(),
        discover(ClientClass::Os, 3),
    ];
    for (secs, kind) in (0..).zip(steps) {
        if secs > stage as i64 {
            break;
        }
        assert_eq!(sessions.apply(&event(secs, kind)), Some(SessionId(1)));
    }
    assert_eq!(now(&sessions, 5).stage, stage);
    sessions
}

fn now(sessions: &Sessions, secs: i64) -> &Session {
    sessions.current(machine(1), at(secs)).unwrap()
}

const STAGES: [Stage; 5] = [Stage::Firmware, Stage::Loader, Stage::Script, Stage::Payload, Stage::System];
