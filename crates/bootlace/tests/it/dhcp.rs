//! The DHCP service on real sockets: all in a network namespace of the test's own, where port 67 is free and
//! may be bound by anybody.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use bootlace::counters::Counter;
use bootlace::http::Admin;
use bootlace::net::{DatagramSocket, PacketSocket, interfaces};
use bootlace::services::dhcp::{Dhcp, Ear, HostClock, Neighbourhood, Order, Orders, Port, Prober, orders};
use bootlace::serving::Serving;
use bootlace_core::config::Config;
use bootlace_core::dhcp::{LeaseTable, Reading};
use bootlace_core::event::{DhcpAnswer, Event, EventKind};
use bootlace_core::learn::{Fact, Setting};
use bootlace_core::model::{Timestamp, Uuid};
use bootlace_store::journal::EventId;
use bootlace_store::{JournalReader, LeaseReader, Store, StoreError};
use bootlace_wire::dhcp::{Code, Message, MessageType, Op};
use tokio::sync::oneshot;

use crate::admin::{listen_at, post};
use crate::world::{World, ip, mac};

/// Set inside of the namespace.
const INSIDE: &str = "BOOTLACE_TEST_NAMESPACE";
/// Longest wait for an answer that must come.
const WAIT: Duration = Duration::from_secs(20);
/// How long to listen for one that must not.
const LISTEN: Duration = Duration::from_millis(20);

/// Runs the named test in a network namespace. `true`: this is inside.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = "ip link set lo up && ip addr add 10.188.0.9/24 dev lo && ip addr add 10.188.0.10/24 dev lo && ip addr add 10.188.0.1/32 dev lo \
                  && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its namespace");
    false
}

/// A service, and a relay before it.
struct Running {
    world_dir: std::path::PathBuf,
    dir: tempfile::TempDir,
    config: Config,
    hub: Arc<bootlace::hub::Hub>,
    serving: Arc<ArcSwap<Serving>>,
    relay: UdpSocket,
    stop: Orders,
    thread: JoinHandle<io::Result<()>>,
}

/// A service by the host's clock.
fn start(before: impl FnOnce(&UdpSocket)) -> Running {
    start_by(HostClock::start, before)
}

/// `before`: what happens when its sockets are bound but nobody reads.
fn start_by(
    clock: impl FnOnce(&mut LeaseTable, &mut Store) -> Result<HostClock, StoreError>,
    before: impl FnOnce(&UdpSocket),
) -> Running {
    let world = World::new();
    let relay = UdpSocket::bind((ip(1), 67)).unwrap();
    let socket = DatagramSocket::bind_address(SocketAddrV4::new(ip(10), 67)).unwrap();
    relay.connect((ip(10), 67)).unwrap();
    before(&relay);
    let mut interface = interfaces().unwrap()["lo"].clone();
    interface.addresses.retain(|own| [ip(9), ip(10)].contains(&own.ip));
    // Another one comes first: nothing may depend on it.
    interface.addresses.sort_by_key(|own| own.ip);
    let (stop, inbox) = orders().unwrap();
    let world_dir = world.state_dir();
    let World { dir, mut store, hub, serving, .. } = world;
    let mut table = LeaseTable::new(&serving.load().config, Vec::new());
    let clock = clock(&mut table, &mut store).unwrap();
    let config = serving.load().config.clone();
    let ports = vec![Port::on(&interface, Ear::Server(socket))];
    let neighbourhood = Neighbourhood::new(&config, &ports, bootlace::hub::now()).unwrap();
    let service = Dhcp {
        ports,
        frames: PacketSocket::open().unwrap(),
        prober: Prober::default(),
        serving: Arc::clone(&serving),
        clock,
        neighbourhood,
        table,
        store,
        hub: Arc::clone(&hub),
        inbox,
    };
    let thread = thread::spawn(move || service.run());
    Running { world_dir, dir, config, hub, serving, relay, stop, thread }
}

