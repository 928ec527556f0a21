use std::fs;
use std::net::TcpListener;
use std::sync::{RwLockReadGuard, mpsc};
use std::thread;
use std::time::Duration;

use bootlace_wire::iscsi::{SessionKind, Task};
use bootlace_wire::scsi::Status;
use tempfile::TempDir;

use super::*;

const HOST: &str = "iqn.2026-01.example:host";
const OTHER: &str = "iqn.2026-01.example:other";
/// Only ends what hangs.
const HANG: Duration = Duration::from_secs(60);
const BLOCKS: u64 = 64;

/// A target with its disk.
struct Bench {
    target: Arc<Target>,
    _dir: TempDir,
}

impl Bench {
    fn new(sharing: Sharing) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("disk");
        fs::write(&file, vec![0x11; (BLOCKS * BLOCK_BYTES) as usize]).unwrap();
        let traits = Traits {
            name: "iqn.2026-01.example:disk".into(),
            known_by: "disk".into(),
            authentication: Authentication::None,
            initiators: None,
            sharing,
            access: scsi::Access::ReadWrite,
        };
        let disk = Disk::File(RawFile::open(&file, Access::ReadWrite).unwrap());
        Self { target: Arc::new(Target::new(disk, traits)), _dir: dir }
    }

    /// A session whose first command was one, so that no attention waits.
    fn session(&self, initiator: &str) -> Arc<Session> {
        let session = self.target.begin(&who(initiator), stream()).expect("a session");
        self.ready(&session);
        session
    }

    /// TEST UNIT READY, which takes an attention.
    fn ready(&self, session: &Session) {
        self.execute(session, &[0], &[]);
    }

    fn execute(&self, session: &Session, cdb: &[u8], data: &[u8]) -> Executed {
        let mut request = Request {
            task: Task(1),
            number: 1,
            lun: [0; 8],
            cdb: [0; 16],
            announced_out: data.len() as u32,
            announced_in: 0,
        };
        request.cdb[..cdb.len()].copy_from_slice(cdb);
        let data = DataOut { announced: data.len() as u64, bytes: data };
        self.target.execute(session, &request, data, &mut Vec::new()).expect("a session that goes on")
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.target.sessions).all.clone()
    }
}

fn who(initiator: &str) -> LoginRequest {
    let session = SessionKind::Normal { target: "iqn.2026-01.example:disk".into() };
    LoginRequest { initiator: initiator.into(), isid: [1; 6], tsih: 0, session }
}

/// A connection whose other side is gone.
fn stream() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap()
}

/// Runs what has to wait for the command that `running` stands for. That one ends as soon as it is waited for.
fn while_running<T: Send>(
    running: RwLockReadGuard<'_, ()>,
    waited_for: impl Fn() -> bool,
    waiter: impl FnOnce() -> T + Send,
) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let result = waiter();
            assert!(over.load(Ordering::Acquire), "the command is still being done");
            result
        });
        until(|| waited_for() || waiting.is_finished());
        over.store(!waiting.is_finished(), Ordering::Release);
        drop(running);
        waiting.join().unwrap()
    })
}

/// Whether somebody waits for the commands of a session: further ones are not let in.
fn is_waited_for(session: &Session) -> bool {
    session.busy.try_read().is_err()
}

fn until(reached: impl Fn() -> bool) {
    while !reached() {
        thread::yield_now();
    }
}

#[test]
fn every_login_waits_for_the_command_of_the_session_that_it_ends() {
    let bench = Bench::new(Sharing::OneInitiator);
    let old = bench.session(HOST);
    thread::scope(|scope| {
        let running = old.busy.read().unwrap();
        let begin = || bench.target.begin(&who(HOST), stream());
        scope.spawn(begin);
        until(|| old.over.load(Ordering::Acquire));
        let holders = Arc::strong_count(&old);
        let waited_for = || Arc::strong_count(&old) > holders;
        let second = while_running(running, waited_for, begin).expect("a session");
        assert!(!second.over.load(Ordering::Acquire));
    });
    assert_eq!(bench.sessions().len(), 1);
}

#[test]
fn a_login_that_was_overtaken_ends_nobody() {
    let bench = Bench::new(Sharing::OneInitiator);
    let (early, late) = (bench.target.next_login(), bench.target.next_login());
    let session = bench.target.begin_as(late, &who(HOST), stream()).expect("a session");
    assert_eq!(bench.target.begin_as(early, &who(HOST), stream()).unwrap_err(), Refusal::Unavailable);
    assert!(!session.over.load(Ordering::Acquire));
    assert!(Arc::ptr_eq(&bench.sessions()[0], &session));
}

#[test]
fn management_waits_for_the_commands_that_it_ends() {
    for function in [Function::ClearTaskSet, Function::UnitReset, Function::TargetReset] {
        let bench = Bench::new(Sharing::Shared);
        let (host, other) = (bench.session(HOST), bench.session(OTHER));
        let running = other.busy.read().unwrap();
        let manage = || bench.target.manage(&host, function, [0; 8]);
        assert_eq!(while_running(running, || is_waited_for(&other), manage), ManagementResponse::Complete);
        assert_eq!(other.aborts(), 1);
    }
}

