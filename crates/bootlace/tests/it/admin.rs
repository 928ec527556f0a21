//! The admin API over its two kinds of listener.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bootlace::counters::Counter;
use bootlace::http::{Admin, Guard, Token, routes};
use bootlace::services::dhcp::{Orders, orders};
use bootlace_core::config::BootName;
use bootlace_core::dhcp::LeaseState;
use bootlace_core::event::{
    ClientClass, DecidedBy, DhcpAnswer, DhcpEvent, DhcpMessage, Event, EventKind, FileEvent, FileOutcome,
    Given, Peer, Protocol, ScriptEvent, ScriptStep,
};
use bootlace_core::finding::Trail;
use bootlace_core::learn::Setting;
use bootlace_core::model::{Facts, Firmware, Text, Timestamp, Var};
use bootlace_core::oneshot::Owner;
use tokio::runtime::Runtime;

use crate::world::{World, at, golden, ip, lease, mac};

struct Server {
    world: World,
    socket: PathBuf,
    address: SocketAddr,
    runtime: Runtime,
}

impl Server {
    fn new(token: Option<&str>) -> Self {
        Self::keeping_by(token, Weak::new())
    }

    /// `orders`: to whoever stores what is changed.
    fn keeping_by(token: Option<&str>, orders: Weak<Orders>) -> Self {
        let world = World::new();
        let config = Arc::new(world.dir.path().join("bootlace.toml"));
        let state_dir = Arc::new(world.state_dir());
        let admin = Admin::new(Arc::clone(&world.serving), config, state_dir, Arc::clone(&world.hub))
            .keeping_by(orders);
        let runtime = Runtime::new().unwrap();
        let socket = world.dir.path().join("admin.sock");
        let guard = Guard::Address(token.map(|token| Token::from_file(token).unwrap()));
        listen_at(&runtime, &socket, admin.clone());
        let address = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = routes(admin, guard).into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        });
        Self { world, socket, address, runtime }
    }

    fn post(&self, path: &str, json: &str) -> (u16, String) {
        post(UnixStream::connect(&self.socket).unwrap(), path, json, "")
    }

    fn post_tcp(&self, path: &str, json: &str, headers: &str) -> u16 {
        post(TcpStream::connect(self.address).unwrap(), path, json, headers).0
    }

    fn get(&self, path: &str) -> (u16, String) {
        exchange(UnixStream::connect(&self.socket).unwrap(), path, "Host: bootlace\r\n")
    }

    fn get_tcp(&self, headers: &str) -> u16 {
        exchange(TcpStream::connect(self.address).unwrap(), "/api/v1/leases", headers).0
    }

    fn pretty(&self, path: &str) -> String {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{body}");
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        serde_json::to_string_pretty(&value).unwrap() + "\n"
    }
}

/// Serves the API on a socket in the file system for as long as the runtime lives.
pub(crate) fn listen_at(runtime: &Runtime, socket: &Path, admin: Admin) {
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let router = routes(admin, Guard::Socket);
        tokio::spawn(async move { axum::serve(listener, router).await });
    });
}

fn exchange(mut stream: impl Read + Write, path: &str, headers: &str) -> (u16, String) {
    write!(stream, "GET {path} HTTP/1.0\r\n{headers}\r\n").unwrap();
    answer(stream)
}

pub(crate) fn post(mut stream: impl Read + Write, path: &str, json: &str, headers: &str) -> (u16, String) {
    let length = json.len();
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{json}"
    )
    .unwrap();
    answer(stream)
}

