//! Who a peer is, and what that keeps from it: names through the resolver of a server.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use bootlace::files::Body;
use bootlace::hub::Held;
use bootlace::resolver::{Ask, Found, Purpose, Resolver};
use bootlace::serving::resolver;
use bootlace_core::crypt::{Hash, Phrase};
use bootlace_core::dhcp::{Lease, LeaseChange, LeaseState};
use bootlace_core::event::{EventKind, FileEvent, FileOutcome, Protocol, ScriptStep};
use bootlace_core::files::Identity;
use bootlace_core::model::{Text, Timestamp};
use bootlace_store::JournalReader;
use bootlace_store::journal::EventId;

use crate::world::{CONFIG, SECRET, World, held, ip, lease, mac};

pub(crate) struct Peers {
    pub(crate) world: World,
    pub(crate) resolver: Resolver,
}

impl Peers {
    fn new() -> Self {
        Self::of(World::new())
    }

    pub(crate) fn of(world: World) -> Self {
        let serving = Arc::clone(&world.serving);
        Self { resolver: resolver(serving, Arc::clone(&world.hub), None), world }
    }

    pub(crate) async fn ask(&self, from: u8, name: &str, query: &str, purpose: Purpose) -> String {
        let ask = Ask {
            protocol: Protocol::Http,
            name,
            query,
            purpose,
            peer: SocketAddrV4::new(ip(from), 50_000),
            local: SocketAddrV4::new(ip(10), 80),
            user_agent: None,
        };
        match self.resolver.find(&ask).await {
            Found::Script(content) => match &content.body {
                Body::Bytes(text) => String::from_utf8(text.to_vec()).unwrap(),
                Body::File(_) => panic!("a script is no file"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn fetch(&self, from: u8, name: &str, query: &str) -> String {
        self.ask(from, name, query, Purpose::Fetch).await
    }

    pub(crate) fn events(&self) -> Vec<EventKind> {
        self.world.hub.journal().flush().unwrap();
        let journal = JournalReader::open(&self.world.state_dir()).unwrap();
        let events = journal.events_after(EventId(0), 1000).unwrap().events;
        events.into_iter().map(|stored| stored.record.event.kind).collect()
    }
}

const NOW: Timestamp = Timestamp(0);
const WEB1: &str = "mac=52:54:00:00:00:01&platform=pcbios&buildarch=i386";
const BUILD: &str = "platform=pcbios&buildarch=i386";

#[test]
fn a_lease_counts_more_than_a_report() {
    let world = World::new();
    let hub = &world.hub;
    assert_eq!(hub.who(ip(61), NOW), None);
    hub.reported(ip(61), mac(1), NOW);
    assert_eq!(hub.who(ip(61), NOW), Some(mac(1)));
    hub.reported(ip(61), mac(2), NOW);
    assert_eq!(
        hub.who(ip(61), NOW),
        Some(mac(2)),
        "an address that changed hands behind another DHCP server"
    );
    hub.leased([(ip(61), Some(held(3)))]);
    assert_eq!(hub.who(ip(61), NOW), Some(mac(3)));
    hub.reported(ip(61), mac(4), NOW);
    hub.leased([(ip(61), None)]);
    assert_eq!(hub.who(ip(61), NOW), Some(mac(2)), "nothing was learned against a lease");
}

#[test]
fn a_claim_is_held_against_the_lease() {
    let world = World::new();
    world.hub.leased([(ip(61), Some(held(1)))]);
    let judged = |address, claimed: Option<u8>| {
        let who = world.hub.identify(ip(address), claimed.map(mac), NOW);
        (who.hw, who.identity)
    };
    assert_eq!(judged(61, Some(1)), (Some(mac(1)), Identity::Confirmed));
    assert_eq!(judged(61, None), (Some(mac(1)), Identity::Confirmed));
    assert_eq!(judged(61, Some(2)), (Some(mac(1)), Identity::Contradicted));
    assert_eq!(judged(99, Some(2)), (Some(mac(2)), Identity::Claimed), "there is nothing but the claim");
    world.hub.reported(ip(99), mac(2), NOW);
    assert_eq!(
        judged(99, None),
        (Some(mac(2)), Identity::Claimed),
        "what it claimed before is no more than that"
    );
    assert_eq!(judged(99, Some(3)), (Some(mac(3)), Identity::Claimed), "a report is a claim, too");
}

#[tokio::test]
async fn the_secret_is_for_the_machine_that_holds_the_lease() {
    let peers = Peers::new();
    peers.world.hub.leased([(ip(61), Some(held(1))), (ip(62), Some(held(2)))]);
    assert!(peers.fetch(61, "boot.ipxe", BUILD).await.contains("script?mac="), "the build is not known yet");
    assert!(peers.fetch(61, "script", WEB1).await.contains(SECRET));
    let stolen = peers.fetch(62, "script", WEB1).await;
    assert!(!stolen.contains(SECRET) && stolen.contains("no secret"), "{stolen}");
    // What it claimed does not stick: asked without a claim, it is itself again.
    for _ in 0..2 {
        assert!(!peers.fetch(62, "boot.ipxe", "").await.contains(SECRET));
        assert!(!peers.fetch(62, "script", BUILD).await.contains(SECRET));
    }
    let events = peers.events();
    let contradictions: Vec<_> =
        events.iter().filter(|kind| matches!(kind, EventKind::Contradiction { .. })).collect();
    let [EventKind::Contradiction { seen, claimed }] = contradictions[..] else { panic!("{events:?}") };
    assert_eq!((*seen, claimed.as_str()), (mac(2), "52:54:00:00:00:01"));
    assert!(!format!("{events:?}").contains(SECRET));
}

#[tokio::test]
async fn a_passwords_hash_is_a_secret() {
    let preseeded = "[password.root]\nfile = \"password\"\n[boot.preseeded]\nkind = \"linux\"\nkernel = \"linux\"\n\
                     cmdline = \"root-password-crypted={{ password.root }}\"\n";
    let config = CONFIG.replace("boot = \"login\"", "boot = \"preseeded\"") + preseeded;
    let peers = Peers::of(World::with(&config));
    peers.world.hub.leased([(ip(61), Some(held(1))), (ip(62), Some(held(2)))]);
    let own = peers.fetch(61, "script", WEB1).await;
    let (_, hash) = own.split_once("root-password-crypted=").unwrap();
    let hash: Hash = hash.split_whitespace().next().unwrap().parse().unwrap();
    assert!(hash.matches(Phrase::new(SECRET.as_bytes()).unwrap()));
    assert!(!own.contains(SECRET));
    assert_eq!(peers.fetch(61, "script", WEB1).await, own, "it is not made for each request");
    for from in [62, 99] {
        let told = peers.fetch(from, "script", WEB1).await;
        assert!(!told.contains(hash.as_str()) && told.contains("no secret"), "{told}");
    }
    assert!(!format!("{:?}", peers.events()).contains(hash.as_str()));
}

#[tokio::test]
async fn a_stranger_who_names_a_machine_gets_no_secret_of_it() {
    let peers = Peers::new();
    for (name, query) in [("script", WEB1), ("boot.ipxe", BUILD), ("script", BUILD)] {
        let told = peers.fetch(99, name, query).await;
        assert!(!told.contains(SECRET) && told.contains("no secret"), "{name}: {told}");
    }
    assert_eq!(
        peers.world.hub.who(ip(99), NOW),
        Some(mac(1)),
        "for the log and the timeline it is who it says"
    );
}

/// From beyond a router anybody can name a machine, which may be booting elsewhere.
#[tokio::test]
async fn a_stranger_has_no_part_in_the_session_of_a_machine_that_is_elsewhere() {
    let peers = Peers::new();
    peers.world.hub.leased([(ip(61), Some(held(1)))]);
    let session = || peers.world.hub.with_session(mac(1), bootlace::hub::now(), |session| session.cloned());
    let strange = format!("{WEB1}&serial=EVIL");
    peers.fetch(99, "script", &strange).await;
    assert_eq!(session(), None, "it begins none");
    peers.fetch(61, "boot.ipxe", "").await;
    let before = session().unwrap();
    for name in ["script", "boot.ipxe"] {
        let told = peers.fetch(99, name, &strange).await;
        assert!(!told.contains(SECRET), "{told}");
        let outcome = FileOutcome::Sent { bytes: 1, took: Duration::ZERO, retransmits: 0 };
        let file = FileEvent { protocol: Protocol::Http, name: Text::from("linux"), outcome };
        peers.resolver.record(SocketAddrV4::new(ip(99), 50_000), file);
        assert_eq!(session().as_ref(), Some(&before));
    }
    assert_eq!(peers.world.hub.who(ip(99), bootlace::hub::now()), None);
    // Its lease has ended: it may well have the other address.
    peers.world.hub.leased([(ip(61), None)]);
    peers.fetch(99, "script", &strange).await;
    assert_eq!(session().unwrap().address, Some(ip(99)));
}

#[tokio::test]
async fn asking_for_the_size_causes_nothing() {
    let peers = Peers::new();
    peers.world.hub.leased([(ip(62), Some(held(2)))]);
    for (from, query) in [(61, WEB1), (62, WEB1), (62, "")] {
        let probed = peers.ask(from, "script", query, Purpose::SizeProbe).await;
        assert_eq!(probed, peers.ask(from, "script", query, Purpose::SizeProbe).await);
    }
    assert_eq!(peers.events(), []);
    assert_eq!(peers.world.hub.who(ip(61), NOW), None);
    let now = bootlace::hub::now();
    assert!(peers.world.hub.with_session(mac(1), now, |session| session.is_none()));
}

#[tokio::test]
async fn a_step_is_recorded_for_the_machine_of_the_address() {
    let peers = Peers::new();
    peers.world.hub.leased([(ip(61), Some(held(1)))]);
    peers.fetch(61, "script", WEB1).await;
    let now = bootlace::hub::now();
    let boot = |session: Option<&bootlace_core::session::Session>| session.unwrap().boot.clone().unwrap();
    assert_eq!(peers.world.hub.with_session(mac(1), now, boot).0.as_str(), "login");
    let events = peers.events();
    let [EventKind::Script(script)] = &events[..] else { panic!("{events:?}") };
    assert!(matches!(&script.step, ScriptStep::Boot { boot, .. } if boot.as_str() == "login"));
}

#[tokio::test]
async fn a_file_comes_before_the_script_of_its_name() {
    let peers = Peers::new();
    peers.world.hub.leased([(ip(61), Some(held(1)))]);
    peers.fetch(61, "script", WEB1).await;
    let own = peers.fetch(61, "any/mac-525400000001.ipxe", "").await;
    assert!(own.contains(SECRET), "{own}");
    let autoexec = peers.fetch(61, "autoexec.ipxe", "").await;
    assert!(autoexec.contains("dhcp ||\n") && autoexec.contains("/script?mac=${netX/mac}"), "{autoexec}");

    let boot_dir = peers.world.dir.path().join("boot");
    std::fs::write(boot_dir.join("autoexec.ipxe"), "#!ipxe\nshell\n").unwrap();
    let before = peers.events().len();
    let ask = Ask {
        protocol: Protocol::Tftp,
        name: "autoexec.ipxe",
        query: "",
        purpose: Purpose::Fetch,
        peer: SocketAddrV4::new(ip(61), 50_000),
        local: SocketAddrV4::new(ip(10), 0),
        user_agent: None,
    };
    let found = peers.resolver.find(&ask).await;
    let Found::Content(content) = found else { panic!("{found:?}") };
    assert_eq!(content.len, 13, "the file");
    assert_eq!(peers.events().len(), before, "no script was decided");
}

#[tokio::test]
async fn who_asks_by_the_name_of_another_machine_is_noted_and_gets_no_secret() {
    let peers = Peers::new();
    peers.world.hub.leased([(ip(61), Some(held(1))), (ip(62), Some(held(2)))]);
    peers.fetch(61, "script", WEB1).await;
    for name in ["mac-525400000001.ipxe", "hostname-web1.ipxe", "mac-525400000001.ipxe"] {
        let told = peers.fetch(62, name, "").await;
        assert!(!told.contains(SECRET), "{name}: {told}");
    }
    let events = peers.events();
    assert!(events.iter().any(|kind| matches!(kind, EventKind::Contradiction { .. })), "{events:?}");
    assert!(!peers.fetch(62, "boot.ipxe", "").await.contains(SECRET), "it is itself again");
}

#[tokio::test]
async fn a_machine_of_a_client_identifier_is_known_by_its_lease_after_a_restart() {
    let world = World::with(&CONFIG.replace("mac = \"52:54:00:00:00:01\"", "client_id = \"node-7\""));
    let serving = Arc::clone(&world.serving);
    let peers = Peers { resolver: resolver(serving, Arc::clone(&world.hub), None), world };
    let LeaseChange::Put(lease) = lease(61, 1, LeaseState::Bound, Timestamp::NEVER) else { panic!() };
    let told = |id: &[u8]| {
        let lease = Lease { client_id: Some(id.to_vec()), ..lease.clone() };
        peers.world.hub.leased([(ip(61), Held::by(&lease))]);
    };
    told(&[1, 0x52, 0x54, 0, 0, 0, 1]);
    let stranger = peers.fetch(61, "script", BUILD).await;
    assert!(!stranger.contains(SECRET), "{stranger}");
    told(b"node-7");
    let known = peers.fetch(61, "script", BUILD).await;
    assert!(known.contains(SECRET), "{known}");
    // The session that this has opened does not know by itself either.
    assert_eq!(peers.fetch(61, "script", BUILD).await, known);
}