fn message(kind: MessageType, machine: u8) -> Message {
    let mut message = Message::new(Op::Request, mac(machine), machine.into());
    message.giaddr = ip(1);
    message.options.set_u8(Code::MESSAGE_TYPE, kind.code());
    message
}

fn send(relay: &UdpSocket, message: &Message) {
    relay.send(&message.encode(1472).bytes).unwrap();
}

impl Running {
    fn discover(&self, machine: u8) {
        send(&self.relay, &message(MessageType::Discover, machine));
    }

    fn request(&self, machine: u8, address: Ipv4Addr) {
        let mut message = message(MessageType::Request, machine);
        message.options.set_ip(Code::REQUESTED_IP, address);
        message.options.set_ip(Code::SERVER_ID, ip(10));
        send(&self.relay, &message);
    }

    /// The next answer: its type, the machine that it is for and its address.
    fn answer(&self) -> (MessageType, u32, Ipv4Addr) {
        let answer = self.message();
        (answer.message_type().unwrap(), answer.xid, answer.yiaddr)
    }

    fn message(&self) -> Message {
        self.relay.set_read_timeout(Some(WAIT)).unwrap();
        let mut bytes = [0; 1500];
        let len = self.relay.recv(&mut bytes).unwrap();
        Message::decode(&bytes[..len]).unwrap()
    }

    /// Hears nothing until so many were not stored.
    fn silent_until(&self, not_stored: u64) {
        self.relay.set_read_timeout(Some(LISTEN)).unwrap();
        while self.hub.counters().get(Counter::DhcpNotStored) < not_stored {
            assert!(self.relay.recv(&mut [0; 1500]).is_err(), "an answer that was not stored");
        }
        assert!(self.relay.recv(&mut [0; 1500]).is_err(), "an answer that was not stored");
    }

    /// Something happens to the database behind the service's back.
    fn sql(&self, text: &str) {
        rusqlite::Connection::open(self.world_dir.join("bootlace.db")).unwrap().execute_batch(text).unwrap();
    }

    /// The end of each stored lease.
    fn ends(&self) -> Vec<(Ipv4Addr, Timestamp)> {
        let leases = LeaseReader::open(&self.world_dir).unwrap().leases().unwrap();
        leases.into_iter().map(|lease| (lease.address, lease.until)).collect()
    }

    fn holders(&self) -> Vec<(Ipv4Addr, bootlace_wire::HwAddr)> {
        let leases = LeaseReader::open(&self.world_dir).unwrap().leases().unwrap();
        leases.into_iter().map(|lease| (lease.address, lease.hw)).collect()
    }

    /// Who was not answered, and what the history says why.
    fn silences(&self) -> Vec<(bootlace_wire::HwAddr, String)> {
        self.hub.journal().flush().unwrap();
        let events =
            JournalReader::open(&self.world_dir).unwrap().events_after(EventId(0), 100).unwrap().events;
        let silent = events.into_iter().filter_map(|event| {
            let Event { peer, kind: EventKind::Dhcp(dhcp), .. } = event.record.event else { return None };
            let DhcpAnswer::Silence(why) = dhcp.answer else { return None };
            Some((peer.hw?, why))
        });
        silent.collect()
    }

    /// Its folder, with the store closed.
    fn stop(self) -> tempfile::TempDir {
        drop(self.stop);
        self.thread.join().unwrap().unwrap();
        self.dir
    }
}

