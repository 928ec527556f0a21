//! Installations on a running server: who gets answers, for how long, and when they are done.

use std::net::SocketAddrV4;
use std::sync::Arc;

use bootlace::files::Body;
use bootlace::hub::Hub;
use bootlace::one_shots::Book;
use bootlace::resolver::{Ask, Found, Purpose};
use bootlace::serving::resolver;
use bootlace::tokens::Tokens;
use bootlace_core::event::{EventKind, FileEvent, FileOutcome, Protocol};
use bootlace_core::model::Text;
use bootlace_core::oneshot::{OneShot, Stage};
use bootlace_core::session::SessionId;
use bootlace_store::journal::{Retention, Writer};
use bootlace_store::{Journal, OneShotStore};

use crate::one_shots::{restart, sent, settled, shot, web1};
use crate::serving::Peers;
use crate::world::{World, held, ip, mac};

const CONFIG: &str = r#"
state_dir = "state"
boot_dir = "boot"
follow = []
[password.root]
file = "password"
[boot.debian]
kind = "install"
family = "debian"
kernel = "linux"
answer = "preseed.cfg"
[[machine]]
name = "web1"
mac = "52:54:00:00:00:01"
"#;
const REPORT: &str = "platform=pcbios&buildarch=i386&serial=X1";

async fn armed() -> Peers {
    let peers = Peers::of(World::with(CONFIG));
    peers.world.hub.leased([1, 2].map(|last| (ip(60 + last), Some(held(last)))));
    peers.world.hub.one_shots().arm(web1(), shot("debian")).await.unwrap();
    peers
}

/// The token that a script tells.
fn token(script: &str) -> String {
    let (_, rest) = script.split_once("/answer/").unwrap_or_else(|| panic!("{script}"));
    rest.split_once('/').unwrap().0.to_owned()
}

async fn find(peers: &Peers, from: u8, name: &str, purpose: Purpose) -> Found {
    let ask = Ask {
        protocol: Protocol::Http,
        name,
        query: "",
        purpose,
        peer: SocketAddrV4::new(ip(from), 50_000),
        local: SocketAddrV4::new(ip(10), 80),
        user_agent: None,
    };
    peers.resolver.find(&ask).await
}

async fn get(peers: &Peers, from: u8, name: &str) -> Result<String, String> {
    match find(peers, from, name, Purpose::Fetch).await {
        Found::Content(content) => match &content.body {
            Body::Bytes(text) => Ok(String::from_utf8(text.to_vec()).unwrap()),
            Body::File(_) => panic!("an answer is no file"),
        },
        Found::Absent(why) => Err(why),
        other => panic!("{other:?}"),
    }
}

fn stage(peers: &Peers) -> Stage {
    peers.world.hub.one_shots().all().0[&web1()].stage.clone()
}

#[tokio::test]
async fn a_machine_is_installed_once_and_says_so() {
    let peers = armed().await;
    let script = peers.fetch(61, "script", REPORT).await;
    let token = token(&script);
    assert_eq!(crate::installs::token(&peers.fetch(61, "script", REPORT).await), token, "asking again");
    let preseed = format!("answer/{token}/preseed.cfg");
    let text = get(&peers, 61, &preseed).await.unwrap();
    assert!(text.starts_with("serial X1\npassword $6$"), "{text}");
    let foreign = get(&peers, 62, &preseed).await.unwrap_err();
    assert!(foreign.contains("not that of the machine"), "{foreign}");
    assert!(get(&peers, 99, &preseed).await.is_err(), "an address that nothing shows");
    assert_eq!(get(&peers, 61, "answer/0123/preseed.cfg").await, Err("this is no token".into()));
    // An installer takes longer than a session lasts; its facts do not go with that.
    restart(&peers, mac(1));
    assert_eq!(get(&peers, 61, &preseed).await, Ok(text));
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Answer(_)), "{:?}", stage(&peers));
    let done = format!("done/{token}");
    assert!(get(&peers, 62, &done).await.is_err());
    drop(find(&peers, 61, &done, Purpose::SizeProbe).await);
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Answer(_)), "who asks for a length ends nothing");
    for _ in 0..2 {
        assert_eq!(get(&peers, 61, &done).await, Ok("done\n".into()));
        assert!(matches!(stage(&peers), Stage::Done(_)), "{:?}", stage(&peers));
    }
    let script = peers.fetch(61, "script", REPORT).await;
    assert!(!script.contains("answer/"), "it is installed: {script}");
}