fn answer(mut stream: impl Read) -> (u16, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn record(world: &World, secs: i64, machine: u8, kind: EventKind) {
    let peer = Peer { hw: Some(mac(machine)), ip: Some(ip(60 + machine)) };
    world.hub.record(Event { at: at(secs), peer, kind });
}

fn facts(serial: &str) -> Facts {
    let mut facts = Facts::new();
    facts.set(Var::Serial, serial);
    facts.set(Var::Manufacturer, "QEMU");
    facts
}

fn acked(machine: u8, client: ClientClass) -> EventKind {
    let mut trail = Trail::default();
    trail.add("address 10.188.0.61", "reserved for this machine");
    let boot_file = Some("http://10.188.0.10/boot.ipxe".to_owned());
    EventKind::Dhcp(DhcpEvent {
        message: DhcpMessage::Request,
        client,
        firmware: Some(Firmware::Bios),
        interface: "eth0".into(),
        xid: 7,
        facts: Facts::new(),
        features: None,
        answer: DhcpAnswer::Ack(Given {
            address: ip(60 + machine),
            boot_file,
            next_server: None,
            boot: None,
            chained: false,
            setting: None,
        }),
        trail,
    })
}

fn boots(serial: &str) -> EventKind {
    let step = ScriptStep::Boot { boot: BootName::new("rescue").unwrap(), by: DecidedBy::Rule(1) };
    let trail = Trail::default();
    EventKind::Script(ScriptEvent { name: "script".into(), step, facts: facts(serial), bytes: 99, trail })
}

fn file(name: &str, outcome: FileOutcome) -> EventKind {
    EventKind::File(FileEvent { protocol: Protocol::Http, name: Text::from(name), outcome })
}

fn sent(bytes: u64) -> FileOutcome {
    FileOutcome::Sent { bytes, took: Duration::from_millis(12), retransmits: 0 }
}

/// A named machine that boots, and an unknown one whose download stops.
fn fill(server: &mut Server) {
    let world = &mut server.world;
    let changes = [
        lease(61, 1, LeaseState::Bound, Timestamp::NEVER),
        lease(62, 2, LeaseState::Bound, at(60)),
        lease(63, 3, LeaseState::Released, at(60)),
        lease(64, 4, LeaseState::Declined, at(60)),
    ];
    world.store.commit(&changes).unwrap();
    record(world, 0, 1, acked(1, ClientClass::Ipxe));
    record(world, 1, 1, boots("S1"));
    record(world, 2, 1, file("linux", sent(8)));
    record(world, 3, 2, acked(2, ClientClass::Ipxe));
    let aborted = FileOutcome::Aborted { bytes: 5, of: 8, why: Text::from("closed") };
    record(world, 4, 2, file("linux", aborted));
    record(world, 5, 1, file("initrd", FileOutcome::Absent("no such file".into())));
}

#[test]
fn every_route_as_written() {
    let mut server = Server::new(None);
    fill(&mut server);
    golden("api/leases.json", &server.pretty("/api/v1/leases"));
    golden("api/machines.json", &server.pretty("/api/v1/machines"));
    golden("api/boots.json", &server.pretty("/api/v1/boots"));
    golden("api/boots-of-one.json", &server.pretty("/api/v1/boots?mac=52-54-00-00-00-02"));
    golden("api/boot.json", &server.pretty("/api/v1/boots/1"));
    let counters = server.world.hub.counters();
    counters.count(Counter::DhcpExhausted);
    counters.count(Counter::TftpClientFull);
    golden("api/counters.json", &server.pretty("/api/v1/counters"));
    assert_eq!(server.get("/healthz"), (200, "ok\n".into()));
}

#[test]
fn leases_come_in_parts() {
    let mut server = Server::new(None);
    fill(&mut server);
    let addresses = |query: &str| {
        let body = server.get(&format!("/api/v1/leases{query}")).1;
        let leases: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        leases.into_iter().map(|lease| lease["address"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = addresses("");
    assert!(all.len() > 2);
    assert_eq!(addresses("?limit=2"), all[..2]);
    assert_eq!(addresses(&format!("?after={}", all[1])), all[2..]);
    assert!(addresses("?after=255.255.255.255").is_empty());
    assert_eq!(server.get("/api/v1/leases?after=me").0, 400);
}

#[test]
fn what_is_not_there_is_said() {
    let server = Server::new(None);
    for empty in ["/api/v1/leases", "/api/v1/boots", "/api/v1/boots?mac=52:54:00:00:00:09"] {
        assert_eq!(server.get(empty), (200, "[]".into()), "{empty}");
    }
    assert_eq!(server.get("/api/v1/boots/9"), (404, "there is no boot 9\n".into()));
    for path in ["/api/v1/nothing", "/api/v1", "/", "/boot.ipxe", "/linux"] {
        assert_eq!(server.get(path), (404, "there is nothing of this name here\n".into()), "{path}");
    }
    assert_eq!(server.get("/api/v1/boots/x").0, 400);
    let (status, said) = server.get("/api/v1/boots?mac=52:54:00");
    assert!(status == 400 && said.contains("MAC"), "{status} {said}");
}

#[test]
fn a_list_of_long_boots_looks_at_their_beginning_only() {
    let server = Server::new(None);
    record(&server.world, 0, 1, boots("S1"));
    for secs in 1..=300 {
        record(&server.world, secs, 1, file(&format!("package-{secs}"), sent(10)));
    }
    let (_, list) = server.get("/api/v1/boots");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let (_, one) = server.get("/api/v1/boots/1");
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(list[0]["stage"], "payload");
    assert_eq!(list[0]["last"], one["boot"]["last"], "the last sign of life is known all the same");
    assert_eq!(list[0]["bytes"], 2550, "of 256 events");
    assert_eq!(one["boot"]["bytes"], 3000);
}

#[test]
fn a_boot_that_goes_on_is_shown_as_it_is_now() {
    let server = Server::new(None);
    let now = bootlace::hub::now();
    let peer = Peer { hw: Some(mac(1)), ip: None };
    for _ in 0..300 {
        server.world.hub.record(Event { at: now, peer, kind: file("package", sent(10)) });
    }
    let (_, list) = server.get("/api/v1/boots");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["bytes"], 3000);
}

#[test]
fn the_address_wants_a_good_host_and_no_wrong_token() {
    const TOKEN: &str = "0123456789abcdef";
    let open = Server::new(None);
    assert_eq!(open.get_tcp("Host: 127.0.0.1\r\n"), 200, "loopback may read");
    assert_eq!(open.get_tcp(""), 200);
    assert_eq!(open.get_tcp("Host: evil.example\r\n"), 403);
    let closed = Server::new(Some(TOKEN));
    assert_eq!(closed.get_tcp("Host: localhost\r\n"), 200, "loopback may read");
    assert_eq!(closed.get_tcp("Host: localhost\r\nAuthorization: Bearer wrong\r\n"), 401);
    assert_eq!(closed.get_tcp("Host: evil.example\r\n"), 403);
    assert_eq!(closed.get_tcp(&format!("Host: pxe.example.com\r\nAuthorization: Bearer {TOKEN}\r\n")), 200);
    assert_eq!(closed.get("/api/v1/leases").0, 200, "the socket's mode is its guard");
}

#[test]
fn it_only_reads() {
    let server = Server::new(None);
    for method in ["POST", "PUT", "DELETE"] {
        let mut stream = UnixStream::connect(&server.socket).unwrap();
        write!(stream, "{method} /api/v1/leases HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 405"), "{method}: {answer}");
    }
}

const PIN: &str = r#"{"mac": "52:54:00:00:00:01", "setting": "native", "firmware": "uefi-x64"}"#;

#[test]
fn what_boots_taught_is_listed() {
    let server = Server::new(None);
    assert_eq!(server.get("/api/v1/learned"), (200, "[]".into()));
    server.world.hub.pin(mac(1), Some(Firmware::UefiX64), Setting::Native, at(0));
    server.world.hub.pin(mac(2), Some(Firmware::Bios), Setting::OtherRecipe, at(60));
    golden("api/learned.json", &server.pretty("/api/v1/learned"));
}

#[test]
fn a_change_that_cannot_be_kept_says_so() {
    let off = Server::new(None);
    let none = (409, "DHCP is off: nothing is learned here\n".into());
    assert_eq!(off.post("/api/v1/learned/pin", PIN), none);
    assert_eq!(off.post("/api/v1/learned/clear", r#"{"mac": "52:54:00:00:00:01"}"#), none);
    assert_eq!(off.get("/api/v1/learned"), (200, "[]".into()), "nothing was pinned");

    let (orders, inbox) = orders().unwrap();
    drop(inbox);
    let orders = Arc::new(orders);
    let ending = Server::keeping_by(None, Arc::downgrade(&orders));
    assert_eq!(ending.post("/api/v1/learned/pin", PIN), (409, "the server stops\n".into()));
}

#[test]
fn a_change_that_makes_no_sense_is_refused() {
    let (orders, _inbox) = orders().unwrap();
    let orders = Arc::new(orders);
    let server = Server::keeping_by(None, Arc::downgrade(&orders));
    let of = |mac: &str, rest: &str| format!(r#"{{"mac": "{mac}"{rest}}}"#);
    let known = "52:54:00:00:00:01";
    let cases = [
        (of("52:54", r#", "setting": "native""#), "this is no MAC"),
        (of(known, r#", "setting": "fast""#), "there is no such setting"),
        (of(known, r#", "setting": "native", "firmware": "coreboot""#), "there is no such firmware"),
        (of(known, r#", "setting": "native""#), "nothing is known of this machine: say its firmware"),
    ];
    for (json, said) in cases {
        assert_eq!(server.post("/api/v1/learned/pin", &json), (400, format!("{said}\n")), "{json}");
    }
    assert_eq!(server.post("/api/v1/learned/pin", &of(known, "")).0, 422);
    let unknown = (404, "nothing is known of this machine\n".into());
    assert_eq!(server.post("/api/v1/learned/clear", &of(known, "")), unknown);
    for firmware in [Firmware::Bios, Firmware::UefiX64] {
        server.world.hub.pin(mac(1), Some(firmware), Setting::Native, at(0));
    }
    let several = "say its firmware, one of bios, uefi-x64\n";
    let json = of(known, r#", "setting": "native""#);
    assert_eq!(server.post("/api/v1/learned/pin", &json), (400, several.into()));
}

#[test]
fn a_change_over_the_address_wants_the_token() {
    const TOKEN: &str = "0123456789abcdef";
    for server in [Server::new(None), Server::new(Some(TOKEN))] {
        assert_eq!(server.post_tcp("/api/v1/learned/pin", PIN, "Host: localhost\r\n"), 401);
    }
    let server = Server::new(Some(TOKEN));
    let right = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
    assert_eq!(server.post_tcp("/api/v1/learned/pin", PIN, &right), 409, "let through: DHCP is off");
}

#[test]
fn a_boot_for_once_is_armed_shown_and_cancelled() {
    let server = Server::new(None);
    const PATH: &str = "/api/v1/machines/next-boot";
    let arm = |machine: &str, rest: &str| {
        server.post(PATH, &format!(r#"{{"machine": "{machine}", "boot": "rescue"{rest}}}"#))
    };
    let next = |name: &str| -> serde_json::Value {
        let machines: serde_json::Value = serde_json::from_str(&server.get("/api/v1/machines").1).unwrap();
        let one = machines.as_array().unwrap().iter().find(|machine| machine["name"] == name).unwrap();
        one["next_boot"].clone()
    };
    assert_eq!(next("web1"), serde_json::Value::Null);
    assert_eq!(arm("web1", ""), (200, "web1 boots rescue once\n".into()));
    assert_eq!(
        (&next("web1")["state"], &next("web1")["expires"]),
        (&"armed".into(), &serde_json::Value::Null)
    );
    // By its MAC it is the same machine; what was armed is replaced.
    let told = arm("52:54:00:00:00:01", r#", "confirm": "X1", "expires": 7200"#);
    assert_eq!(told, (200, "web1 boots rescue once\n".into()));
    assert_eq!((&next("web1")["boot"], &next("web1")["confirm"]), (&"rescue".into(), &"X1".into()));
    assert!(next("web1")["expires"].is_string());
    assert_eq!(arm("52:54:00:00:00:09", "").0, 200, "a machine that nobody knows yet");
    // Before the machine had a name, somebody has armed it by its MAC.
    let before = || {
        let shot = crate::one_shots::shot("rescue");
        let armed = server.world.hub.one_shots().arm(Owner::named("52:54:00:00:00:01"), shot);
        server.runtime.block_on(armed).unwrap();
    };
    before();
    assert_eq!(arm("web1", "").0, 200, "it takes the place of that, too");
    let owners = || server.world.hub.one_shots().all().0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(owners(), ["52:54:00:00:00:09", "web1"].map(Owner::named));
    let cancel =
        |machine: &str| server.post(&format!("{PATH}/cancel"), &format!(r#"{{"machine": "{machine}"}}"#));
    assert_eq!(cancel("web1"), (200, "web1 boots as usual\n".into()));
    assert_eq!(cancel("web1"), (404, "nothing is armed for this machine\n".into()));
    before();
    assert_eq!(next("web1")["state"], "armed");
    assert_eq!(cancel("web1"), (200, "web1 boots as usual\n".into()));
    assert_eq!(owners(), ["52:54:00:00:00:09"].map(Owner::named));
    assert_eq!(next("web1"), serde_json::Value::Null);
    for (machine, rest, said) in [
        ("web2", "", "there is no machine \"web2\"; did you mean web1?"),
        ("web1", r#", "expires": 0"#, "it would expire at once"),
        ("web1", r#", "expires": 999999999999"#, "it would expire in more than ten years"),
        ("web1", r#", "confirm": """#, "the serial to confirm is empty"),
    ] {
        assert_eq!(arm(machine, rest), (400, format!("{said}\n")));
    }
    let boot = server.post(PATH, r#"{"machine": "web1", "boot": "resque"}"#);
    assert_eq!(boot, (400, "there is no boot \"resque\"; did you mean rescue?\n".into()));
    assert_eq!(cancel("web2").0, 400);
    assert_eq!(server.post(PATH, r#"{"machine": "web1"}"#).0, 422);
    assert_eq!(server.post_tcp(PATH, r#"{"machine": "web1", "boot": "rescue"}"#, "Host: localhost\r\n"), 401);
}

#[test]
fn a_machine_is_adopted_into_a_file_of_config() {
    let server = Server::new(None);
    let state_dir = server.world.state_dir();
    bootlace::adopted::ensure(&state_dir).unwrap();
    const PATH: &str = "/api/v1/machines/adopt";
    let adopt = |mac: &str, name: &str, rest: &str| {
        server.post(PATH, &format!(r#"{{"mac": "{mac}", "name": "{name}"{rest}}}"#))
    };
    let mut facts = Facts::new();
    facts.set(Var::Serial, "X 9");
    facts.set(Var::Uuid, "4c4c4544-0039-4e10-804e-b9c04f4d344a");
    let dhcp = DhcpEvent {
        message: DhcpMessage::Discover,
        client: ClientClass::Firmware,
        firmware: None,
        interface: "eth0".into(),
        xid: 1,
        facts,
        features: None,
        answer: DhcpAnswer::Silence("test".into()),
        trail: Trail::default(),
    };
    let peer = Peer { hw: Some(mac(9)), ip: None };
    server.world.hub.record(Event { at: at(1), peer, kind: EventKind::Dhcp(dhcp) });
    assert_eq!(adopt("52:54:00:00:00:09", "web9", ""), (200, "52:54:00:00:00:09 is web9\n".into()));
    assert_eq!(adopt("52:54:00:00:00:0a", "web10", r#", "boot": "rescue""#).0, 200);
    let file = bootlace_core::config::adopted_file(&state_dir);
    let expected = "[[machine]]\nname = \"web9\"\nmac = \"52:54:00:00:00:09\"\n\
                    uuid = \"4c4c4544-0039-4e10-804e-b9c04f4d344a\"\nserial = \"X 9\"\n\
                    [[machine]]\nname = \"web10\"\nmac = \"52:54:00:00:00:0a\"\nboot = \"rescue\"\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    for (mac, name, rest, said) in [
        ("52:54:00:00:00:01", "new", "", "this machine is web1 already"),
        ("52:54:00:00:00:0b", "WEB1", "", "there is a machine web1 already"),
        ("52:54:00:00:00:0b", "two words", "", "\"two words\" is no name of a host"),
        ("nonsense", "new", "", "this is no MAC"),
        (
            "52:54:00:00:00:0b",
            "new",
            r#", "boot": "resque""#,
            "there is no boot \"resque\"; did you mean rescue?",
        ),
        // The config in force knows none of them yet.
        ("52:54:00:00:00:09", "web9", "", "this machine is web9 already"),
        ("52:54:00:00:00:0a", "other", "", "this machine is web10 already"),
        ("52:54:00:00:00:0b", "Web9", "", "there is a machine web9 already"),
    ] {
        assert_eq!(adopt(mac, name, rest), (400, format!("{said}\n")));
    }
    for mac in ["01:00:5e:00:00:01", "00:00:00:00:00:00"] {
        let (status, said) = adopt(mac, "new", "");
        assert!(status == 400 && said.contains("is no address of one interface"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected, "nothing was added");
}

/// What is in the file and does not count keeps others from its name and card all the same.
#[test]
fn nothing_is_adopted_that_would_keep_the_config_out() {
    let server = Server::new(None);
    let state_dir = server.world.state_dir();
    bootlace::adopted::ensure(&state_dir).unwrap();
    let adopt = |mac: &str, name: &str| {
        let json = format!(r#"{{"mac": "{mac}", "name": "{name}"}}"#);
        server.post("/api/v1/machines/adopt", &json)
    };
    let left = "[[machine]]\nname = \"left\"\nmac = [\"52:54:00:00:00:01\", \"52:54:00:00:00:09\"]";
    bootlace::adopted::write(&state_dir, left).unwrap();
    for (mac, name) in [("52:54:00:00:00:0a", "left"), ("52:54:00:00:00:09", "new")] {
        let (status, said) = adopt(mac, name);
        assert!(status == 400 && said.contains("is already on line"), "{said}");
        assert_eq!(bootlace::adopted::read(&state_dir).unwrap(), left);
    }
    assert_eq!(adopt("52:54:00:00:00:0a", "new").0, 200);
    // Somebody is editing the config.
    std::fs::write(server.world.dir.path().join("bootlace.toml"), "default = \"nothing\"").unwrap();
    let (status, said) = adopt("52:54:00:00:00:0b", "newer");
    assert!(status == 400 && said.contains("there is no boot `nothing`"), "{said}");
}

/// Boards of one series that all report the same.
#[test]
fn machines_that_report_the_same_are_told_apart_by_their_cards() {
    let server = Server::new(None);
    bootlace::adopted::ensure(&server.world.state_dir()).unwrap();
    for last in [9, 10] {
        let mut facts = Facts::new();
        facts.set(Var::Serial, "X 9");
        facts.set(Var::Uuid, "4c4c4544-0039-4e10-804e-b9c04f4d344a");
        let step = ScriptStep::Identify;
        let script = ScriptEvent { name: "script".into(), step, facts, bytes: 1, trail: Trail::default() };
        let peer = Peer { hw: Some(mac(last)), ip: None };
        server.world.hub.record(Event { at: at(1), peer, kind: EventKind::Script(script) });
    }
    let adopt = |mac: &str, name: &str| {
        let json = format!(r#"{{"mac": "{mac}", "name": "{name}"}}"#);
        server.post("/api/v1/machines/adopt", &json)
    };
    assert_eq!(adopt("52:54:00:00:00:09", "web9").0, 200);
    assert_eq!(adopt("52:54:00:00:00:0a", "web10").0, 200);
    let text = bootlace::adopted::read(&server.world.state_dir()).unwrap();
    assert_eq!((text.matches("serial").count(), text.matches("uuid").count()), (1, 1), "{text}");
}