#[test]
fn a_link_that_stands_in_is_served_while_it_is_there() {
    if !inside("dhcp::a_link_that_stands_in_is_served_while_it_is_there") {
        return;
    }
    let running = start(|_| {});
    let link = SocketAddrV4::new(ip(9), 67);
    let mut interface = interfaces().unwrap()["lo"].clone();
    interface.addresses.retain(|own| [ip(9), ip(10)].contains(&own.ip));
    let socket = DatagramSocket::bind_address(link).unwrap();
    let port = Port::on(&interface, Ear::Server(socket)).standing_in_for(&interface);
    running.stop.send(Order::StandIn(vec![port]));
    running.relay.connect(link).unwrap();
    running.discover(1);
    let (kind, machine, _) = running.answer();
    assert_eq!((kind, machine), (MessageType::Offer, 1));

    // What comes at that moment may be for nobody.
    running.discover(1);
    running.stop.send(Order::StandIn(Vec::new()));
    let (turn, turned) = oneshot::channel();
    running.stop.send(Order::Turn(turn));
    turned.blocking_recv().unwrap();
    DatagramSocket::bind_address(link).expect("its socket is closed");
    running.relay.connect((ip(10), 67)).unwrap();
    running.discover(2);
    while running.answer().1 != 2 {}
    running.stop();
}

#[test]
fn an_answer_follows_its_commit_and_none_a_failed_one() {
    if !inside("dhcp::an_answer_follows_its_commit_and_none_a_failed_one") {
        return;
    }
    let running = start(|_| {});
    running.discover(1);
    assert_eq!(running.answer(), (MessageType::Offer, 1, ip(61)));
    running.request(1, ip(61));
    assert_eq!(running.answer(), (MessageType::Ack, 1, ip(61)));
    assert_eq!(running.holders(), [(ip(61), mac(1))], "stored before it was sent");
    assert_eq!(running.hub.who(ip(61), bootlace::hub::now()), Some(mac(1)));
    running.discover(2);
    let (_, _, offered) = running.answer();
    running.sql("CREATE TRIGGER broken BEFORE INSERT ON lease_log BEGIN SELECT RAISE(ABORT, 'no room'); END");
    running.request(2, offered);
    running.silent_until(1);
    assert_eq!(running.hub.who(offered, bootlace::hub::now()), None);
    running.discover(3);
    running.silent_until(2);
    running.sql("DROP TRIGGER broken");
    // The disk is well again: what was promised in memory is stored before anything else is said.
    running.discover(4);
    let (kind, xid, _) = running.answer();
    assert_eq!((kind, xid), (MessageType::Offer, 4));
    assert_eq!(running.holders(), [(ip(61), mac(1)), (offered, mac(2))]);
    running.request(2, offered);
    assert_eq!(running.answer(), (MessageType::Ack, 2, offered));
    assert_eq!(running.hub.counters().get(Counter::DhcpNotStored), 2);
    running.stop();
}

/// A damaged database: its table is where no page is. Without leases the server refuses and informs, and attracts
/// nobody.
#[test]
fn what_needs_no_lease_is_answered_while_none_can_be_stored() {
    if !inside("dhcp::what_needs_no_lease_is_answered_while_none_can_be_stored") {
        return;
    }
    let running = start(|_| {});
    running.discover(1);
    let (_, _, offered) = running.answer();
    running.sql(
        "PRAGMA writable_schema = on; UPDATE sqlite_master SET rootpage = 900 WHERE name = 'lease_log'; \
         PRAGMA schema_version = 900",
    );
    running.request(1, offered);
    running.silent_until(1);
    let trouble = running.hub.trouble().expect("leases cannot be stored");
    assert_eq!(trouble.finding().code, "state-damaged");

    running.discover(2);
    let mut inform = message(MessageType::Inform, 3);
    inform.ciaddr = ip(1);
    send(&running.relay, &inform);
    let (kind, xid, _) = running.answer();
    assert_eq!((kind, xid), (MessageType::Ack, 3), "an offer to the second machine, or none to the third");
    running.request(4, Ipv4Addr::new(192, 0, 2, 4));
    assert_eq!(running.answer(), (MessageType::Nak, 4, Ipv4Addr::UNSPECIFIED));
    assert_eq!(running.hub.counters().get(Counter::DhcpNotStored), 2);
    let reasons = running.silences();
    let [(requester, denied), (newcomer, withheld)] = &reasons[..] else { panic!("{reasons:?}") };
    assert!(*requester == mac(1) && denied.starts_with("the lease could not be stored"), "{denied}");
    assert!(*newcomer == mac(2) && withheld.starts_with("nothing is offered"), "{withheld}");
    running.stop();
}