#[tokio::test]
async fn an_installation_is_told_step_by_step_and_once() {
    let peers = armed().await;
    let script = peers.fetch(61, "script", REPORT).await;
    let preseed = format!("answer/{}/preseed.cfg", token(&script));
    assert!(matches!(stage(&peers), Stage::Taken(_)), "{:?}", stage(&peers));
    drop(find(&peers, 61, &preseed, Purpose::SizeProbe).await);
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Taken(_)), "who asks for a length changes nothing");
    sent(&peers, 61, "linux");
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Payload(_)), "{:?}", stage(&peers));
    get(&peers, 61, &preseed).await.unwrap();
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Answer(_)), "{:?}", stage(&peers));
    // A kernel that is fetched again takes nothing back.
    sent(&peers, 61, "linux");
    settled(&peers).await;
    assert!(matches!(stage(&peers), Stage::Answer(_)), "{:?}", stage(&peers));
    for _ in 0..2 {
        restart(&peers, mac(1));
        let script = peers.fetch(61, "script", REPORT).await;
        assert!(!script.contains("answer/"), "it is not installed again by itself: {script}");
        settled(&peers).await;
        assert!(matches!(stage(&peers), Stage::Looped(_)), "{:?}", stage(&peers));
    }
}

/// Where another server speaks DHCP, or nobody does, there is nothing to see between two boots but what is asked for.
#[tokio::test]
async fn nobody_is_installed_twice_without_dhcp() {
    for (name, is_done) in [("boot.ipxe", true), ("autoexec.ipxe", true), ("script", true), ("script", false)]
    {
        let peers = armed().await;
        peers.fetch(61, "boot.ipxe", "").await;
        let token = token(&peers.fetch(61, "script", REPORT).await);
        sent(&peers, 61, "linux");
        get(&peers, 61, &format!("answer/{token}/preseed.cfg")).await.unwrap();
        if is_done {
            get(&peers, 61, &format!("done/{token}")).await.unwrap();
        }
        settled(&peers).await;
        for _ in 0..2 {
            peers.fetch(61, name, REPORT).await;
            let script = peers.fetch(61, "script", REPORT).await;
            assert!(!script.contains("answer/"), "{name}: {script}");
        }
        settled(&peers).await;
        match is_done {
            true => assert!(matches!(stage(&peers), Stage::Done(_)), "{:?}", stage(&peers)),
            false => assert!(matches!(stage(&peers), Stage::Looped(_)), "{:?}", stage(&peers)),
        }
        get(&peers, 61, &format!("answer/{token}/preseed.cfg")).await.unwrap();
    }
}

#[tokio::test]
async fn an_installer_that_comes_to_nothing_is_not_started_again_without_dhcp() {
    let peers = armed().await;
    let ask = async || {
        peers.fetch(61, "boot.ipxe", "").await;
        peers.fetch(61, "script", REPORT).await
    };
    for _ in 0..2 {
        assert!(ask().await.contains("answer/"), "iPXE asks again before it has a kernel");
    }
    sent(&peers, 61, "linux");
    settled(&peers).await;
    let Stage::Payload(taker) = stage(&peers) else { panic!("{:?}", stage(&peers)) };
    peers.ask(61, "boot.ipxe", "", Purpose::SizeProbe).await;
    assert!(
        peers.fetch(61, "script", REPORT).await.contains("answer/"),
        "who asks for a length ends nothing"
    );
    peers.fetch(99, "boot.ipxe", "mac=52:54:00:00:00:01").await;
    peers.fetch(99, "script", &format!("mac=52:54:00:00:00:01&{REPORT}")).await;
    assert!(peers.fetch(61, "script", REPORT).await.contains("answer/"), "nor who only says that it is web1");
    assert!(!ask().await.contains("answer/"), "it has started again");
    settled(&peers).await;
    assert_eq!(stage(&peers), Stage::Looped(taker));
}

