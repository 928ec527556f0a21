//! Targets as initiators see them: PDUs over real sockets.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use bootlace::counters::Counter;
use bootlace::services::iscsi::{Disks, limits, serve};
use bootlace_core::config::{InitiatorPattern, IscsiConfig, IscsiTarget, TargetMode};
use bootlace_wire::scsi::limits::TRANSFER_BYTES_MAX;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::initiator::{CHECK_CONDITION, GOOD, Initiator};
use crate::world::World;

const OWN: &str = "iqn.2026-01.example:own";
const SHARED: &str = "iqn.2026-01.example:shared";
const PRIVATE: &str = "iqn.2026-01.example:private";
const LARGE: &str = "iqn.2026-01.example:large";
const HOST: &str = "iqn.2026-01.example:host";
const BLOCKS: u64 = 64;
const LARGE_BYTES: u64 = 64 << 20;
const READY_TO_TRANSFER: u8 = 0x31;
const RESPONSE: u8 = 0x21;
const DATA_IN: u8 = 0x25;
const BUSY: u8 = 8;
const READ_16: u8 = 0x88;
const WRITE_16: u8 = 0x8a;
const ABORT_TASK: u8 = 1;
const UNIT_RESET: u8 = 5;
const NO_UNIT: u8 = 2;

/// A server on loopback with its disks.
struct Server {
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    addr: SocketAddr,
    world: World,
    dir: TempDir,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = |name: &str| {
            let file = dir.path().join(name.replace(':', "-"));
            fs::write(&file, vec![0x11; (BLOCKS * 512) as usize]).unwrap();
            IscsiTarget {
                name: name.into(),
                file,
                mode: TargetMode::ReadWrite,
                initiators: None,
                shared: name == SHARED,
                chap: None,
            }
        };
        let only = Some(vec![InitiatorPattern::Prefix("iqn.2026-01.example:admin".into())]);
        let private = IscsiTarget { initiators: only, ..target(PRIVATE) };
        let large = IscsiTarget { shared: true, ..target(LARGE) };
        File::create(&large.file).unwrap().set_len(LARGE_BYTES).unwrap();
        let config = IscsiConfig { port: 0, targets: vec![target(OWN), target(SHARED), private, large] };
        let disks = Disks::open(&config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let world = World::new();
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        runtime.spawn(serve(disks, vec![listener], Arc::clone(&world.hub), stopped));
        Self { runtime, stop: Some(stop), addr, world, dir }
    }

    fn connect(&self) -> Initiator {
        Initiator::connect(self.addr)
    }

    fn login(&self, initiator: &str, isid: u8, target: &str) -> (Initiator, u16) {
        let mut connection = self.connect();
        let status = connection.login(isid, &format!("InitiatorName={initiator}\0TargetName={target}\0"));
        (connection, status)
    }

    fn session(&self, initiator: &str, isid: u8, target: &str) -> Initiator {
        let (connection, status) = self.login(initiator, isid, target);
        assert_eq!(status, 0);
        connection
    }
}

#[test]
fn what_is_written_is_on_the_disk() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    // The first command of a session hears of that.
    assert_eq!(host.ready(), Some((CHECK_CONDITION, 0x29)));
    assert_eq!(host.ready(), Some((GOOD, 0)));
    assert_eq!(host.write(3, 0x22), GOOD);
    assert_eq!((host.read(3), host.read(4)), (vec![0x22; 512], vec![0x11; 512]));
    // Behind the end.
    assert_eq!(host.write(BLOCKS as u8, 0x22), CHECK_CONDITION);
    assert_eq!(host.command(0x80, 0, &[0x35], &[]).unwrap().0, GOOD);
    let bytes = fs::read(server.dir.path().join(OWN.replace(':', "-"))).unwrap();
    assert_eq!((bytes.len(), bytes[3 * 512], bytes[4 * 512]), ((BLOCKS * 512) as usize, 0x22, 0x11));
}