/// The folders of a config that is no longer in force are closed, however long no packet comes.
#[test]
fn another_config_is_followed_without_a_packet() {
    if !inside("dhcp::another_config_is_followed_without_a_packet") {
        return;
    }
    let running = start(|_| {});
    let turn = || {
        let (answer, answered) = tokio::sync::oneshot::channel();
        running.stop.send(Order::Turn(answer));
        answered.blocking_recv().unwrap();
    };
    let former = Arc::downgrade(&running.serving.load_full());
    let next = World::new().serving.load_full();
    running.serving.store(next);
    running.stop.send(Order::Config);
    // The second turn comes after the round of the first.
    turn();
    turn();
    assert!(former.upgrade().is_none());
    running.stop();
}

#[test]
fn a_batch_is_answered_in_its_order_and_junk_is_counted() {
    if !inside("dhcp::a_batch_is_answered_in_its_order_and_junk_is_counted") {
        return;
    }
    let machines = 2..12;
    let running = start(|relay| {
        relay.send(b"junk").unwrap();
        machines.clone().for_each(|machine| send(relay, &message(MessageType::Discover, machine)));
    });
    let mut given = Vec::new();
    for machine in machines.clone() {
        let (kind, xid, address) = running.answer();
        assert_eq!((kind, xid), (MessageType::Offer, machine.into()));
        assert!(!given.contains(&address), "{address} twice");
        given.push(address);
    }
    assert_eq!(running.hub.counters().get(Counter::DhcpMalformed), 1);
    running.stop();
}

/// Clocks that the test sets: the wall's, and the time since the host's boot.
#[derive(Clone)]
struct Clocks(Arc<Mutex<Reading>>);

impl Clocks {
    fn new(wall: i64) -> Self {
        let reading = Reading { wall: Timestamp::from_secs(wall), uptime: Duration::from_secs(1000) };
        Self(Arc::new(Mutex::new(reading)))
    }

    fn reader(&self) -> Box<dyn Fn() -> Reading + Send> {
        let clocks = self.clone();
        Box::new(move || *clocks.0.lock().unwrap())
    }

    fn set(&self, wall: i64, uptime: u64) {
        *self.0.lock().unwrap() =
            Reading { wall: Timestamp::from_secs(wall), uptime: Duration::from_secs(uptime) };
    }
}

#[test]
fn a_clock_that_is_set_moves_all_leases_and_ends_none() {
    if !inside("dhcp::a_clock_that_is_set_moves_all_leases_and_ends_none") {
        return;
    }
    const START: i64 = 1_800_000_000;
    const YEAR: i64 = 365 * 86_400;
    let boot = Some(Uuid([7; 16]));
    let clocks = Clocks::new(START);
    let running = start_by(|table, store| HostClock::start_by(clocks.reader(), boot, table, store), |_| {});
    running.discover(1);
    let (_, _, first) = running.answer();
    running.request(1, first);
    assert_eq!(running.answer(), (MessageType::Ack, 1, first));
    let lease = (running.ends()[0].1.0 - START * 1000) / 1000;

    // Ten seconds later it is a year ago; whoever asks next lets the server notice.
    clocks.set(START + 10 - YEAR, 1010);
    running.discover(1);
    assert_eq!(running.answer(), (MessageType::Offer, 1, first));
    let back = Timestamp::from_secs(START - YEAR + lease);
    assert_eq!(running.ends(), [(first, back)]);
    assert_eq!(running.hub.who(first, Timestamp::from_secs(START + 10 - YEAR)), Some(mac(1)));

    // A year ahead, and the disk is full: not even offers leave before the leases have moved.
    running.sql("CREATE TRIGGER broken BEFORE INSERT ON lease_log BEGIN SELECT RAISE(ABORT, 'no room'); END");
    clocks.set(START + 20 + YEAR, 1020);
    running.discover(2);
    running.silent_until(1);
    assert_eq!(running.ends(), [(first, back)]);
    running.sql("DROP TRIGGER broken");
    running.discover(2);
    let (kind, _, second) = running.answer();
    assert_eq!(kind, MessageType::Offer);
    assert_ne!(second, first);
    assert_eq!(running.ends(), [(first, Timestamp::from_secs(START + YEAR + lease))]);

    // Set back while no server runs.
    let config = running.config.clone();
    let dir = running.stop();
    let mut store = Store::open(&dir.path().join("state")).unwrap();
    let mut table = LeaseTable::new(&config, store.leases().unwrap());
    clocks.set(START + 30, 1030);
    HostClock::start_by(clocks.reader(), boot, &mut table, &mut store).unwrap();
    let ends: Vec<_> = store.leases().unwrap().into_iter().map(|lease| lease.until).collect();
    assert_eq!(ends, [Timestamp::from_secs(START + lease)]);
}