/// PERSISTENT RESERVE OUT, with the key of the session and another one.
fn reserve(bench: &Bench, session: &Session, action: u8, keys: [u64; 2]) {
    let mut list = keys.map(u64::to_be_bytes).concat();
    list.resize(24, 0);
    let executed = bench.execute(session, &[0x5f, action, 1, 0, 0, 0, 0, 0, 24], &list);
    assert!(matches!(&executed, Executed::Done(outcome) if outcome.status == Status::Good), "{executed:?}");
}

#[test]
fn who_preempts_waits_for_others_and_keeps_nobody_waiting_by_that() {
    const REGISTER: u8 = 0;
    const PREEMPT_AND_ABORT: u8 = 5;
    let bench = Bench::new(Sharing::Shared);
    let (host, other) = (bench.session(HOST), bench.session(OTHER));
    reserve(&bench, &host, REGISTER, [0, 10]);
    reserve(&bench, &other, REGISTER, [0, 11]);
    let running = other.busy.read().unwrap();
    let preempt = || reserve(&bench, &host, PREEMPT_AND_ABORT, [10, 11]);
    while_running(running, || is_waited_for(&other), preempt);
    assert_eq!(other.aborts(), 1);

    bench.ready(&other);
    // Both at once: each waits for the other, but not while it is busy itself.
    reserve(&bench, &other, REGISTER, [0, 11]);
    let running = other.busy.read().unwrap();
    thread::scope(|scope| {
        let preempting = scope.spawn(|| reserve(&bench, &host, PREEMPT_AND_ABORT, [10, 11]));
        until(|| other.aborts() == 2 || preempting.is_finished());
        assert!(host.busy.try_write().is_ok());
        drop(running);
    });
}

#[test]
fn a_flush_waits_for_nobody_and_nobody_for_it() {
    let bench = Bench::new(Sharing::Shared);
    let session = bench.session(HOST);
    let (flushed, done) = mpsc::channel();
    thread::scope(|scope| {
        // A command of its session that is alone, or is about to be.
        let _busy = session.busy.write().unwrap();
        let _alone = bench.target.atomic.write().unwrap();
        let target = &bench.target;
        scope.spawn(move || flushed.send(target.flush().status));
        assert_eq!(done.recv_timeout(HANG), Ok(Status::Good));
    });
}

#[test]
fn what_must_be_durable_is_written_at_once_and_left_to_a_flush() {
    let bench = Bench::new(Sharing::OneInitiator);
    let session = bench.session(HOST);
    const FUA: u8 = 0x08;
    let block = |byte: u8| vec![byte; 512];
    let or_write = [0x8b, FUA, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
    let compare_and_write = [0x89, FUA, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1];
    for (at, cdb, data, written) in [
        (2, &[0x2a, FUA, 0, 0, 0, 2, 0, 0, 1][..], block(0x22), 0x22),
        (3, &[0x2e, 0, 0, 0, 0, 3, 0, 0, 1], block(0x22), 0x22),
        (4, &or_write, block(0x22), 0x33),
        (5, &compare_and_write, [block(0x11), block(0x22)].concat(), 0x22),
    ] {
        let executed = bench.execute(&session, cdb, &data);
        assert!(matches!(executed, Executed::Flush), "{cdb:02x?}: {executed:?}");
        let mut bytes = block(0);
        bench.target.disk.read(at * BLOCK_BYTES, &mut bytes).unwrap();
        assert_eq!(bytes, block(written));
    }
    // What fails has no need of one.
    let executed = bench.execute(&session, &compare_and_write, &[block(0x11), block(0x22)].concat());
    assert!(matches!(executed, Executed::Done(outcome) if outcome.status == Status::CheckCondition));
}

#[test]
fn what_is_announced_beside_whole_blocks_is_not_written() {
    let bench = Bench::new(Sharing::OneInitiator);
    let session = bench.session(HOST);
    let or_write = [0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 2];
    for (at, cdb, written) in [
        (2, &[0x2a, 0, 0, 0, 0, 2, 0, 0, 2][..], 0x22),
        // With a comparison.
        (4, &[0x2e, 0x02, 0, 0, 0, 4, 0, 0, 2], 0x22),
        (6, &or_write, 0x33),
    ] {
        match bench.execute(&session, cdb, &[0x22; 700]) {
            Executed::Done(outcome) => assert_eq!(outcome.status, Status::Good),
            Executed::Flush => {}
        }
        let mut bytes = [0; 1024];
        bench.target.disk.read(at * BLOCK_BYTES, &mut bytes).unwrap();
        assert_eq!(bytes, *[[written; 512], [0x11; 512]].as_flattened());
    }
}
