//! One-shots on a running server: who gets one, how often, and what comes of it.

use std::net::SocketAddrV4;
use std::time::Duration;

use bootlace::resolver::Purpose;
use bootlace_core::config::BootName;
use bootlace_core::event::{
    ClientClass, DecidedBy, DhcpAnswer, DhcpEvent, DhcpMessage, Event, EventKind, FileEvent, FileOutcome,
    Peer, Protocol, ScriptStep,
};
use bootlace_core::finding::Trail;
use bootlace_core::model::{Facts, Text, Timestamp};
use bootlace_core::oneshot::{OneShot, Owner, Stage};
use bootlace_store::OneShotStore;
use bootlace_wire::HwAddr;

use crate::serving::Peers;
use crate::world::{World, held, ip, mac};

const CONFIG: &str = r#"
state_dir = "state"
boot_dir = "boot"
follow = []
default = "usual"
[boot.usual]
kind = "linux"
kernel = "linux"
cmdline = "usual"
[boot.rescue]
kind = "linux"
kernel = "linux"
initrd = ["initrd"]
cmdline = "rescue"
[boot.broken]
kind = "linux"
kernel = "linux"
cmdline = "{{ vars.nothing }}"
[boot.own]
kind = "ipxe"
script = """
#!ipxe
echo own
"""
[[machine]]
name = "web1"
mac = ["52:54:00:00:00:01", "52:54:00:00:00:02"]
"#;
const BUILD: &str = "platform=pcbios&buildarch=i386";

pub(crate) fn shot(boot: &str) -> OneShot {
    OneShot {
        boot: BootName::new(boot).unwrap(),
        confirm: None,
        armed: Timestamp::from_secs(1_700_000_000),
        expires: None,
        stage: Stage::Armed,
    }
}

pub(crate) fn web1() -> Owner {
    Owner::named("web1")
}

/// A server on which web1 has both of its addresses, and another machine a third one.
async fn armed(boot: &str) -> Peers {
    let peers = Peers::of(World::with(CONFIG));
    peers.world.hub.leased([1, 2, 3].map(|last| (ip(60 + last), Some(held(last)))));
    peers.world.hub.one_shots().arm(web1(), shot(boot)).await.unwrap();
    peers
}

fn stage(peers: &Peers) -> Stage {
    peers.world.hub.one_shots().all().0[&web1()].stage.clone()
}

/// Does the script boot it?
async fn boots(peers: &Peers, from: u8, boot: &str) -> bool {
    let script = peers.fetch(from, "script", BUILD).await;
    script.contains(&format!("echo Bootlace: boot {boot}\n"))
}

fn now() -> Timestamp {
    bootlace::hub::now()
}

/// The machine's firmware starts again.
pub(crate) fn restart(peers: &Peers, hw: HwAddr) {
    let dhcp = DhcpEvent {
        message: DhcpMessage::Discover,
        client: ClientClass::Firmware,
        firmware: None,
        interface: "eth0".into(),
        xid: 1,
        facts: Facts::new(),
        features: None,
        answer: DhcpAnswer::Silence("test".into()),
        trail: Trail::default(),
    };
    let peer = Peer { hw: Some(hw), ip: None };
    peers.world.hub.record(Event { at: now(), peer, kind: EventKind::Dhcp(dhcp) });
}

pub(crate) fn sent(peers: &Peers, from: u8, name: &str) {
    let outcome = FileOutcome::Sent { bytes: 1, took: Duration::ZERO, retransmits: 0 };
    let event = FileEvent { protocol: Protocol::Http, name: Text::from(name), outcome };
    peers.resolver.record(SocketAddrV4::new(ip(from), 50_000), event);
}

/// Waits for what the thread of one-shots was told before: a change of another machine comes after it.
pub(crate) async fn settled(peers: &Peers) {
    peers.world.hub.one_shots().cancel(Owner::named("nobody")).await.unwrap();
}