#[tokio::test]
async fn the_journal_has_no_token() {
    let peers = armed().await;
    let token = token(&peers.fetch(61, "script", REPORT).await);
    for name in [format!("answer/{token}/preseed.cfg"), format!("done/{token}")] {
        let outcome = FileOutcome::Absent("no such answer".into());
        let event = FileEvent { protocol: Protocol::Http, name: Text::from(name.as_str()), outcome };
        peers.resolver.record(SocketAddrV4::new(ip(61), 50_000), event);
    }
    let events = peers.events();
    let names: Vec<_> = events
        .iter()
        .filter_map(|kind| match kind {
            EventKind::File(file) => Some(file.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["answer/TOKEN/preseed.cfg", "done/TOKEN"]);
    assert!(!format!("{events:?}").contains(&token));
}

/// Another run of the server over the same state: without sessions, and nothing that a machine has reported.
fn run(peers: &Peers, tokens: Tokens) -> Peers {
    let state = peers.world.state_dir();
    let world = World::with(CONFIG);
    let journal = Journal::open(world.dir.path()).unwrap();
    let writer = Writer::spawn(journal, Retention::default()).unwrap();
    let hub = Hub::new(SessionId(1000), [1].map(|last| (ip(60 + last), held(last))), writer);
    let book = Book::keep(OneShotStore::open(&state).unwrap()).unwrap();
    let hub = Arc::new(hub.with_one_shots(book).with_tokens(tokens));
    Peers { resolver: resolver(Arc::clone(&peers.world.serving), hub, None), world }
}

fn tokens(peers: &Peers) -> Tokens {
    Tokens::open(&peers.world.state_dir()).unwrap()
}

#[tokio::test]
async fn a_token_outlives_the_server() {
    let peers = armed().await;
    let token = token(&run(&peers, tokens(&peers)).fetch(61, "script", REPORT).await);
    let after = run(&peers, tokens(&peers));
    let text = get(&after, 61, &format!("answer/{token}/preseed.cfg")).await.unwrap();
    assert!(text.starts_with("serial \npassword $6$"), "what it reported is forgotten: {text}");
    assert_eq!(get(&after, 61, &format!("done/{token}")).await, Ok("done\n".into()));
    let other = run(&peers, Tokens::random().unwrap());
    assert!(get(&other, 61, &format!("done/{token}")).await.is_err(), "another server's");
}

#[tokio::test]
async fn what_was_picked_outlives_its_session_and_the_server() {
    let menu = format!("default = \"menu\"\n{CONFIG}[boot.menu]\nkind = \"menu\"\nentries = [\"debian\"]\n");
    let peers = Peers::of(World::with(&menu));
    peers.world.hub.leased([(ip(61), Some(held(1)))]);
    let first = run(&peers, tokens(&peers));
    let script = first.fetch(61, "script", &format!("{REPORT}&boot=debian")).await;
    let preseed = format!("answer/{}/preseed.cfg", token(&script));
    assert!(get(&first, 61, &preseed).await.unwrap().starts_with("serial X1\n"));
    let after = run(&peers, tokens(&peers));
    assert!(get(&after, 61, &preseed).await.unwrap().contains("password $6$"));
    assert!(
        get(&after, 61, &preseed.replace("debian", "menu")).await.is_err(),
        "it is no word of the asker's"
    );
}

/// What a machine has reported decides who gets the installation, and nobody has to report it to get the answers.
#[tokio::test]
async fn what_the_machine_reported_is_not_needed_for_its_answers() {
    let by_serial = CONFIG.replace("mac = \"52:54:00:00:00:01\"", "serial = \"X1\"");
    for (config, confirm) in [(CONFIG, Some("X1")), (&by_serial, None)] {
        let peers = Peers::of(World::with(config));
        let shot = OneShot { confirm: confirm.map(Text::from), ..shot("debian") };
        peers.world.hub.one_shots().arm(web1(), shot).await.unwrap();
        let script = run(&peers, tokens(&peers)).fetch(61, "script", REPORT).await;
        let token = token(&script);
        let after = run(&peers, tokens(&peers));
        let text = get(&after, 61, &format!("answer/{token}/preseed.cfg")).await.unwrap();
        assert!(text.contains("password $6$"), "{text}");
        get(&after, 61, &format!("done/{token}")).await.unwrap();
        let stored = OneShotStore::open(&peers.world.state_dir()).unwrap().all().unwrap();
        assert!(matches!(stored.0[&web1()].stage, Stage::Done(_)), "{stored:?}");
    }
}