#[test]
fn flushes_are_answered_beside_pings_and_writes() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    host.ready();
    let tasks: Vec<u8> = (10..10 + 3 * limits::FLUSHES_MAX as u8).collect();
    for task in &tasks {
        let mut flush = [0; 48];
        (flush[0], flush[1], flush[19], flush[32]) = (0x01, 0x80, *task, 0x35);
        host.send(flush, &[]);
        host.number += 1;
        // WRITE(10) with FUA.
        let mut write = [0; 48];
        (write[0], write[1], write[19], write[22]) = (0x01, 0xa0, 100 + *task, 2);
        write[32..42].copy_from_slice(&[0x2a, 0x08, 0, 0, 0, *task, 0, 0, 1, 0]);
        host.send(write, &[*task; 512]);
        host.number += 1;
    }
    let mut ping = [0; 48];
    (ping[0], ping[1], ping[19]) = (0x40, 0x80, 200);
    ping[20..24].fill(0xff);
    host.send(ping, b"ping");
    let mut answered: Vec<u8> = Vec::new();
    while answered.len() < 2 * tasks.len() + 1 {
        let answer = host.answer().expect("an answer");
        assert!(answer.header[0] == 0x20 || answer.header[3] == GOOD);
        answered.push(answer.header[19]);
    }
    answered.sort_unstable();
    let writes: Vec<u8> = tasks.iter().map(|task| 100 + task).collect();
    assert_eq!(answered, [&tasks[..], &writes, &[200]].concat());
    assert!(tasks.iter().all(|task| host.read(*task) == [*task; 512]));
    assert_eq!(host.write(1, 0x55), GOOD);
}

#[test]
fn data_of_a_write_never_go_where_an_aborted_one_was_to_write() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    host.ready();
    let write = |block: u8| [0x2a, 0, 0, 0, 0, block, 0, 0, 1, 0];
    assert_eq!(host.announce(5, 512, &write(3)).unwrap().header[0], READY_TO_TRANSFER);
    assert_eq!(host.manage(ABORT_TASK, [0; 8], 5), 0);
    // Its tag is free again.
    let asked = host.announce(5, 512, &write(7)).unwrap();
    assert_eq!(asked.header[0], READY_TO_TRANSFER);
    host.data_out(&asked, &[0x22; 512]);
    let answer = host.answer().unwrap().header;
    assert_eq!((answer[0], answer[3]), (RESPONSE, GOOD));
    assert_eq!((host.read(3), host.read(7)), (vec![0x11; 512], vec![0x22; 512]));
}

#[test]
fn management_of_a_unit_that_is_not_there_changes_nothing() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    host.ready();
    let write = [0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0];
    let asked = host.announce(5, 512, &write).unwrap();
    assert_eq!(host.manage(UNIT_RESET, [0, 1, 0, 0, 0, 0, 0, 0], 0), NO_UNIT);
    host.data_out(&asked, &[0x22; 512]);
    assert_eq!(host.answer().unwrap().header[3], GOOD);
    // LUN 0 has two forms.
    let asked = host.announce(5, 512, &write).unwrap();
    assert_eq!(host.manage(UNIT_RESET, [0x40, 0, 0, 0, 0, 0, 0, 0], 0), 0);
    host.data_out(&asked, &[0x33; 512]);
    assert_eq!(host.ready(), Some((CHECK_CONDITION, 0x29)));
    assert_eq!(host.read(3), vec![0x22; 512]);
}

/// A command of 16 bytes that moves so many bytes from or to the beginning of the disk.
fn long(opcode: u8, bytes: u32) -> [u8; 16] {
    let [a, b, c, d] = (bytes / 512).to_be_bytes();
    [opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, 0, 0]
}