/// The test's relay hears only what comes from the address that it asks.
#[test]
fn a_relay_that_is_the_server_to_its_clients_is_answered_by_whom_it_asked() {
    if !inside("dhcp::a_relay_that_is_the_server_to_its_clients_is_answered_by_whom_it_asked") {
        return;
    }
    let running = start(|_| {});
    let own = [&[11, 4], ip(1).octets().as_slice()].concat();
    let mut discover = message(MessageType::Discover, 1);
    discover.options.set(Code::RELAY_INFO, own.clone());
    send(&running.relay, &discover);
    let offer = running.message();
    assert_eq!((offer.message_type(), offer.server_id()), (Some(MessageType::Offer), Some(ip(1))));

    let mut request = message(MessageType::Request, 1);
    request.options.set(Code::RELAY_INFO, own);
    request.options.set_ip(Code::REQUESTED_IP, offer.yiaddr);
    request.options.set_ip(Code::SERVER_ID, ip(1));
    send(&running.relay, &request);
    let ack = running.message();
    assert_eq!((ack.message_type(), ack.server_id()), (Some(MessageType::Ack), Some(ip(1))));

    running.discover(2);
    assert_eq!(running.message().server_id(), Some(ip(10)), "without the wish it is our own");
    running.stop();
}

#[test]
fn what_somebody_pins_is_stored_when_it_is_answered() {
    if !inside("dhcp::what_somebody_pins_is_stored_when_it_is_answered") {
        return;
    }
    let running = start(|_| {});
    let stored = || LeaseReader::open(&running.world_dir).unwrap().learned_of(mac(1)).unwrap();
    let orders = Arc::new(running.stop);
    let config = Arc::new(running.dir.path().join("bootlace.toml"));
    let state_dir = Arc::new(running.world_dir.clone());
    let admin = Admin::new(Arc::clone(&running.serving), config, state_dir, running.hub)
        .keeping_by(Arc::downgrade(&orders));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let socket = running.dir.path().join("admin.sock");
    listen_at(&runtime, &socket, admin);
    let say = |path: &str, json: &str| post(UnixStream::connect(&socket).unwrap(), path, json, "");

    let pin = r#"{"mac": "52:54:00:00:00:01", "setting": "native", "firmware": "uefi-x64"}"#;
    let pinned = "52:54:00:00:00:01 is booted by native on uefi-x64\n";
    assert_eq!(say("/api/v1/learned/pin", pin), (200, pinned.into()));
    let facts = stored();
    assert!(matches!(facts[..], [Fact { setting: Setting::Native, pinned: Some(_), .. }]), "{facts:?}");

    let clear = r#"{"mac": "52:54:00:00:00:01"}"#;
    let cleared = "what was known of 52:54:00:00:00:01 is forgotten\n";
    assert_eq!(say("/api/v1/learned/clear", clear), (200, cleared.into()));
    assert_eq!(stored(), []);
    drop(runtime);
    drop(orders);
    running.thread.join().unwrap().unwrap();
}