#[tokio::test]
async fn one_session_gets_it_and_keeps_it() {
    let peers = armed("rescue").await;
    assert!(boots(&peers, 63, "usual").await, "it is another machine's");
    peers.ask(61, "script", BUILD, Purpose::SizeProbe).await;
    assert_eq!(stage(&peers), Stage::Armed, "who asks for a length takes nothing");
    for _ in 0..3 {
        assert!(boots(&peers, 61, "rescue").await);
    }
    let Stage::Taken(taker) = stage(&peers) else { panic!("{:?}", stage(&peers)) };
    let step = peers.events().into_iter().find_map(|kind| match kind {
        EventKind::Script(script)
            if matches!(&script.step, ScriptStep::Boot { by: DecidedBy::OneShot(_), .. }) =>
        {
            Some(script.step)
        }
        _ => None,
    });
    let by = DecidedBy::OneShot("web1".into());
    assert_eq!(step, Some(ScriptStep::Boot { boot: BootName::new("rescue").unwrap(), by }));
    // Its other card is another session.
    assert!(boots(&peers, 62, "usual").await);
    for file in ["linux", "other", "files/initrd"] {
        assert_eq!(stage(&peers), Stage::Taken(taker), "before {file}");
        sent(&peers, 61, file);
        settled(&peers).await;
    }
    assert_eq!(stage(&peers), Stage::Done(taker));
    assert!(boots(&peers, 61, "rescue").await, "the same session gets the same");
    restart(&peers, mac(1));
    assert!(boots(&peers, 61, "usual").await);
    assert_eq!(stage(&peers), Stage::Done(taker));
}

#[tokio::test]
async fn two_sessions_at_once_are_one_too_many() {
    for _ in 0..20 {
        let peers = armed("rescue").await;
        let (one, other) = tokio::join!(boots(&peers, 61, "rescue"), boots(&peers, 62, "rescue"));
        assert!(one != other, "{one} and {other}");
    }
}

#[tokio::test]
async fn one_that_was_not_fetched_is_lost() {
    let peers = armed("rescue").await;
    assert!(boots(&peers, 61, "rescue").await);
    sent(&peers, 61, "linux");
    restart(&peers, mac(1));
    assert!(boots(&peers, 61, "usual").await);
    // The usual boot has the same kernel; and somebody fetches the rest by hand.
    for file in ["linux", "initrd"] {
        sent(&peers, 61, file);
    }
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Taken(_)), "{:?}", stage(&peers));
}

#[tokio::test]
async fn what_has_no_files_is_done_with_its_script_and_what_cannot_be_made_has_failed() {
    let peers = armed("own").await;
    assert!(peers.fetch(61, "script", BUILD).await.contains("echo own"));
    assert!(matches!(stage(&peers), Stage::Done(_)), "{:?}", stage(&peers));
    let peers = armed("broken").await;
    let script = peers.fetch(61, "script", BUILD).await;
    assert!(script.contains("vars.nothing"), "{script}");
    let Stage::Failed(_, why) = stage(&peers) else { panic!("{:?}", stage(&peers)) };
    assert!(why.as_str().contains("vars.nothing"), "{why}");
    restart(&peers, mac(1));
    assert!(boots(&peers, 61, "usual").await);
}

#[tokio::test]
async fn a_name_is_not_enough() {
    let peers = armed("rescue").await;
    let claimed = format!("mac=52:54:00:00:00:01&{BUILD}");
    // One with no lease, and one with the lease of another machine.
    for from in [99, 63] {
        let script = peers.fetch(from, "script", &claimed).await;
        assert!(script.contains("boot usual"), "{from}: {script}");
    }
    assert_eq!(stage(&peers), Stage::Armed);
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let peers = armed("rescue").await;
    assert!(boots(&peers, 61, "rescue").await);
    let before = stage(&peers);
    let stored = OneShotStore::open(&peers.world.state_dir()).unwrap().all().unwrap();
    assert_eq!(stored.0[&web1()].stage, before, "it was stored before the script left");
}

#[tokio::test]
async fn a_script_whose_one_shot_cannot_be_stored_does_not_leave() {
    let peers = armed("rescue").await;
    let trigger = "CREATE TRIGGER no BEFORE UPDATE ON one_shots BEGIN SELECT RAISE(ABORT, 'no room'); END";
    let file = peers.world.state_dir().join("bootlace.db");
    rusqlite::Connection::open(file).unwrap().execute_batch(trigger).unwrap();
    let ask = bootlace::resolver::Ask {
        protocol: Protocol::Http,
        name: "script",
        query: BUILD,
        purpose: Purpose::Fetch,
        peer: SocketAddrV4::new(ip(61), 50_000),
        local: SocketAddrV4::new(ip(10), 80),
        user_agent: None,
    };
    let found = peers.resolver.find(&ask).await;
    let bootlace::resolver::Found::Failed(why) = found else { panic!("{found:?}") };
    assert!(why.contains("a one-shot cannot be taken") && why.contains("no room"), "{why}");
    assert_eq!(stage(&peers), Stage::Armed);
    assert!(peers.events().is_empty(), "nothing was decided");
}