#[test]
fn a_session_has_its_share_of_the_memory_for_long_commands() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, LARGE);
    host.ready();
    let bytes = TRANSFER_BYTES_MAX;
    let share = (limits::LONG_COMMANDS_BYTES_PER_SESSION_MAX / u64::from(bytes)) as u8;
    // The first one is asked for its data, which never come.
    for task in 0..=share {
        host.request(0xa0, task, bytes, &long(WRITE_16, bytes));
    }
    assert_eq!(host.answer().unwrap().header[0], READY_TO_TRANSFER);
    let busy = host.answer().unwrap().header;
    assert_eq!((busy[0], busy[3], busy[19]), (RESPONSE, BUSY, share));
    // Others have theirs.
    let mut other = server.session(HOST, 2, LARGE);
    other.ready();
    assert_eq!(other.announce(1, bytes, &long(WRITE_16, bytes)).unwrap().header[0], READY_TO_TRANSFER);
}

#[test]
fn memory_of_reads_is_lent_until_they_are_sent() {
    let server = Server::new();
    let bytes = TRANSFER_BYTES_MAX;
    let shares = limits::LONG_COMMANDS_BYTES_MAX / (2 * u64::from(bytes));
    let readers: Vec<_> = (0..shares as u8)
        .map(|isid| {
            let mut reader = server.session(HOST, isid, LARGE);
            reader.ready();
            reader.request(0xc0, 1, bytes, &long(READ_16, bytes));
            // It takes the beginning of what it asked for, and no more.
            assert_eq!(reader.answer().unwrap().header[0], DATA_IN);
            reader
        })
        .collect();
    let mut host = server.session(HOST, 100, LARGE);
    host.ready();
    let read = long(READ_16, limits::LONG_COMMAND_BYTES_MIN as u32);
    let status = |host: &mut Initiator| host.command(0xc0, 0, &read, &[]).unwrap().0;
    assert_eq!(status(&mut host), BUSY);
    drop(readers);
    while status(&mut host) == BUSY {}
}

#[test]
fn memory_of_aborted_writes_is_lent_again() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, LARGE);
    host.ready();
    let bytes = TRANSFER_BYTES_MAX;
    for _ in 0..=limits::LONG_COMMANDS_BYTES_MAX / u64::from(bytes) {
        let answer = host.announce(5, bytes, &long(WRITE_16, bytes)).unwrap().header;
        assert_eq!(answer[0], READY_TO_TRANSFER);
        assert_eq!(host.manage(ABORT_TASK, [0; 8], 5), 0);
    }
}

#[test]
fn room_for_more_than_there_is_does_no_harm() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    host.ready();
    // READ CAPACITY(16) with the longest allocation length.
    let cdb = [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0];
    let (status, capacity) = host.command(0xc0, 32, &cdb, &[]).unwrap();
    assert_eq!((status, &capacity[..8]), (GOOD, &(BLOCKS - 1).to_be_bytes()[..]));
}

#[test]
fn a_new_login_of_a_machine_ends_its_older_session() {
    let server = Server::new();
    let mut first = server.session(HOST, 1, OWN);
    first.ready();
    // Another ISID, as iPXE has at each start.
    let mut second = server.session(HOST, 2, OWN);
    assert!(first.answer().is_none());
    assert_eq!(second.ready(), Some((CHECK_CONDITION, 0x29)));
    // The same one: reinstatement.
    let mut third = server.session(HOST, 2, OWN);
    assert!(second.answer().is_none());
    assert_eq!(third.ready(), Some((CHECK_CONDITION, 0x29)));
    assert_eq!(third.write(0, 0x33), GOOD);
}

#[test]
fn a_disk_of_one_machine_is_refused_to_another() {
    let server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    assert_eq!(server.login("iqn.2026-01.example:other", 1, OWN).1, 0x0301);
    host.ready();
    assert_eq!(host.ready(), Some((GOOD, 0)));
    // It is free once the session has ended.
    let mut logout = [0; 48];
    (logout[0], logout[1]) = (0x46, 0x80);
    host.send(logout, &[]);
    assert_eq!(host.answer().unwrap().header[0], 0x26);
    assert!(host.answer().is_none());
    server.session("iqn.2026-01.example:other", 1, OWN);
}

#[test]
fn a_shared_disk_has_several_sessions() {
    let server = Server::new();
    let mut hosts = [(HOST, 1), (HOST, 2), ("iqn.2026-01.example:other", 1)]
        .map(|(initiator, isid)| server.session(initiator, isid, SHARED));
    for host in &mut hosts {
        host.ready();
    }
    assert_eq!(hosts[0].write(5, 0x44), GOOD);
    assert_eq!(hosts[2].read(5), vec![0x44; 512]);
    // LOGICAL UNIT RESET by one of them.
    let mut reset = [0; 48];
    (reset[0], reset[1]) = (0x42, 0x85);
    hosts[1].send(reset, &[]);
    assert_eq!(hosts[1].answer().unwrap().header[..3], [0x22, 0x80, 0]);
    assert_eq!(hosts[2].ready(), Some((CHECK_CONDITION, 0x29)));
    let mut same_port = server.session(HOST, 1, SHARED);
    assert!(hosts[0].answer().is_none(), "the same initiator port is one session");
    assert_eq!(same_port.ready(), Some((CHECK_CONDITION, 0x29)));
    assert_eq!(hosts[1].ready(), Some((CHECK_CONDITION, 0x29)));
}

#[test]
fn who_may_not_use_a_target_does_not_see_it() {
    let server = Server::new();
    assert_eq!(server.login(HOST, 1, PRIVATE).1, 0x0202);
    assert_eq!(server.login(HOST, 1, "iqn.2026-01.example:none").1, 0x0203);
    let found = |initiator: &str| {
        let mut finder = server.connect();
        let keys = format!("InitiatorName={initiator}\0SessionType=Discovery\0");
        assert_eq!(finder.login(1, &keys), 0);
        let mut text = [0; 48];
        (text[0], text[1]) = (0x04, 0x80);
        text[20..24].fill(0xff);
        finder.send(text, b"SendTargets=All\0");
        String::from_utf8(finder.answer().unwrap().data).unwrap()
    };
    let listed =
        |text: &str| [OWN, SHARED, PRIVATE].map(|name| text.contains(&format!("TargetName={name}\0")));
    let text = found(HOST);
    assert_eq!(listed(&text), [true, true, false]);
    assert!(text.contains(&format!("TargetAddress={},1\0", server.addr)), "{text}");
    assert_eq!(listed(&found("iqn.2026-01.example:admin1")), [true; 3]);
}

#[test]
fn logins_that_do_not_end_are_few() {
    let server = Server::new();
    let held: Vec<Initiator> = (0..limits::LOGINS_PER_CLIENT_MAX).map(|_| server.connect()).collect();
    // Connections are accepted in their order.
    assert!(server.connect().answer().is_none());
    assert_eq!(server.world.hub.counters().get(Counter::IscsiClientFull), 1);
    drop(held);
}

#[test]
fn a_session_is_no_login_any_more() {
    let server = Server::new();
    let logins = 1..=2 * limits::LOGINS_PER_CLIENT_MAX as u8;
    let mut sessions: Vec<_> = logins
        .map(|isid| {
            let mut session = server.session(HOST, isid, SHARED);
            // Its answer says that the server has left the login behind.
            session.ready();
            session
        })
        .collect();
    assert!(sessions.iter_mut().all(|session| session.ready() == Some((GOOD, 0))));
}

#[test]
fn a_stop_asks_for_logouts_and_ends_all() {
    let mut server = Server::new();
    let mut host = server.session(HOST, 1, OWN);
    host.ready();
    drop(server.stop.take());
    let asked = host.answer().expect("a message").header;
    assert_eq!((asked[0], asked[36]), (0x32, 1));
    assert!(host.answer().is_none());
    drop(server.runtime);
}
